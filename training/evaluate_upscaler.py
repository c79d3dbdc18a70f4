"""Measure an upscaler: `python training/evaluate_upscaler.py --dataset_name FOLDER`.

Faces that it has never seen are made two and four times smaller and enlarged again, by the network and by bicubic and
Lanczos filters: as photographs, as photographs softened like what a generator draws, and drawn in the looks of the
default packs. Drawn pictures come in two kinds: rendered at full size and shrunk, where the truth is in the pixels, and
rendered at the small size, as a network of that size draws them, where even a perfect enlargement could not know it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_space.errors import ConfigError, WeightsError, raise_all
from gan_space.images import from_pil, from_uint8, to_pil
from gan_space.models.discriminator import Discriminator
from gan_space.models.upscaler import FACTOR, Upscaler, enlarge_plain
from gan_space.pipelines.loading import default_model_folder
from training.command import exit_code
from training.encoder_losses import feature_distance, ms_ssim, psnr
from training.looks import LOOKS, render_look
from training.memory import keep_freed_memory
from training.samples import ending_faults, save_samples
from training.train_aligner import load_faces
from training.upscaler_data import FACE_STEP_PX, blur_small

METHODS = ("bicubic", "lanczos", "network")
FACTORS = (2, 4)
SOFT_SIGMA = 0.7  # px of the small picture
FEATURE_MAPS = 3  # from half the size on: texture and parts of features; later maps look at the layout of a whole face
GRID_FACES = 8
Numbers = dict[str, float]


def drawn_looks() -> list[str]:
    """Looks that move shapes or draw lines, and so go back into a photo as a picture."""
    return [name for name, look in LOOKS.items() if look.transfer == "picture"]


def enlarge_by(method: str, small: Tensor, factor: int, upscaler: Upscaler) -> Tensor:
    """Enlarge [N, 3, H, W] in [-1, 1] by one of METHODS; the network goes over it once for each doubling."""
    if method == "bicubic":
        return enlarge_plain(small, factor).clamp(-1, 1)
    if method == "lanczos":
        size = (small.shape[3] * factor, small.shape[2] * factor)
        pictures = [picture.resize(size, Image.Resampling.LANCZOS) for picture in to_pil(small)]
        return torch.cat([from_pil(picture) for picture in pictures]).to(small)
    while factor > 1:
        small, factor = upscaler(small).clamp(-1, 1), factor // FACTOR
    return small


def texture_distance(discriminator: Discriminator, images: Tensor, targets: Tensor) -> Tensor:
    """Distance of [N, 3, H, W] twice in the first feature maps of our discriminator: [N]."""
    maps, wanted = (discriminator.features(part)[:FEATURE_MAPS] for part in (images, targets))
    return feature_distance(maps, wanted)


def edge_share(images: Tensor, targets: Tensor) -> Tensor:
    """How much contrast there is from pixel to pixel, over that of the truth: [N]; below 1 is softer."""

    def contrast(x: Tensor) -> Tensor:
        across, down = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
        return across.abs().flatten(1).mean(dim=1) + down.abs().flatten(1).mean(dim=1)

    return contrast(images) / contrast(targets).clamp(min=1e-6)


def small_and_true(faces: Tensor, factor: int) -> Iterator[tuple[str, Callable[[], tuple[Tensor, Tensor]]]]:
    """Cases by name, each with what makes the small pictures and the truth from faces [N, 3, S, S] in [-1, 1]."""
    shrunk = F.avg_pool2d(faces, factor)
    yield "photo", lambda: (shrunk, faces)
    yield "photo, soft", lambda: (blur_small(shrunk, torch.full([len(faces)], SOFT_SIGMA)), faces)
    for name in drawn_looks():
        drawn = render_look(name, faces)
        yield f"{name}, shrunk", lambda drawn=drawn: (F.avg_pool2d(drawn, factor), drawn)
        yield f"{name}, drawn small", lambda name=name, drawn=drawn: (render_look(name, shrunk), drawn)


@torch.no_grad()
def measure(
    upscaler: Upscaler, images: Tensor, discriminator: Discriminator | None = None, *,
    factors: tuple[int, ...] = FACTORS, only: tuple[str, ...] | None = None, batch_size: int = 32,
) -> dict[str, dict[str, Numbers]]:  # fmt: skip
    """Measure on faces that are the same every time.

    Args:
        upscaler: goes to float32 and back for the measurement, so that processors agree.
        images: [N, 3, S, S] uint8, never trained on; S a multiple of 64.
        discriminator: on the CPU; adds `texture_distance` of photographs.
        factors: 2, 4, or both.
        only: names of the cases, without the factor; None is all.

    Returns:
        {"2x photo": {"bicubic": {"psnr": …, "ms_ssim": …, "edge_share": …}, "lanczos": …, "network": …}, …}; of drawn
        looks also the mean of each kind, under "2x drawn, shrunk" and "2x drawn, drawn small".
    """
    device = next(upscaler.parameters()).device
    sums: dict[str, dict[str, dict[str, list[Tensor]]]] = {}
    compute_dtype, upscaler.compute_dtype = upscaler.compute_dtype, torch.float32
    try:
        for part in images.split(batch_size):
            faces = from_uint8(part)
            for factor in factors:
                for name, make in small_and_true(faces, factor):
                    if only is not None and name not in only:
                        continue
                    small, truth = make()
                    # Of drawings the discriminator knows nothing.
                    judge = discriminator if name.startswith("photo") else None
                    case = sums.setdefault(f"{factor}x {name}", {method: {} for method in METHODS})
                    for method in METHODS:
                        large = enlarge_by(method, small.to(device), factor, upscaler).cpu()
                        numbers = {"psnr": psnr(large, truth), "ms_ssim": ms_ssim(large, truth)}
                        numbers["edge_share"] = edge_share(large, truth)
                        if judge is not None:
                            numbers["texture_distance"] = texture_distance(judge, large, truth)
                        for key, values in numbers.items():
                            case[method].setdefault(key, []).append(values)
    finally:
        upscaler.compute_dtype = compute_dtype
    result = {
        case: {
            method: {key: torch.cat(values).double().mean().item() for key, values in numbers.items()}
            for method, numbers in methods.items()
        }
        for case, methods in sums.items()
    }
    return result | _means_of_looks(result)


def _means_of_looks(result: dict[str, dict[str, Numbers]]) -> dict[str, dict[str, Numbers]]:
    means = {}
    for factor in FACTORS:
        for kind in ("shrunk", "drawn small"):
            names = [f"{factor}x {look}, {kind}" for look in drawn_looks()]
            cases = [result[name] for name in names if name in result]
            if cases:
                means[f"{factor}x drawn, {kind}"] = {
                    method: {key: float(np.mean([case[method][key] for case in cases])) for key in cases[0][method]}
                    for method in METHODS
                }
    return means


@torch.no_grad()
def save_grid(upscaler: Upscaler, images: Tensor, path: Path, factor: int = 2) -> None:
    """Two blocks of rows, photographs and drawn looks, each: small (pixels as blocks), bicubic, network, truth."""
    faces, device = from_uint8(images[:GRID_FACES]), next(upscaler.parameters()).device
    looks = drawn_looks()
    drawn = torch.cat([render_look(looks[n % len(looks)], face[None]) for n, face in enumerate(faces)])
    rows = []
    for truth in (faces, drawn):
        small = F.avg_pool2d(truth, factor)
        rows += [
            F.interpolate(small, scale_factor=factor, mode="nearest"),
            enlarge_by("bicubic", small, factor, upscaler),
        ]
        rows += [enlarge_by("network", small.to(device), factor, upscaler).cpu(), truth]
    recipe = {"kind": f"photographs, then drawn looks: small, bicubic, network, truth at {factor}x"}
    save_samples(path, torch.cat(rows), recipe, columns=len(faces), source="edited")


@torch.no_grad()
def time_once(upscaler: Upscaler, sides: tuple[int, ...] = (64, 128, 384), runs: int = 15) -> Numbers:
    """Milliseconds (median) to double squares of these sides in px."""
    device, numbers = next(upscaler.parameters()).device, {}
    for side in sides:
        picture, seconds = torch.zeros(1, 3, side, side, device=device), []
        for _ in range(runs + 2):
            start = time.perf_counter()
            upscaler(picture).cpu()
            seconds.append(time.perf_counter() - start)
        numbers[f"double_{side}_px_ms"] = 1000 * float(np.median(seconds[2:]))  # the first two prepare memory
    return numbers


def load_discriminator(folder: str | Path | None) -> Discriminator | None:
    """That of a model folder, without gradients; None where the folder has none. None as folder is the default model.

    Raises:
        ConfigError: no such folder.
        WeightsError: it cannot be read.
    """
    folder = default_model_folder() if folder is None else Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"--model: {folder} is no folder; give a model folder, or leave it out for the default")
    if not (folder / "discriminator" / "config.json").is_file():
        return None
    return Discriminator.from_pretrained(folder / "discriminator").eval().requires_grad_(False)


@dataclass(frozen=True)
class EvaluateUpscalerConfig:
    """Measure an upscaler on faces that it has never seen, against bicubic and Lanczos filters."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces."""
    model: str | None = None
    """Model folder with upscaler/, and discriminator/ for the texture distance of photographs; None: the default."""
    upscaler: str | None = None
    """Folder of the upscaler, if it is not in the model folder: `<run>/export`."""
    split: str = "test"
    """Split to measure on."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    face_px: int = 128
    """Size of the truth; a multiple of 64, and no larger than the pictures are."""
    num_images: int = 1000
    """Faces to measure on, at most."""
    output: Path | None = None
    """JSON file for the numbers."""
    grid: Path | None = None
    """PNG: photographs and drawn looks, small, enlarged both ways, and as they were."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if self.num_images < 1:
            faults.append(f"--num_images must be 1 or more, got {self.num_images}")
        if self.face_px < FACE_STEP_PX or self.face_px % FACE_STEP_PX:
            faults.append(f"--face_px must be a multiple of {FACE_STEP_PX}, got {self.face_px}")
        for name in ("output", "grid"):
            path = getattr(self, name)
            if path is not None and not path.parent.is_dir():
                faults.append(f"--{name}: the folder {path.parent} does not exist, make it first")
        faults += ending_faults("--grid", self.grid)
        raise_all(faults, ConfigError)


def run(config: EvaluateUpscalerConfig) -> dict:
    """Measure as configured, print the numbers and return them."""
    config.check()
    discriminator = load_discriminator(config.model)
    folder = Path(config.upscaler or (config.model or default_model_folder()) / Path("upscaler"))
    if not (folder / "config.json").is_file():  # else the name would be taken for one on the Hub
        raise WeightsError(f"{folder} has no config.json: expected an upscaler; train one with train_upscaler.py")
    upscaler = Upscaler.from_pretrained(folder).eval().requires_grad_(False)
    options = dict(image_column=config.image_column, limit=config.num_images, face_px=config.face_px)
    images = load_faces(config.dataset_name, config.split, **options).images
    result = measure(upscaler, images, discriminator)
    for case, methods in result.items():
        for method, numbers in methods.items():
            print(f"{case:32s} {method:8s} " + "  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))
    times = time_once(upscaler) | {"threads": torch.get_num_threads()}
    print("  ".join(f"{name} {value:.4g}" for name, value in times.items()))
    record = {"num_images": len(images), "face_px": config.face_px, "cases": result, "times": times}
    if config.output is not None:
        config.output.write_text(json.dumps(record, indent=1) + "\n")
    if config.grid is not None:
        save_grid(upscaler, images, config.grid)
    return record


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    config = tyro.cli(EvaluateUpscalerConfig, args=arguments, use_underscores=True)
    keep_freed_memory()
    run(config)


if __name__ == "__main__":
    sys.exit(main())
