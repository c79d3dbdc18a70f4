"""A photo prepared for drawing: at a bounded size, its light evened face by face, its eyes and lips known.

Pictures are [1, C, H, W] float32 in [0, 1]; lengths are fractions of `unit`, the width of a face's tight frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import LEFT_EYE, LEFT_EYE_CORNERS, RIGHT_EYE, RIGHT_EYE_CORNERS, Landmarks
from gan_space.faces.masks import Mask, draw_soft, smooth_outline
from gan_space.faces.mesh import face_frame
from gan_space.faces.regions import find_region
from gan_space.images import luminance
from gan_space.looks.drawing import strokes
from gan_space.looks.drawing.beards import find_beards
from gan_space.looks.drawing.blocks import blur, drop_specks, enlarge, ramp, resize
from gan_space.looks.drawing.by_face import FaceSkins, light_on, told_apart
from gan_space.looks.drawing.eye_patch import EyePatch
from gan_space.looks.drawing.redness import level_redness
from gan_space.photos.opening import to_rows

MAX_PIXELS = 3_000_000  # of a canvas; a larger photo is drawn at this size and enlarged
MAX_SIDE_PX = 32_000  # OpenCV remaps nothing larger
FINE_UNIT_PX = 440.0  # a smaller face is drawn at up to twice its size, so that strokes have room
_FACELESS_UNIT = 0.45  # of the photo's short side
_UNIT_RANGE = (0.15, 1.0)  # of the photo's short side: strokes for a face far away would be dust elsewhere
_GRAIN_CELLS = 512  # side of the noise that is repeated
_GRAIN_PER_UNIT = 440.0
# Strands: luminance at which logarithms bend, half of a strand's width in units, deviation of even darkness, and the
# share of the deviation around from which there is a strand, and over which it becomes full.
_DIM, _STRAND, _EVEN, _STRAND_LEVEL = 0.02, 0.006, 0.08, (0.07, 0.08)
_EYES = ((LEFT_EYE, LEFT_EYE_CORNERS), (RIGHT_EYE, RIGHT_EYE_CORNERS))


T = TypeVar("T")


@dataclass(frozen=True)
class Canvas:
    """What a drawing is made from.

    Attributes:
        x: [1, 3, h, w] the photo at the canvas's size.
        unit: width of the faces' tight frame in canvas pixels.
        faces: their landmarks in canvas pixels.
        seed: of paper, grain and strokes.
    """

    x: Tensor
    unit: float
    faces: tuple[Landmarks, ...]
    seed: int
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, pixels: Tensor, marks: Sequence[Landmarks], seed: int) -> Canvas:
        """Prepare [3, H, W] uint8 pixels for drawing."""
        height, width = pixels.shape[1:]
        short = min(height, width)
        widths = [face.transform.frame_px for face in marks] or [_FACELESS_UNIT * short]
        unit = float(np.clip(max(widths), _UNIT_RANGE[0] * short, _UNIT_RANGE[1] * short))
        scale = min(math.sqrt(MAX_PIXELS / (height * width)), max(1.0, min(FINE_UNIT_PX / unit, 2.0)))
        if abs(scale - 1) < 0.1:
            scale = 1.0 if height * width <= 1.1 * MAX_PIXELS else scale
        scale = min(scale, MAX_SIDE_PX / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = pixels.cpu()
        if size != (height, width):
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            photo = cv2.resize(to_rows(pixels), size[::-1], interpolation=how)
            pixels = torch.from_numpy(np.stack(cv2.split(photo)))
        x = pixels.float().div_(255)[None]
        factor = np.array([size[1] / width, size[0] / height])
        faces = tuple(replace(face, points=face.points * factor) for face in marks)
        return cls(x, unit * scale, faces, seed)

    def once(self, name: str, find: Callable[[Canvas], T]) -> T:
        """Return what several drawings need to know of the photo: found by the first that asks."""
        if name not in self._found:
            self._found[name] = find(self)
        return self._found[name]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return tuple(self.x.shape[-2:])

    @cached_property
    def y(self) -> Tensor:
        """Luminance of the photo, [1, 1, h, w]."""
        return luminance(self.x)

    def blur(self, x: Tensor, sigma: float) -> Tensor:
        """Blur as `blocks.blur` does, in units of this canvas."""
        return blur(x, sigma, self.unit)

    # --- where the parts of faces are ---

    @cached_property
    def pixels(self) -> Tensor:
        """The photo at the canvas's size, [3, h, w] uint8."""
        return (self.x[0] * 255 + 0.5).to(torch.uint8)

    def _join(self, masks: Sequence[tuple[Mask, float]]) -> Tensor:
        """Masks of several faces, each with its weight, as one [1, 1, h, w]."""
        whole = np.zeros(self.size, np.float32)
        for mask, weight in masks:
            left, top, right, bottom = mask.box
            part = whole[top:bottom, left:right]
            np.maximum(part, weight * mask.values, out=part)
        return torch.from_numpy(whole)[None, None]

    def region(self, name: str, feather: float | None = None) -> Tensor:
        """Mark a region of `faces.regions` in all faces, [1, 1, h, w]; empty without faces."""
        return self._join([(find_region(face.points, name, self.size, feather), 1.0) for face in self.faces])

    @cached_property
    def eye_patches(self) -> list[EyePatch]:
        """Every eye that is not covered, with its lashes and the fold of its lid."""
        patches = []
        for face in self.faces:
            frame = face_frame(face.points)
            for outline, covered in zip(_EYES, face.covered[:2], strict=True):
                points = smooth_outline(face.points, outline)
                middle = frame.apply(points).mean(axis=0)
                wide = middle + (frame.apply(points) - middle) * (1.2, 1.5) + (0.0, -0.01)
                mask = draw_soft([frame.inverse.apply(wide)], self.size, 0.07 * frame.frame_px)
                left, top, right, bottom = mask.box
                if min(right - left, bottom - top) < 8 or covered > 0.5:
                    continue
                x = self.x[..., top:bottom, left:right]
                inside = draw_soft([points], self.size, 0.02 * frame.frame_px, mask.box).values > 0.5
                mask = torch.from_numpy(mask.values * (1 - float(covered)))[None, None]
                patches.append(EyePatch.of(x, (top, bottom, left, right), mask, inside, self.unit))
        return patches

    def put_eyes(self, drawn: Tensor, picture: Callable[[EyePatch], Tensor], amount: float = 0.85) -> Tensor:
        """Draw the eyes anew, in place, so that they stay eyes whatever was flattened around them.

        Args:
            drawn: [1, C, h, w], changed in place.
            picture: of a patch [1, C, h, w].
            amount: how much of it is seen in the middle of an eye.
        """
        for patch in self.eye_patches:
            top, bottom, left, right = patch.box
            under = drawn[..., top:bottom, left:right]
            under += (picture(patch) - under) * (amount * patch.mask)
        return drawn

    @cached_property
    def brows(self) -> Tensor:
        """Where brows are, in [0, 1]."""
        return self.region("brows")

    @cached_property
    def lips(self) -> Tensor:
        """Where mouths are, in [0, 1]."""
        return self.region("mouth")

    @cached_property
    def skin(self) -> Tensor:
        """Skin of the faces without eyes, brows and lips."""
        return self.region("skin")

    def of_each(self, name: str) -> Iterator[Tensor]:
        """Mark a region of `faces.regions` in every face by itself, [1, 1, h, w] each; one after the other."""
        return (self._join([(find_region(face.points, name, self.size), 1.0)]) for face in self.faces)

    @cached_property
    def units(self) -> list[float]:
        """Width of each face's own tight frame in canvas pixels, bounded as `unit` is."""
        short = min(self.size)
        bounds = [part * short for part in _UNIT_RANGE]
        widths = [float(np.clip(face.transform.frame_px, *bounds)) for face in self.faces]
        return [self.unit * (width / max(widths)) for width in widths]

    def skins(self, size: tuple[int, int]) -> FaceSkins | None:
        """Return the skin of each face at a small `size`; None where none is seen."""
        factor = size[1] / self.size[1]
        small, units = [resize(skin, size) for skin in self.of_each("skin")], [factor * unit for unit in self.units]
        return FaceSkins.of(told_apart(small, resize(self.x, size), units) if len(small) > 1 else small, units)

    # --- light ---

    def even(self, y: Tensor, mid: float = 0.52, spread: float = 0.23, grey: bool = True) -> Tensor:
        """Bring a luminance to one middle and contrast by the skin of the faces, softly bounded at both ends.

        One curve for a face and all that is near it, so that a neck is drawn as its face and a ground has no halo;
        between faces it goes over from one to the other. A dark face is drawn a little darker than a light one, no
        more: its shadows and highlights have as much room. `grey`: for a drawing without colours, see `level_redness`.
        """
        size = tuple(y.shape[-2:])
        mean, std = resize(self._lit, size).split(1, dim=1)
        if grey and self.faces:
            y = y + resize(self._unflushed, size)
        evened = torch.sigmoid((y - mean).mul_(4.4 * spread).div_(std))
        return (evened + (mid - 0.5)).sub_(0.05).div_(0.9).clamp_(0, 1)

    @cached_property
    def _lit(self) -> Tensor:
        """Middle and contrast of the photo's luminance around each place, [1, 2, h, w], small: they change slowly."""
        step = max(1, int(0.04 * self.unit))
        size = (math.ceil(self.size[0] / step), math.ceil(self.size[1] / step))
        small = resize(self.shrunk.y, size)
        faces = self.shrunk.skins(size)
        if faces is not None:
            return faces.blend([light_on(skin, small, unit) for skin, unit in faces])
        unit = self.unit * size[1] / self.size[1]
        local = blur(small, 0.45, unit)
        mean = 0.5 * small.mean() + 0.5 * local
        std = 0.5 * small.std() + 0.5 * (blur(small**2, 0.45, unit) - local**2).clamp(min=0).sqrt()
        std = std.clamp(min=0.09)
        return torch.cat([mean, std], dim=1)

    @cached_property
    def _unflushed(self) -> Tensor:
        """What a drawing without colours adds to the luminance of skin and lips, [1, 1, h, w] at `work_size`."""
        small = self.shrunk
        size = tuple(math.ceil(side / max(1, int(0.03 * min(small.units)))) for side in small.size)
        faces, x = small.skins(size), resize(small.x, size)
        if faces is None:
            return torch.zeros_like(small.y)
        lips = [resize(lips, size) for number, lips in enumerate(small.of_each("lips")) if number in faces.numbers]
        found = [level_redness(x, skin, mouth, unit) for (skin, unit), mouth in zip(faces, lips, strict=True)]
        flushed, pale = zip(*found, strict=True)
        small_maps = torch.cat([torch.stack(flushed).amax(dim=0), faces.blend(pale)], dim=1)
        flushed, pale = resize(small_maps, small.size).split(1, dim=1)
        return flushed - pale * small.region("lips")

    @cached_property
    def light(self) -> Tensor:
        """The evened luminance of the photo."""
        return self.even(self.y)

    @cached_property
    def small_light(self) -> Tensor:
        """The same at `work_size`."""
        return self.even(self.shrunk.y)

    def relight(self, x: Tensor) -> Tensor:
        """Move the light of the photo half of the way to the evened one, colours kept; skin stays as dark as it is."""
        y = luminance(x)
        wanted = 0.5 * y + 0.5 * self.even(y, 0.5, grey=False)
        return x * (wanted / y.clamp(min=0.05)).clamp(0.6, 1.5)

    # --- strokes ---

    @cached_property
    def work_size(self) -> tuple[int, int]:
        """Of the smaller picture on which strokes are found."""
        return strokes.work_size(self.size, self.unit)

    @property
    def work_unit(self) -> float:
        """The unit in px of `work_size`."""
        return self.unit * self.work_size[1] / self.size[1]

    @cached_property
    def flow(self) -> np.ndarray:
        """Direction along edges and how far they agree, [3, h, w] at `work_size`."""
        return strokes.find_flow(self.small_light, self.work_unit)

    @cached_property
    def calm_flow(self) -> np.ndarray:
        """The flow, agreeing less on skin, where pores and wrinkles would make strokes swirl."""
        flow = self.flow.copy()
        flow[2] *= 1 - 0.85 * torch.maximum(self.shrunk.skin, self.foreheads)[0, 0].numpy()
        return flow

    @cached_property
    def calm(self) -> Tensor:
        """Faces up to their hair, and most of all eyes, brows and lips, where strokes are small; as `features`."""
        return torch.maximum(0.7 * torch.maximum(self.shrunk.region("face", 0.3), self.foreheads), self.features)

    @cached_property
    def foreheads(self) -> Tensor:
        """From the brows to the hair, which is above where landmarks end; [1, 1, h, w] at `work_size`."""
        small = self.shrunk
        size, photo = small.size, small.pixels
        return small._join([(find_region(face.points, "forehead", size, 0.3, photo), 1.0) for face in small.faces])

    @cached_property
    def features(self) -> Tensor:
        """Eyes, brows and lips, where lines are finer; [1, 1, h, w] at `work_size`."""
        small = self.shrunk
        parts = [small.region(name, 0.15) for name in ("eyes", "brows", "mouth")]
        return torch.stack(parts).amax(dim=0)

    @cached_property
    def _beards(self) -> list[tuple[Mask, float, float]]:
        """As `find_beards`, at `work_size`."""
        small = self.shrunk
        lips, cheeks = small.lips[0, 0].numpy(), (cheek[0, 0].numpy() for cheek in small.of_each("cheeks"))
        points = [face.points for face in small.faces]
        return find_beards(points, small.y[0, 0].numpy(), self.small_light[0, 0].numpy(), lips, cheeks, small.unit)

    @property
    def is_bearded(self) -> bool:
        """Whether a face has a beard; if none has, no hairs need be drawn."""
        return bool(self.faces) and any(much for _, _, much in self._beards)

    @cached_property
    def beard_room(self) -> Tensor:
        """Where bearded faces have beards, without the lips, [1, 1, h, w] at `work_size`."""
        return self.shrunk._join([(room, much) for room, _, much in self._beards])

    @cached_property
    def beard_hairs(self) -> Tensor:
        """Draw beards hair by hair, denser where they are darker: 1 on a hair, 0 off, [1, 1, h, w].

        Flat fields and contours make stains of a beard: its tufts have edges, but no form that lines could follow.
        """
        light = self.blur_small(self.small_light, 0.006)[0, 0].numpy()
        beards = []
        for room, cheek, much in self._beards:
            left, top, right, bottom = room.box
            dark = np.interp(light[top:bottom, left:right] / cheek, (0.2, 0.95), (1, 0)).astype(np.float32)
            beards.append((Mask(room.box, room.values * dark), much))
        down = strokes.turn_towards(self.flow, math.radians(80), 0.6)
        dark = self.enlarge(self.shrunk._join(beards))
        return ramp(0.92 * dark - self.streaks(6, down, 0.07, 1.3), 0.0, 0.14)

    @cached_property
    def shrunk(self) -> Canvas:
        """This canvas at `work_size`."""
        factor = np.array([self.work_size[1] / self.size[1], self.work_size[0] / self.size[0]])
        faces = tuple(replace(face, points=face.points * factor) for face in self.faces)
        unit = min(self.work_unit, strokes.WORK_UNIT_PX)  # rounded up, it would be shrunk once more, by a pixel
        return replace(self, x=resize(self.x, self.work_size), unit=unit, faces=faces)

    def lines(self, sigma: float) -> Tensor:
        """Say how much darker lines are than what is beside them, as `strokes.find_lines`, at `work_size`."""
        return self.once(f"lines {sigma}", lambda c: strokes.find_lines(c.small_light, c.work_unit, sigma))

    def contours(
        self,
        sigma: float,
        level: float,
        width: float,
        length: float = 0.04,
        fine: float = 0.5,
        local: bool = False,
        skin: float = 1.0,
        far: float | None = None,
        speck: float = 0.0,
    ) -> Tensor:
        """Draw lines, 1 on a line and 0 off, [1, 1, h, w]; in eyes, brows and lips `fine` times as wide.

        Args:
            sigma: half the width of a line, in units.
            level, width: contrast from which there is a line, and over which it becomes full.
            length: over which it is smoothed along the edge, in units.
            local: count contrast against what is around, so that dark hair has lines as well.
            skin: of the contrast that counts on skin, where bold lines make wrinkles of folds.
            far: `length` outside of faces, where hair has long lines; None: as inside.
            speck: square units; smaller lines outside of eyes, brows and lips are left out.
        """
        lines = self.lines(sigma)
        found = strokes.smear_lines(lines, self.flow, self.work_unit, length)
        if far:
            long = 2.0 * strokes.smear_lines(lines, self.flow, self.work_unit, far)
            found = torch.lerp(long, found, torch.maximum(self.shrunk.skin, self.features)) if self.faces else long
        if self.faces and fine < 1:
            small = strokes.find_contours(self.small_light, self.flow, self.work_unit, fine * sigma, 0.4 * length)
            found = torch.lerp(found, 1.3 * small, self.features)
        if local:
            mean, square = self.blur_small(self.small_light, 0.12), self.blur_small(self.small_light**2, 0.12)
            found = found * (0.16 / ((square - mean**2).clamp(min=0).sqrt() + 0.04)).clamp(max=2.2)
        elif self.faces:  # rouged lips are dark all over, and get no thicker lines for it
            found = found * (1 - 0.5 * self.shrunk.lips)
        if self.faces and skin < 1:
            found = found * (1 - (1 - skin) * self.shrunk.skin * ramp(self.small_light, 0.2, 0.4))  # no beard
        if speck:
            calm = drop_specks(found, level, speck * self.work_unit**2)
            found = torch.lerp(calm, found, self.features) if self.faces else calm
        return strokes.cut(found, self.size, level, width)

    @cached_property
    def strands(self) -> Tensor:
        """Find the light strands in what is dark, as in hair: 1 on one, 0 off, [1, 1, h, w]; even darkness has none."""
        return strokes.cut(self.strands_small, self.size, *_STRAND_LEVEL)

    @cached_property
    def strands_small(self) -> Tensor:
        """Say how clearly there is a light strand, [1, 1, h, w] at `work_size`; `_STRAND_LEVEL` is one."""
        shades = (self.shrunk.y + _DIM).log_()
        found = strokes.find_contours(-shades, self.flow, self.work_unit, _STRAND, 0.1)
        spread = self.blur_small(shades**2, 0.06) - self.blur_small(shades, 0.06) ** 2
        return found / (spread.clamp_(min=0).sqrt_() + _EVEN)

    def streaks(self, kind: int, direction: np.ndarray, length: float, cell: float = 1.4) -> Tensor:
        """Draw streaks of noise, evenly spread over [0, 1], along a direction at `work_size`; [1, 1, h, w]."""
        noise = self.shrunk.grain(kind, 0.0, cell)
        return resize(strokes.find_streaks(noise, direction, self.work_unit, length), self.size)

    def blur_small(self, x: Tensor, sigma: float) -> Tensor:
        """Blur as `blocks.blur` does, at `work_size`."""
        return blur(x, sigma, self.work_unit)

    def brushed(self, radius: float, sharpness: float = 8.0, part: tuple[slice, slice] | None = None) -> Tensor:
        """Paint the photo in strokes of a brush at `work_size`, [1, 3, h, w]; brows, lips and teeth hardly change.

        Args:
            radius, sharpness: as in `strokes.brush`.
            part: rows and columns that are wanted; None: all.
        """
        rows, columns = part or (slice(0, side) for side in self.work_size)
        room = math.ceil(3.5 * radius * self.work_unit)  # as far as a brush sees
        wide = [slice(max(one.start - room, 0), one.stop + room) for one in (rows, columns)]
        inner = [
            slice(one.start - out.start, one.stop - out.start) for one, out in zip((rows, columns), wide, strict=True)
        ]
        photo, flow = self.shrunk.x[(..., *wide)], np.ascontiguousarray(self.flow[(..., *wide)])
        drawn = strokes.brush(photo, flow, self.work_unit, radius, sharpness)[(..., *inner)]
        if not self.faces:
            return drawn
        return torch.lerp(drawn, self.shrunk.x[..., rows, columns], 0.75 * self.features[..., rows, columns])

    def enlarge(self, x: Tensor) -> Tensor:
        """Bring what was found at `work_size` to the canvas's size, edges kept as steep as can be."""
        return enlarge(x, self.size)

    # --- paper ---

    def border(self, kind: int, width: float = 0.15) -> Tensor:
        """Return 1 where paint is, 0 at the rim of the paper, with the uneven end of brush strokes; [1, 1, h, w]."""
        small = self.shrunk
        height, across = small.size
        rows, columns = torch.arange(height) + 0.5, torch.arange(across) + 0.5
        away = torch.minimum(
            torch.minimum(rows, height - rows)[:, None], torch.minimum(columns, across - columns)
        )  # [h, w] px from the rim
        rough = small.grain(kind, 40.0) + 0.18 * small.grain(kind + 1, 6.0)
        away = away[None, None] / min(small.unit, 0.45 * min(small.size)) + 0.25 * width * rough
        painted = ramp(away, 0.2 * width, 0.55 * width)
        # A face that nearly fills the photo is not cut off by its rim, which would make dark skin lighter.
        return self.enlarge(torch.maximum(painted, small.region("face", 0.1)) if self.faces else painted)

    def grain(self, kind: int, sigma: float = 0.0, cell: float = 1.0) -> Tensor:
        """Return noise of mean 0 and deviation 1, [1, 1, h, w], that depends on the seed and `kind` only.

        Args:
            sigma: blur in cells.
            cell: width of a cell in 1/440 units.
        """
        step = max(1, int(sigma / 2.5))  # wide clouds are made of fewer, larger cells
        side = _GRAIN_CELLS // step
        tile = _noise((self.seed * 1009 + kind * 7919) % 2**32, side, sigma / step)
        cell_px = cell * step * self.unit / _GRAIN_PER_UNIT
        matrix = np.array([[cell_px, 0, (cell_px - 1) / 2], [0, cell_px, (cell_px - 1) / 2]])  # middles of cells
        if cell_px > 0.5:  # repeated beforehand: reading over the border takes two to five times as long
            below, beside = (max(math.ceil(length / cell_px) + 3 - side, 0) for length in self.size)
            tile = cv2.copyMakeBorder(tile, 1, below + 1, 1, beside + 1, cv2.BORDER_WRAP)
            matrix[:, 2] -= cell_px
        field = cv2.warpAffine(tile, matrix, self.size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return torch.from_numpy(field)[None, None]

    def weave(self, cells: float) -> Tensor:
        """Draw threads of canvas, `cells` of 1/440 units apart, in about [-1, 1]; [1, 1, h, w]."""
        step = 2 * math.pi * _GRAIN_PER_UNIT / (cells * self.unit)
        rows, columns = torch.arange(self.size[0]) * step, torch.arange(self.size[1]) * step
        # One over, one under: a thread across is seen where the one along is hidden.
        over = torch.outer(torch.cos(rows / 2), torch.cos(columns / 2))
        return (over.abs() * 2 - 0.8)[None, None]


@lru_cache(maxsize=24)  # of 1 MB at most: papers are drawn on again and again
def _noise(seed: int, side: int, sigma: float) -> np.ndarray:
    """Noise of mean 0 and deviation 1 that can be repeated, [side, side] float32; `sigma` of its blur in cells."""
    tile = np.random.RandomState(seed).standard_normal((side, side)).astype(np.float32)
    if sigma:
        margin = math.ceil(4 * sigma)
        tile = cv2.copyMakeBorder(tile, margin, margin, margin, margin, cv2.BORDER_WRAP)
        tile = cv2.GaussianBlur(tile, (0, 0), sigma)[margin:-margin, margin:-margin]
        tile = tile / tile.std()
    tile.flags.writeable = False
    return tile
