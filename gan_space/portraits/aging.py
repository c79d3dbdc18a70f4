"""Make the face in a photo look older or younger out of the photo's own detail.

Three things come together on skin, all in the logarithm of lightness, so that they mean the same in light and shade:

1. **What age does to faces on average** (`training/shape/fit_age.py`): where folds fall, bags hang and lips pale, as a
   map over the average face, fitted on labelled faces with sex, smile, pose and group held still. It has no mean and
   no slow part, so skin becomes neither lighter nor darker.
2. **The photo's own lines**, made deeper where age makes lines; how youth fills them: `portraits/youth.py`.
3. **Fine lines** along the mesh, drawn (`portraits/wrinkles.py`), since averages have none and young skin shows none.

Beside them hairs turn grey, or grey ones dark (`portraits/greying.py`, those of the head `portraits/hair_age.py`),
lips lose colour, and a little of the shape goes along (`shape_of_age`): age moves landmarks hardly on average, but a
heavier jaw, thinner lips and hanging lids are seen.

The map is over the average face; piecewise linear between the landmarks it lies on this one, and only where there is
skin: not on hair that hangs into the face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.faces.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from gan_space.faces.masks import draw_soft
from gan_space.faces.mesh import check_landmarks, face_frame, find_places
from gan_space.faces.monochrome import find_tone
from gan_space.faces.regions import find_skin
from gan_space.faces.shape import SLIDERS, Slider, value_faults
from gan_space.images import smooth_step
from gan_space.photos.opening import check_photo
from gan_space.portraits.folds import BOX, facing, roughness
from gan_space.portraits.greying import change_hairs, find_hairs, find_own_dark
from gan_space.portraits.hair_age import Hair, beside_beard, change_hair, skin_brightness
from gan_space.portraits.wrinkles import draw_wrinkles
from gan_space.portraits.youth import BANDS, clear_eyes, even_colors, fill_lines

AGE_SLIDER = Slider(-3.0, 2.5, "folds deepen, hair, brows and beards turn grey; at +2.5 a witness sees over four years")
AGE_FILE = "age.safetensors"  # in the folder of the shape model
TEXTURE_PX = 240  # of a face unit, where wrinkles are drawn
_STEPS = 3.0  # the map is from 25 to 65 years, drawn in full at this amount
_DARKER, _LIGHTER, _YOUNGER = 2.1, 0.8, 0.05  # how much of the map is drawn: its shades, its lights, backwards
_WRINKLES, _YOUNG_EDGE = 1.05, 0.12  # face units inside the mesh over which lines begin to fill
_BAND_SIGMAS = (0.006, 0.012, 0.024, 0.048)  # face units, of the photo's own lines
_BLUR_PX = 3.0  # wider blurs are done in a smaller picture
_FINEST_PX = 0.75  # what differs from pixel to pixel is grain or pores, whatever the size of the face
# How much of each band. Pores and fine lines have one size: they stay, and what is finer gets crisper.
_DEEPEN = (0.3, 0.8, 1.0, 0.6)
_FOLD_COLOR = np.float32([0.18, 0.12])  # a* and b* that a unit of darkening adds
# Light skin lights its own folds, and white is washed out: lightness of 255, and what goes from the change there.
_LIGHT_FROM, _LIGHT_TO, _LIT_FOLDS = 165, 245, 0.5
_ON_SMOOTH = 0.65  # what is drawn on skin without texture
_DISSOLVED = 0.035  # face units by which lines are blurred on skin that has none
_LIPS_PALE, _LIPS_RED, _LIPS_MOST = 0.35, 0.2, (12.0, 6.0)  # of their difference from skin with age and youth; at most
# What goes with it at both ends, in steps of the sliders for shape: jaws get heavy, lids hang, lips get thin.
_OLD_SHAPE = {"v_line": -0.5, "lip_fullness": -0.9, "eyes_open": -0.6, "face_length": 0.15}
# A shorter face or nose would be a child's.
_YOUNG_SHAPE = {"v_line": 0.7, "lip_fullness": 0.9, "eye_size": 0.7, "eyes_open": 0.4}
_BESIDE_HAIR = 1.2  # how much more of a beard turns grey where hair does: silver hair over a dark beard looks dyed
_BEARDED = 0.6  # of `Hairs.beard`, from which what hangs beside a mouth is no hair of the head
_GREY_FROM, _UNKNOWN_GREY = (33.0, 46.0), 0.35  # years that faces with grey hair look; how far it is believed without
_LIPS_EDGE = 0.03  # face units, of eyes as well
_OFFSET = 6.0  # of lightness in its logarithm: noise in the dark is no line


@dataclass(frozen=True, eq=False)
class AgeModel:
    """What age does to faces on average, over the average face.

    Attributes:
        change: [3, h, w] from 25 to 65 years: a hundred times the logarithm of CIE L*, and a* and b*.
        lines: [h, w] where age makes lines, 0 to 1.
        mean: [468, 2] the average face in its own frame.
    """

    change: np.ndarray
    lines: np.ndarray
    mean: np.ndarray

    @classmethod
    def load(cls, folder: str | Path, mean: np.ndarray) -> AgeModel:
        """Read age.safetensors.

        Raises:
            WeightsError: the file is missing or damaged.
        """
        from safetensors.numpy import load_file

        try:
            tensors = load_file(Path(folder) / AGE_FILE)
            change, lines = (tensors[name].astype(np.float32) for name in ("change", "lines"))
        except Exception as error:  # safetensors has errors of its own
            raise WeightsError(f"no age model can be read from {folder}: {error!r}") from error
        if change.ndim != 3 or change.shape != (3, *lines.shape):
            raise WeightsError(f"{folder}: the age map is {change.shape}, its lines {lines.shape}")
        return cls(change, lines, mean)

    @cached_property
    def lines_px(self) -> np.ndarray:
        """[H, W] `lines` as large as the textures."""
        size = (round((BOX[2] - BOX[0]) * TEXTURE_PX), round((BOX[3] - BOX[1]) * TEXTURE_PX))
        return cv2.resize(self.lines, size, interpolation=cv2.INTER_CUBIC)

    @cached_property
    def textures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[H, W, 4] for older and for younger: lightness, a*, b*, and how much lines deepen; at a full step.

        And [H, W], what smooth skin does not show of the older lightness: the sharpness of its lines.
        """
        size = (round((BOX[2] - BOX[0]) * TEXTURE_PX), round((BOX[3] - BOX[1]) * TEXTURE_PX))
        light, a, b, lines = (
            cv2.resize(one, size, interpolation=cv2.INTER_CUBIC) for one in (*self.change, self.lines)
        )
        places = (self.mean - BOX[:2]) * TEXTURE_PX

        def part(outline: tuple[int, ...], feather: float) -> np.ndarray:
            return draw_soft([places[list(outline)]], size[::-1], feather * TEXTURE_PX, (0, 0, *size)).values

        eyes = part(LEFT_EYE, 0.06) + part(RIGHT_EYE, 0.06)
        brows, lips = part(LEFT_BROW, 0.08) + part(RIGHT_BROW, 0.08), part(LIPS_OUTER, 0.05)
        # The mesh ends where hair and background begin.
        inside = cv2.distanceTransform((part(FACE_OVAL, 0) > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / TEXTURE_PX
        face = smooth_step(inside, 0, 0.3) * (1 - eyes.clip(0, 1)) * (1 - part(LIPS_INNER, 0.05))
        skin = face * (1 - lips) * (1 - brows.clip(0, 1))
        shade = np.minimum(light, 0).clip(-15, 0) * _DARKER + np.maximum(light, 0).clip(0, 9) * _LIGHTER
        shade *= face * (1 - 0.5 * lips) * (1 - 0.6 * brows.clip(0, 1))
        wrinkles = _WRINKLES * draw_wrinkles(TEXTURE_PX, BOX)
        dissolved = cv2.GaussianBlur(wrinkles, (0, 0), _DISSOLVED * TEXTURE_PX)
        bare = face * (1 - lips) * (1 - 0.6 * brows.clip(0, 1))
        weight = (0.25 + lines) * skin
        colors = (a * face * (1 - lips), b * face * (1 - lips))
        older = np.dstack([shade + wrinkles * bare, *colors, 1.3 * weight])
        wide = smooth_step(inside, 0, _YOUNG_EDGE) * (1 - eyes.clip(0, 1)) * (1 - part(LIPS_INNER, 0.05))
        wide *= (1 - lips) * (1 - brows.clip(0, 1))
        younger = np.dstack([_YOUNGER * shade, *colors, (0.4 + lines).clip(0, 1) * wide])
        crisp = (wrinkles - dissolved) * bare
        return older.astype(np.float32), younger.astype(np.float32), crisp.astype(np.float32)


def shape_of_age(amount: float, shapes: Mapping[str, float] | None = None) -> dict[str, float]:
    """Add the shape that goes with an age to what is asked for, within the ranges of the sliders.

    Args:
        amount: as `AGE_SLIDER` says.
        shapes: amounts of `gan_space.faces.shape.SLIDERS`.

    Raises:
        InputError: an unknown slider, or an amount out of range; all faults at once.
    """
    both = dict(shapes or {})
    raise_all(value_faults(both) + value_faults({"age": amount}, {"age": AGE_SLIDER}), InputError)
    if amount:
        ends, share = (_OLD_SHAPE, amount / AGE_SLIDER.high) if amount > 0 else (_YOUNG_SHAPE, amount / AGE_SLIDER.low)
        for name, end in ends.items():
            slider = SLIDERS[name]
            both[name] = min(max(both.get(name, 0.0) + share * end, slider.low), slider.high)
    return both


def change_age(
    photo: Tensor, landmarks, amount: float, model: AgeModel, hair: Hair | None = None, years: float | None = None
) -> Tensor:
    """Make skin, lips and hairs of one face look older or younger; its shape is for `shape_of_age`.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
        amount: as `AGE_SLIDER` says; 0 gives the photo.
        model: from `AgeModel.load`.
        hair: of the head, from `find_hair`, where it is in this photo; None leaves it as it is.
        years: how old the face looks: pale hair of the young is fair or dyed, that of others grey, and youth gives it
            its colour back; None where nobody knows.

    Returns:
        A new photo of the same size; equal to the bit outside of the face, its hair, and a beard that hangs below it.

    Raises:
        InputError: an amount out of range, or another form of photo or landmarks.
    """
    landmarks = check_landmarks(landmarks)
    raise_all(value_faults({"age": amount}, {"age": AGE_SLIDER}), InputError)
    height, width = check_photo(photo).shape[1:]
    unit = face_frame(landmarks).frame_px
    outline = landmarks[list(FACE_OVAL)]
    left, top = np.floor(outline.min(axis=0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(outline.max(axis=0)).astype(int).clip(0, (width, height))
    part = np.ascontiguousarray(photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    if not amount or 0 in part.shape:
        return photo.clone()
    box = (int(left), int(top), int(right), int(bottom))
    places = find_places(landmarks, model.mean, box)  # [h, w, 2] of the average face
    where = (places - np.float32(BOX[:2])) * TEXTURE_PX - 0.5
    share = abs(amount) / _STEPS
    texture = model.textures[0 if amount > 0 else 1]
    drawn = cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    hairs = find_hairs(photo, landmarks, grey=amount < 0)
    bare = find_skin(landmarks, photo, box)
    skin = share * bare
    drawn *= skin[..., None]

    lab = cv2.cvtColor(part, cv2.COLOR_RGB2LAB)  # lightness and colours in 0 ... 255
    table = (100 * np.log(np.arange(256) / 2.55 + _OFFSET)).astype(np.float32)
    light = table[lab[..., 0]]
    bands = _BAND_SIGMAS if amount > 0 else BANDS
    levels = [light, *(_blurred(light, max(sigma * unit, _FINEST_PX)) for sigma in bands)]
    if amount > 0:
        lines = np.zeros_like(light)
        for share_of_band, fine, coarse in zip(_DEEPEN, levels, levels[1:], strict=False):
            band = fine - coarse
            lines += share_of_band * np.minimum(band, 0.3 * band)  # valleys whole
        rough = roughness(places, levels[2] - levels[3])
        if rough < 1:
            crisp = cv2.remap(model.textures[2], where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
            drawn[..., 0] -= (1 - rough) * skin * crisp
        drawn[..., 0] *= (_ON_SMOOTH + (1 - _ON_SMOOTH) * rough) * facing(places, unit)
        change = drawn[..., 0] + drawn[..., 3] * lines.clip(-22, 12)
        white = (levels[-1] - table[_LIGHT_FROM]) / (table[_LIGHT_TO] - table[_LIGHT_FROM])
        change *= 1 - _LIT_FOLDS * smooth_step(white, 0, 1)
    else:
        folds = cv2.remap(model.lines_px, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        change = fill_lines(levels, drawn[..., 3], folds) - drawn[..., 0]
    weight = np.abs(drawn[..., 3])
    if weight.any():  # deeper lines are darker lines: what they take all skin gives back
        change -= weight * float((change * weight).sum() / (weight * weight).sum().clip(1e-6))
    result = lab.astype(np.float32)
    result[..., 0] = (result[..., 0] + 2.55 * _OFFSET) * cv2.exp(change / 100) - 2.55 * _OFFSET
    # Folds are lit by skin: what gets darker gets redder, above all where the light has washed skin's colour out.
    in_color = find_tone(photo, landmarks) is None
    if in_color:
        result[..., 1:] += np.sign(amount) * drawn[..., 1:3] + (lab[..., :1] - result[..., :1]).clip(0) * _FOLD_COLOR
    else:  # a photo in one tone keeps it
        result[..., 1:] = 128 + (result[..., 1:] - 128) * (result[..., :1] / np.maximum(lab[..., :1], 1))
    outlines = (landmarks[list(LIPS_OUTER)], landmarks[list(LIPS_INNER)])
    outer, inner = (draw_soft([one], (height, width), _LIPS_EDGE * unit, box).values for one in outlines)
    lips = outer * (1 - inner)
    if in_color:
        _change_lips(result, lips, bare, amount)
    eyes = np.zeros_like(lips)
    if amount < 0:
        if in_color:
            even_colors(result, drawn[..., 3], unit)
        lids = [landmarks[list(one)] for one in (LEFT_EYE, RIGHT_EYE)]
        eyes = draw_soft(lids, (height, width), _LIPS_EDGE * unit, box).values
        lit = lab[::4, ::4][bare[::4, ::4] > 0.9]
        typical = np.median(lit, axis=0) if lit.size else np.float32([160, 140, 140])
        clear_eyes(result, eyes, typical, unit, share, in_color)
    result = cv2.cvtColor(np.round(result).clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    touched = (cv2.inRange(drawn, (-1e-3,) * 4, (1e-3,) * 4) == 0) | (lips > 0) | (eyes > 0)
    touched = touched[..., None]
    photo = photo.clone()
    photo[:, top:bottom, left:right] = torch.from_numpy(np.where(touched, result, part)).permute(2, 0, 1)
    step = amount / (AGE_SLIDER.high if amount > 0 else -AGE_SLIDER.low)
    dark = None
    if amount < 0:
        grey = _UNKNOWN_GREY if years is None else float(smooth_step(np.float32(years), *_GREY_FROM))
        darkest = None if hair is None else hair.dark
        dark = find_own_dark(photo, hairs, skin_brightness(photo, landmarks), darkest, grey)
    change_hairs(photo, hairs, step, 1.0 if hair is None or amount < 0 else _BESIDE_HAIR, dark)
    if hair is not None:
        bearded = hairs.beard.size > 0 and float(hairs.beard.max()) > _BEARDED
        change_hair(photo, beside_beard(hair, landmarks) if bearded and amount > 0 else hair, step, dark)
    return photo


def _blurred(light: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur; a wide one needs no pixels."""
    step = int(sigma / _BLUR_PX)
    if step < 2 or min(light.shape) < 4 * step:
        return cv2.GaussianBlur(light, (0, 0), sigma)
    small = cv2.resize(light, (light.shape[1] // step, light.shape[0] // step), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), (sigma**2 - step**2 / 6) ** 0.5 / step)  # less what resizing blurs
    return cv2.resize(small, light.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _change_lips(lab: np.ndarray, lips: np.ndarray, bare: np.ndarray, amount: float) -> None:
    """Let lips lose colour to the skin around them with age, or win some, in place."""
    skin = lab[::4, ::4, 1:][bare[::4, ::4] > 0.9]
    if not len(skin):
        return
    rows, columns = (np.flatnonzero(lips.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    colors = lab[cut][..., 1:]
    away = colors - np.median(skin, axis=0)
    older = amount > 0
    share = _LIPS_PALE * amount / AGE_SLIDER.high if older else -_LIPS_RED * amount / AGE_SLIDER.low
    most = _LIPS_MOST[0 if older else 1]
    colors -= lips[cut][..., None] * (share * away).clip(-most, most)
