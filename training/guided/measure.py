"""What is measured of a guided upscaler, while it is trained and afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import from_uint8, luminance, to_uint8
from gan_space.models.guided_upscaler import FACTOR, GuidedUpscaler
from gan_space.packs.style import StylePack
from training.common.model_bundle import ModelBundle
from training.common.samples import save_samples
from training.encoder.losses import psnr
from training.guided.data import QUARTER, drawn_and_source, resized
from training.guided.looks import HELD_BACK, random_look
from training.packs.looks import LOOKS, render_look

CANNY = (60, 140)  # thresholds of the gradient of 8-bit luminance
TOLERANCE_PX = 1
LOOKS_SEED = 24
GRID_FACES = 6
Numbers = dict[str, float]


class Drawings(NamedTuple):
    """Small drawings of one case, the photos beside them, and what they should become; [-1, 1]."""

    small: Tensor  # [N, 3, S / 4, S / 4]
    sources: Tensor  # [N, 3, S / 4, S / 4], what they were drawn from
    photos: Tensor  # [N, 3, S, S]
    truth: Tensor  # [N, 3, S, S]


def drawn_looks() -> list[str]:
    """Return looks of the default packs that go back into a photo as a picture."""
    return [name for name, look in LOOKS.items() if look.transfer == "picture"]


@torch.no_grad()
def held_back_drawings(images: Tensor, looks: tuple[str, ...] = ()) -> dict[str, Drawings]:
    """Return cases by name, by formula at both sizes: the families held back, a new look for each picture, and `looks`.

    Args:
        images: [N, 3, S, S] uint8, S a multiple of 8; always drawn in the same looks.
    """
    photos = from_uint8(images)
    small = resized(photos, images.shape[-1] // QUARTER)
    cases = {}
    for family in HELD_BACK:
        random = torch.Generator().manual_seed(LOOKS_SEED)
        drawn = []
        for photo, thumb in zip(photos[:, None], small[:, None], strict=True):
            look = random_look(random, (family,))
            drawn.append((look.render(thumb), look.render(photo)))
        cases[f"{family} (held back)"] = Drawings(*_columns(drawn, small, photos))
    for name in looks or drawn_looks():
        drawn = [(render_look(name, a[None]), render_look(name, b[None])) for a, b in zip(small, photos, strict=True)]
        cases[name] = Drawings(*_columns(drawn, small, photos))
    return cases


def _columns(drawn: list[tuple[Tensor, Tensor]], sources: Tensor, photos: Tensor) -> tuple[Tensor, ...]:
    small, truth = (torch.cat(column) for column in zip(*drawn, strict=True))
    return small, sources, photos, truth


@torch.no_grad()
def pack_drawings(images: Tensor, base: ModelBundle, packs: Path) -> dict[str, Drawings]:
    """Return the same for what the model's own packs draw of aligned faces [N, 3, S, S] uint8, beside their formula.

    The generator has one size; S is four times as much, whatever the pictures had.
    """
    photos = resized(from_uint8(images), QUARTER * base.encoder.resolution)
    cases = {}
    for name in drawn_looks():
        if not (packs / name).is_dir():
            continue
        small, sources = drawn_and_source(
            resized(photos, base.encoder.resolution), base, StylePack.from_pretrained(packs / name)
        )
        truth = torch.cat([render_look(name, photo[None]) for photo in photos])
        cases[f"{name}, drawn by its pack"] = Drawings(small, sources, photos, truth)
    return cases


def edges_f(images: Tensor, truth: Tensor) -> Tensor:
    """Say how well edges agree (Canny 1986), as the F-measure within a pixel: [N]; 1 where there are none."""
    return torch.tensor([_edges_f(*pair) for pair in zip(_grey(images), _grey(truth), strict=True)])


def _grey(images: Tensor) -> np.ndarray:
    return to_uint8(luminance((images.clamp(-1, 1) + 1) / 2) * 2 - 1)[:, 0].cpu().numpy()


def _edges_f(image: np.ndarray, truth: np.ndarray) -> float:
    found, wanted = (cv2.Canny(one, *CANNY) > 0 for one in (image, truth))
    if not found.any() and not wanted.any():
        return 1.0
    near = np.ones((2 * TOLERANCE_PX + 1,) * 2, np.uint8)
    hits = (found & (cv2.dilate(wanted.astype(np.uint8), near) > 0)).sum() / max(found.sum(), 1)
    recalled = (wanted & (cv2.dilate(found.astype(np.uint8), near) > 0)).sum() / max(wanted.sum(), 1)
    return float(2 * hits * recalled / max(hits + recalled, 1e-9))


def enlarge_guided(guided: GuidedUpscaler, small: Tensor, photos: Tensor, sources: Tensor | None = None) -> Tensor:
    """Enlarge four times, in two passes: [N, 3, S / 4, S / 4] beside [N, 3, S, S]."""
    half = guided.enlarge(small, F.avg_pool2d(photos, FACTOR), sources).clamp(-1, 1)
    return guided.enlarge(half, photos).clamp(-1, 1)


@torch.no_grad()
def measure(guided: GuidedUpscaler, cases: dict[str, Drawings], batch_size: int = 4) -> dict[str, dict[str, Numbers]]:
    """Return PSNR in dB and F of the edges by case and method: "guided" and "plain" (bicubic).

    The network goes to float32 and back for the measurement, so that processors agree.
    """
    dtype, guided.compute_dtype = guided.compute_dtype, torch.float32
    result = {}
    try:
        for name, case in cases.items():
            sums: dict[str, dict[str, list[Tensor]]] = {}
            for small, sources, photos, truth in zip(*(part.split(batch_size) for part in case), strict=True):
                for method, large in _methods(guided, small, sources, photos).items():
                    numbers = sums.setdefault(method, {"psnr": [], "edges_f": []})
                    numbers["psnr"].append(psnr(large, truth))
                    numbers["edges_f"].append(edges_f(large, truth))
            result[name] = {
                method: {key: torch.cat(values).double().mean().item() for key, values in numbers.items()}
                for method, numbers in sums.items()
            }
    finally:
        guided.compute_dtype = dtype
    return result


def _methods(guided: GuidedUpscaler, small: Tensor, sources: Tensor, photos: Tensor) -> dict[str, Tensor]:
    device = next(guided.parameters()).device
    enlarged = enlarge_guided(guided, *(part.to(device) for part in (small, photos, sources))).cpu()
    return {"plain": resized(small, photos.shape[-1]), "guided": enlarged}


def log_line(numbers: dict[str, dict[str, Numbers]]) -> str:
    """Return one line for the log."""
    cases = [
        f"{name} {one['guided']['psnr']:.2f} dB ({one['plain']['psnr']:.2f}), "
        f"edges {one['guided']['edges_f']:.2f} ({one['plain']['edges_f']:.2f})"
        for name, one in numbers.items()
    ]
    return "guided (plain): " + "; ".join(cases)


@torch.no_grad()
def save_grid(guided: GuidedUpscaler, cases: dict[str, Drawings], path: Path) -> None:
    """Save for each case rows of small drawings (pixels as blocks), enlarged plainly, guided, and by formula."""
    rows = []
    for case in cases.values():
        small, sources, photos, truth = (part[:GRID_FACES] for part in case)
        rows.append(F.interpolate(small, scale_factor=QUARTER, mode="nearest"))
        rows += [*_methods(guided, small, sources, photos).values(), truth]
    side = min(row.shape[-1] for row in rows)  # what packs draw is larger
    recipe = {"kind": "small drawings, enlarged four times, and by formula", "cases": list(cases)}
    save_samples(path, torch.cat([resized(row, side) for row in rows]), recipe, columns=len(rows[0]), source="edited")


@torch.no_grad()
def time_once(guided: GuidedUpscaler, side: int = 1024, runs: int = 5) -> Numbers:
    """Return milliseconds (median of the wall clock, and of all cores' time) for both passes up to side x side px."""
    device = next(guided.parameters()).device
    small, photo = torch.zeros(1, 3, side // QUARTER, side // QUARTER), torch.zeros(1, 3, side, side)
    small, photo, seconds, work = small.to(device), photo.to(device), [], []
    for _ in range(runs + 1):
        start, worked = time.perf_counter(), time.process_time()
        enlarge_guided(guided, small, photo).cpu()
        seconds.append(time.perf_counter() - start)
        work.append(time.process_time() - worked)
    medians = [1000 * float(np.median(values[1:])) for values in (seconds, work)]  # the first prepares memory
    return {f"{side}_px_ms": medians[0], f"{side}_px_core_ms": medians[1], "threads": torch.get_num_threads()}
