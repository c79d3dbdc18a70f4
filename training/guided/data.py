"""Pairs that the guided upscaler learns from, and the batches cut out of them.

A pair is a drawing by formula at the size of the photo, and the same look at a half and a quarter of it as it comes to
the network in use: rendered small, rendered on the generator's reconstruction of the face instead of the photo, or
drawn by a pack itself. The photo stays as it is in all of them, so that the network learns whom to trust.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan_space.errors import DataError
from gan_space.images import from_uint8, to_uint8
from gan_space.models.guided_upscaler import FACTOR
from gan_space.packs.style import StylePack, finish_with_packs
from gan_space.portraits.colors import missing_colors
from gan_space.whole_files import whole_file
from training.common.model_bundle import ModelBundle
from training.guided.looks import GROUNDS, HELD_BACK, random_look
from training.packs.looks import render_look

QUARTER = FACTOR**2
STEP_PX = 8  # sizes are whole multiples: a quarter of them is even
BATCH = 32
BLUR_TAPS = 7


class Pairs(NamedTuple):
    """N photos and one drawing of each, uint8."""

    photos: Tensor  # [N, 3, S, S]
    drawings: Tensor  # [N, 3, S, S], by formula
    halves: Tensor  # [N, 3, S / 2, S / 2], the same look as it comes to the network
    quarters: Tensor  # [N, 3, S / 4, S / 4]
    half_sources: Tensor  # [N, 3, S / 2, S / 2], what it was drawn from: the photo, or the model's redrawing of it
    quarter_sources: Tensor  # [N, 3, S / 4, S / 4]

    def save(self, file: Path) -> None:
        """Write a safetensors file."""
        with whole_file(file) as partial:
            save_file(self._asdict(), partial)

    @classmethod
    def load(cls, file: Path) -> Pairs:
        """Read what `save` wrote.

        Raises:
            DataError: not such a file.
        """
        try:
            tensors = load_file(file)
            return cls(*(tensors[name] for name in cls._fields))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{file} holds no pairs ({error}): make them with training/guided/make_pairs.py") from error
        except Exception as error:  # safetensors has errors of its own, without a common class
            raise DataError(f"{file} is no safetensors file ({error})") from error


class GuidedBatch(NamedTuple):
    """Patches for one step, in [-1, 1]; P is their side."""

    photos: Tensor  # [N, 3, P, P]
    targets: Tensor  # [N, 3, P, P]
    halves: Tensor  # [N, 3, P / 2, P / 2]
    quarters: Tensor  # [N, 3, P / 4, P / 4]
    half_sources: Tensor  # [N, 3, P / 2, P / 2]
    quarter_sources: Tensor  # [N, 3, P / 4, P / 4]


def resized(images: Tensor, side: int) -> Tensor:
    """Resize [N, 3, H, W] in [-1, 1] -> [N, 3, side, side], antialiased; averages of whole pixels where it can be."""
    if images.shape[-1] % side == 0:
        return F.avg_pool2d(images, images.shape[-1] // side)
    images = F.interpolate(images, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return images.clamp(-1, 1)


@torch.no_grad()
def draw_random(
    faces: Tensor, base: ModelBundle | None, random: torch.Generator, *, redrawn_share: float = 0.5
) -> Pairs:
    """Return one random look for each face.

    Args:
        faces: [N, 3, S, S] uint8.
        base: reconstructs faces; None: all small drawings are made of the photo itself.
        redrawn_share: share of the small drawings that are made of the reconstruction.
    """
    families = tuple(name for name in GROUNDS if name not in HELD_BACK)
    side, parts = faces.shape[-1], []
    for part in faces.split(BATCH):
        photos = from_uint8(part)
        sources = photos
        if base is not None:
            redrawn = base.reconstruct(resized(photos, base.encoder.resolution)).clamp(-1, 1)
            sources = resized(redrawn, side // FACTOR)
        for photo, source in zip(photos[:, None], sources[:, None], strict=True):
            look = random_look(random, families)
            small = source if torch.rand([], generator=random) < redrawn_share else photo
            small = [resized(small, side // factor) for factor in (FACTOR, QUARTER)]
            parts.append(_as_bytes(photo, look.render(photo), *map(look.render, small), *small))
    return join(parts)


@torch.no_grad()
def draw_by_pack(faces: Tensor, base: ModelBundle, pack: StylePack, look: str) -> Pairs:
    """Return what a pack draws of faces [N, 3, S, S] uint8, beside the formula that it was tuned towards."""
    side, parts = faces.shape[-1], []
    for part in faces.split(BATCH):
        photos = from_uint8(part)
        pictures = drawn_and_source(resized(photos, base.encoder.resolution), base, pack)
        small = [resized(picture, side // factor) for picture in pictures for factor in (FACTOR, QUARTER)]
        parts.append(_as_bytes(photos, render_look(look, photos), *small))
    return join(parts)


def drawn_and_source(crops: Tensor, base: ModelBundle, pack: StylePack) -> tuple[Tensor, Tensor]:
    """Return what a pack makes of faces [N, 3, R, R], and what the model makes of them without one: in [-1, 1]."""
    code = base.encoder(crops)
    drawn = finish_with_packs(base.generator, code.state, code.w_plus, [(pack, 1.0)]).clamp(-1, 1)
    plain = base.reconstruct(crops)
    return drawn, (plain + missing_colors(plain, crops, base.encoder.resolution)).clamp(-1, 1)


def _as_bytes(*pictures: Tensor) -> Pairs:
    return Pairs(*(to_uint8(one) for one in pictures))


def join(pairs: list[Pairs]) -> Pairs:
    """Return all pairs of several."""
    return Pairs(*(torch.cat(column) for column in zip(*pairs, strict=True)))


def make_batch(
    pairs: Pairs, rows: Tensor, random: torch.Generator, *, patch_px: int = 96, spoil: float = 1.0
) -> GuidedBatch:
    """Cut one patch out of each of the N pairs named, mirrored now and then, small drawings spoiled.

    Args:
        random: on the CPU; the result depends on nothing else.
        patch_px: P, a multiple of 8.
        spoil: share of the usual blur, bends, blots and drifting colours; 0 leaves the small drawings alone.
    """
    places = (pairs.photos.shape[-1] - patch_px) // STEP_PX + 1
    corners = (torch.rand(len(rows), 2, generator=random) * places).long() * STEP_PX
    mirrored = torch.rand(len(rows), generator=random) < 0.5
    # Colours of photo and drawing are swapped alike in some: looks come in more colours than formulas have.
    orders = torch.rand(len(rows), 3, generator=random).argsort(dim=1)
    swapped = torch.rand(len(rows), generator=random) < 0.3

    def cut(images: Tensor, factor: int, drawn: bool) -> Tensor:
        side = patch_px // factor
        patches = []
        for n, row in enumerate(rows.tolist()):
            top, left = (corners[n] // factor).tolist()
            patch = images[row, :, top : top + side, left : left + side]
            patch = patch[orders[n]] if drawn and swapped[n] else patch
            patches.append(patch.flip(2) if mirrored[n] else patch)
        return from_uint8(torch.stack(patches))

    photos, targets = cut(pairs.photos, 1, False), cut(pairs.drawings, 1, True)
    halves, quarters = cut(pairs.halves, FACTOR, True), cut(pairs.quarters, QUARTER, True)
    sources = cut(pairs.half_sources, FACTOR, False), cut(pairs.quarter_sources, QUARTER, False)
    spoiled = spoil_drawings(halves, random, spoil), spoil_drawings(quarters, random, spoil)
    return GuidedBatch(photos, targets, *spoiled, *sources)


def spoil_drawings(drawn: Tensor, random: torch.Generator, amount: float) -> Tensor:
    """Blur, bend, blot and tint some of [N, 3, h, w], as generators do."""
    num, _, height, width = drawn.shape

    def chance(share: float) -> Tensor:
        return (torch.rand(num, generator=random) < share * amount).view(-1, 1, 1, 1)

    def field(channels: int, px: float) -> Tensor:
        """Smooth noise about [-1, 1], with a bump every `px` pixels."""
        cells = [max(2, round(side / px)) for side in (height, width)]
        coarse = 2 * torch.rand(num, channels, *cells, generator=random) - 1
        return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)

    def level(most: float) -> Tensor:
        return most * torch.rand(num, 1, 1, 1, generator=random)

    # Short bends put blots of the look's own colours beside where they belong, long ones move whole edges.
    bend = field(2, 10) * level(1.0) * chance(0.25) + field(2, 4) * level(2.5) * chance(0.2)
    bend = bend * 2 / width
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1)  # x, y
    drawn = F.grid_sample(drawn, places + bend.permute(0, 2, 3, 1), padding_mode="border", align_corners=True)
    blurred = blur_small(drawn, 0.3 + 0.9 * torch.rand(num, generator=random))
    drawn = torch.where(chance(0.08), blurred, drawn)
    drawn = drawn + field(1, 4) * level(0.2) * chance(0.15) + field(3, 24) * level(0.2) * chance(0.1)
    return drawn.clamp(-1, 1)


def blur_small(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur [N, C, H, W] with a width of its own, in px, for each picture: sigma [N], above 0."""
    num, channels = images.shape[:2]
    offsets = torch.arange(BLUR_TAPS) - BLUR_TAPS // 2
    taps = torch.exp(-0.5 * (offsets / sigma[:, None]).square())  # [N, taps]
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    stack = F.pad(images.reshape(1, num * channels, *images.shape[2:]), (BLUR_TAPS // 2,) * 4, mode="reflect")
    stack = F.conv2d(stack, taps[:, None, None], groups=num * channels)
    return F.conv2d(stack, taps[:, None, :, None], groups=num * channels).view_as(images)
