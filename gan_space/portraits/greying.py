"""Turn brows, beards and stubble grey, strand by strand, or make them fuller.

Light strands turn first, and what is not darker than the skin around it never does. Silver hair is as light as the
light that falls on it allows, so what it becomes is told by the skin beside it, whatever the skin's own tone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from gan_space.faces.masks import draw_soft
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.faces.monochrome import find_tone
from gan_space.faces.regions import find_skin
from gan_space.images import smooth_step

_BROWS_GREY, _BEARD_GREY = 0.7, 0.8  # of hairs at a full step
_SILVER = (40.0, 0.5)  # lightness of silver hair beside skin: codes of 255, and a share of the skin's
_MOST_LIFT = 90.0  # codes
_STRAND, _TUFT = 0.02, 0.07  # face units: what is finer is a strand, told from those within this reach
_QUIET = 3.0  # codes; less contrast is no strand
_FIRST, _LAST = (0.6, 2.4), (-2.6, 0.6)  # deviations between which strands turn grey: the first ones, and all
_WARM = np.float32([0.5, 2.5])  # a* and b* of grey hair
_PALES, _PALES_MORE = 0.4, 0.5  # of the colour of all hairs, and of those that are grey
_SKIN_AROUND = 0.25  # face units from which skin tells how much light falls on hairs
_SKIN_NEAR, _ENOUGH_SKIN = 0.12, (0.3, 0.5)  # face units around a brow, and share of it that is skin
_HAIR_FROM, _HAIR_TO = 0.08, 0.3  # share of the skin's lightness that hairs are darker
_FULLER = 0.15  # how much darker hairs become with youth, of what they are darker than skin
# Where beards grow, along the jaw from ear to ear and back below the nose, and how far below the mesh.
_BEARD = (132, 58, 136, 149, 152, 378, 365, 288, 361, 425, 327, 2, 98, 205)
_JAW, _LIPS_MIDDLE, _HANGS = slice(0, 9), 13, 1.3
_CHEEKS = (118, 119, 101, 347, 348, 330, 50, 280)
_ROUGH = (1.7, 2.3)  # fine contrast of a chin against that of cheeks: shaven, and bearded
_DARK = (0.95, 0.7)  # its lightness, likewise
_STRANDS = (0.3, 0.75)  # fine contrast, of the beard's own, from which there are hairs: shade and background have none
_BELOW = (1.0, 1.5)  # face units below the eyes from which a beard may hang over the mesh
_AROUND = 0.35  # face units around the mesh that are looked at


@dataclass(frozen=True, eq=False)
class Hairs:
    """What hairs there are in and at a face, [h, w] float32 of a box in whole photo pixels.

    Attributes:
        box: left, top, right, bottom.
        brows, beard: where their hairs are, 0 to 1.
        around: lightness that skin has in the light there, in codes of 255.
        unit: face unit in px.
        in_color: False for a photo in one tone.
    """

    box: tuple[int, int, int, int]
    brows: np.ndarray
    beard: np.ndarray
    around: np.ndarray
    unit: float
    in_color: bool


def find_hairs(photo: Tensor, landmarks) -> Hairs:
    """Find the hairs of brows and beard.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
    """
    landmarks = check_landmarks(landmarks)
    size, frame = tuple(photo.shape[1:]), face_frame(landmarks)
    unit = frame.frame_px
    outline = landmarks[list(FACE_OVAL)]
    left, top = np.floor(outline.min(axis=0) - _AROUND * unit).astype(int).clip(0, size[::-1])
    right, bottom = np.ceil(outline.max(axis=0) + _AROUND * unit).astype(int).clip(0, size[::-1])
    box = (int(left), int(top), int(right), int(bottom))
    light = _lab(photo, box)[..., 0]
    if not light.size:
        return Hairs(box, light, light, light, unit, True)

    def part(outlines: list[np.ndarray], feather: float) -> np.ndarray:
        return draw_soft(outlines, size, feather * unit, box).values

    lips = part([landmarks[list(LIPS_OUTER)]], 0.04)
    eyes = part([landmarks[list(LEFT_EYE)], landmarks[list(RIGHT_EYE)]], 0.1)
    brow_zone = part([landmarks[list(LEFT_BROW)], landmarks[list(RIGHT_BROW)]], 0.12)
    brow_zone = (1.6 * brow_zone).clip(0, 1) * (1 - (2 * eyes).clip(0, 1))
    beard_zone = _beard_zone(landmarks, part) * (1 - lips)
    face = part([outline], 0.05)
    skin = find_skin(landmarks, photo, box) * face
    # Brows have skin above and below; hair that hangs over them has not.
    brow_zone *= smooth_step(cv2.GaussianBlur(skin, (0, 0), _SKIN_NEAR * unit), *_ENOUGH_SKIN)
    bare = skin * (beard_zone < 0.05) * (brow_zone < 0.05) * (lips < 0.05)
    around = _skin_beside(light, bare.astype(np.float32), unit)
    hairs = smooth_step(1 - light / np.maximum(around, 1), _HAIR_FROM, _HAIR_TO).astype(np.float32)
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), max(0.02 * unit, 0.6)))
    much, own = _beardedness(light, fine, landmarks - box[:2], beard_zone * face)
    y = frame.apply(_pixels(box))[:, 1].reshape(light.shape)
    beard_zone *= np.maximum(face, smooth_step(y, *_BELOW))
    beard_zone *= smooth_step(cv2.GaussianBlur(fine, (0, 0), 0.05 * unit) / max(own, 1.0), *_STRANDS)
    # Between the hairs of a beard there is no bare skin.
    whole = cv2.GaussianBlur(hairs * beard_zone, (0, 0), max(0.03 * unit, 0.6))
    return Hairs(box, brow_zone * hairs, much * beard_zone * whole, around, unit, find_tone(photo, landmarks) is None)


def change_hairs(photo: Tensor, hairs: Hairs, amount: float) -> None:
    """Turn hairs grey, in place.

    Args:
        photo: [3, H, W] uint8.
        amount: 1 for the oldest, -1 for the youngest.
    """
    left, top, right, bottom = hairs.box
    hair = np.maximum(hairs.brows, hairs.beard)
    touched = hair > 0.004
    if not amount or not touched.any():
        return
    lab = _lab(photo, hairs.box)
    before, light = lab.copy(), lab[..., 0]
    if amount < 0:  # fuller
        light += _FULLER * amount * hair * (hairs.around - light).clip(0, None)
    else:
        share = np.where(hairs.brows > hairs.beard, _BROWS_GREY, _BEARD_GREY).astype(np.float32) * np.float32(amount)
        _turn_grey(lab, hair, hairs.around, share, hairs.unit)
        if not hairs.in_color:
            lab[..., 1:] = before[..., 1:]
    drawn = cv2.cvtColor(np.round(lab).clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    part = photo[:, top:bottom, left:right]
    mixed = np.where(touched[..., None], drawn, part.permute(1, 2, 0).cpu().numpy())
    part.copy_(torch.from_numpy(mixed).permute(2, 0, 1))


def _turn_grey(lab: np.ndarray, hair: np.ndarray, around: np.ndarray, amount: np.ndarray, unit: float) -> None:
    light = lab[..., 0]
    tuft = cv2.GaussianBlur(light, (0, 0), max(_STRAND * unit, 0.8))
    band = cv2.GaussianBlur(light, (0, 0), 0.5) - tuft
    spread = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), _TUFT * unit)) + _QUIET
    low, high = (first + (last - first) * amount for first, last in zip(_FIRST, _LAST, strict=True))
    grey = smooth_step(band / spread, low, high).astype(np.float32)
    hair = hair * np.minimum(4 * amount, 1)
    silver = _SILVER[0] + _SILVER[1] * around
    broad = cv2.GaussianBlur(light, (0, 0), max(0.05 * unit, 1.0))  # light and shade of a beard stay
    lift = (silver - broad).clip(0, _MOST_LIFT) * (0.3 + 0.4 * amount)
    lab[..., 0] = light + lift * (0.35 * amount + 0.65 * grey) * hair
    pales = hair * (_PALES * amount + _PALES_MORE * grey)
    lab[..., 1:] += pales[..., None] * (128 + _WARM - lab[..., 1:])


def _beard_zone(landmarks: np.ndarray, part) -> np.ndarray:
    rim = landmarks[list(_BEARD)].astype(np.float64)
    middle = landmarks[_LIPS_MIDDLE]
    rim[_JAW] = middle + _HANGS * (rim[_JAW] - middle)
    return part([rim], 0.2)


def _pixels(box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    y, x = np.mgrid[top:bottom, left:right] + 0.5
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def _beardedness(light: np.ndarray, fine: np.ndarray, points: np.ndarray, zone: np.ndarray) -> tuple[float, float]:
    """Tell stubble and beards, which are rough and dark, from shaven skin, 0 to 1; and how rough the chin is."""
    chin, unit = zone > 0.8, face_frame(points).frame_px
    cheeks = np.zeros(light.shape, np.uint8)
    for x, y in points[list(_CHEEKS)].astype(int):
        cv2.circle(cheeks, (int(x), int(y)), max(1, int(0.06 * unit)), 1, -1)
    cheeks = cheeks > 0
    if not cheeks.any() or not chin.any():
        return 0.0, 1.0
    own = float(fine[chin].mean())
    dark = float(np.median(light[chin])) / max(float(np.median(light[cheeks])), 1.0)
    much = np.interp(own / (float(fine[cheeks].mean()) + 0.5), _ROUGH, (0, 1))
    return float(much * np.interp(-dark, (-_DARK[0], -_DARK[1]), (0, 1))), own


def _skin_beside(light: np.ndarray, bare: np.ndarray, unit: float) -> np.ndarray:
    step = max(1, int(_SKIN_AROUND * unit / 8))  # so wide a mean needs no pixels
    size = (max(1, light.shape[1] // step), max(1, light.shape[0] // step))
    weight = cv2.resize(bare, size, interpolation=cv2.INTER_AREA)
    product = cv2.resize(light * bare, size, interpolation=cv2.INTER_AREA)
    known = float(product.sum() / max(float(weight.sum()), 1e-6)) or 128.0
    weight, product = (cv2.GaussianBlur(one, (0, 0), _SKIN_AROUND * unit / step) for one in (weight, product))
    around = (product + 0.02 * known) / (weight + 0.02)
    return cv2.resize(around, light.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _lab(photo: Tensor, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    part = np.ascontiguousarray(photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    return (cv2.cvtColor(part, cv2.COLOR_RGB2LAB) if part.size else part).astype(np.float32)
