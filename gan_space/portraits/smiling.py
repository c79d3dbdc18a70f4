"""Shade a face as a smile does: folds from the nose to the corners of the mouth, raised cheeks, pouches below the eyes.

A warp moves the photo's own pixels, but a smile also turns skin towards the light and away from it. What it does to
lightness on average is a map over the average face (`training/shape/fit_smile.py`), fitted on labelled faces with age,
sex, pose, openings and group held still. It has no slow part, and on each face no mean: skin gets neither lighter nor
darker. With it the photo's own folds deepen where smiles deepen folds. Both are drawn in the logarithm of lightness, so
that they mean the same in light and shade, only where there is skin, and in proportion to the smile that was really
added; backwards they fill the folds of a smile that goes.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import FACE_OVAL
from gan_space.faces.mesh import check_landmarks, face_frame, find_places
from gan_space.faces.monochrome import LUMA, find_tone
from gan_space.faces.regions import find_skin
from gan_space.faces.shape import ShapeModel, smile_of
from gan_space.images import smooth_step
from gan_space.photos.opening import check_photo
from gan_space.portraits.folds import BOX, facing, roughness

_UNIT_PX = 60  # of a face unit, at least, where shades are found: they have nothing finer, and pores stay
_DARKER, _LIGHTER = 1.7, 1.0  # how much of the map is drawn: its shades, its lights
_BACKWARDS = 0.6  # of it, where a smile goes
_BEYOND = 0.3  # of what a broad smile grows by: it has its folds already
_MOST = 30.0  # hundredths of the logarithm
# Face units: the photo's own folds are wider than fine, narrower than coarse.
_FINE, _MIDDLE, _COARSE = 0.012, 0.024, 0.05
_MOST_OF_LINES = 12.0  # hundredths that they deepen or fill
_OFFSET = 15.0  # codes of light in its logarithm: noise in the dark is no fold
_WHOLE, _EARLY = 0.3, 0.5  # face units of a broad smile, and the power of a share of it that shows
_ON_SMOOTH = 0.35  # what is drawn on skin without texture
# Light skin lights its own folds, and white is washed out: codes of light, and what goes from the change there.
_LIGHT_FROM, _LIGHT_TO, _LIT_FOLDS = 165, 245, 0.68
_ROOM = (250, 60)  # codes: cheeks that are nearly white get no lighter
# Light that reaches a fold has met skin before: it is redder. Powers of what is left of red, green and blue.
_IN_FOLDS = (0.72, 1.07, 1.25)
_CUT_OFF, _CUT = (205, 252), 0.7  # codes of a channel that more and more is cut off, and what it loses of a change


def added_smile(landmarks, moves: np.ndarray, model: ShapeModel) -> float:
    """Say how much smile a face gets: face units that its reading grows by, which count less beyond broad smiles.

    Args:
        landmarks: [468, 2] photo pixels.
        moves: [468, 2] photo pixels that they move by.
        model: knows where labelled faces stop.
    """
    landmarks, broad = check_landmarks(landmarks), model.limits["smile"][1]
    readings = [float(smile_of(face_frame(points).apply(points))) for points in (landmarks, landmarks + moves)]
    before, after = (min(one, broad) + _BEYOND * max(one - broad, 0.0) for one in readings)
    return after - before


def shade_smile(photo: Tensor, landmarks, added: float, model: ShapeModel) -> Tensor:
    """Shade the skin of one face whose mouth was moved already.

    Args:
        photo: [3, H, W] uint8, whose face stands where the landmarks say.
        landmarks: [468, 2] photo pixels.
        added: what `added_smile` says; 0 gives the photo.
        model: whose map is drawn; without one the photo stays as it is.

    Returns:
        A new photo of the same size; equal to the bit outside of the face.
    """
    landmarks = check_landmarks(landmarks)
    height, width = check_photo(photo).shape[1:]
    photo = photo.clone()
    if model.smile_light is None or not added:
        return photo
    shrink = max(1, int(face_frame(landmarks).frame_px // _UNIT_PX))
    outline = landmarks[list(FACE_OVAL)]
    left, top = np.floor(outline.min(axis=0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(outline.max(axis=0)).astype(int).clip(0, (width, height))
    columns, rows = (right - left) // shrink, (bottom - top) // shrink
    if min(columns, rows) < 2:
        return photo
    here = (slice(top, top + rows * shrink), slice(left, left + columns * shrink))
    part = np.ascontiguousarray(photo[:, *here].permute(1, 2, 0).cpu().numpy())
    small = cv2.resize(part, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
    places = (landmarks - (left, top)) / shrink
    factors = np.float32(_factors(small, places, added, model))
    if shrink > 1:
        factors = cv2.resize(factors, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    result = cv2.multiply(part, factors, dtype=cv2.CV_8U)
    photo[:, *here] = torch.from_numpy(result).permute(2, 0, 1)
    return photo


def _shown(added: float) -> float:
    """How much of an added smile its shade shows: of a little one more than in proportion, or it would not be seen."""
    share = added / _WHOLE
    return _WHOLE * share**_EARLY if 0 < share < 1 else added


def _factors(picture: np.ndarray, landmarks: np.ndarray, added: float, model: ShapeModel) -> np.ndarray:
    """What light on a face is multiplied by, [h, w, 3] for [h, w, 3] uint8 with [468, 2] landmarks in its pixels."""
    rows, columns = picture.shape[:2]
    photo, box = torch.from_numpy(picture).permute(2, 0, 1), (0, 0, columns, rows)
    unit = face_frame(landmarks).frame_px
    shades, lines = model.smile_light
    unit_px = np.float32([shades.shape[1] / (BOX[2] - BOX[0]), shades.shape[0] / (BOX[3] - BOX[1])])
    places = find_places(landmarks, model.mean, box)
    where = (places - np.float32(BOX[:2])) * unit_px - np.float32(0.5)
    drawn, deeper = (
        cv2.remap(one, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT) for one in (shades, lines)
    )
    codes = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = 100 * cv2.log(codes + _OFFSET)
    fine, middle, coarse = (
        cv2.GaussianBlur(light, (0, 0), max(sigma * unit, 0.75)) for sigma in (_FINE, _MIDDLE, _COARSE)
    )
    around, shown = cv2.exp(coarse / 100) - _OFFSET, _shown(added)
    drawn *= np.float32(shown if added > 0 else _BACKWARDS * added)
    drawn *= np.where(drawn < 0, _DARKER, _LIGHTER * smooth_step(_ROOM[0] - around, 0, _ROOM[1]))
    share = _ON_SMOOTH + (1 - _ON_SMOOTH) * roughness(places, fine - middle)
    share = share * (1 - _LIT_FOLDS * smooth_step(around, _LIGHT_FROM, _LIGHT_TO))
    share = share * facing(places, unit) * find_skin(landmarks, photo, box)
    own = np.minimum(fine - coarse, 0) * (cv2.exp(shown / 2 * deeper) - 1)
    change = share * (_MOST * np.tanh(drawn / _MOST) + own.clip(-_MOST_OF_LINES, _MOST_OF_LINES))
    powers = np.ones((1, 1, 3), np.float32)
    if find_tone(photo, landmarks) is None:  # light that a photo cuts off does not fall: its shade is warm, not grey
        powers = np.float32(_IN_FOLDS) * (1 - _CUT * smooth_step(picture.astype(np.float32), *_CUT_OFF))
    # What folds take all skin that they lie on gets back.
    weight = share * np.minimum(np.abs(drawn), 1)
    seen = (powers * picture) @ np.float32(LUMA) / codes.clip(1)
    gained = codes * (np.exp(seen * change / 100) - 1)
    change -= 100 * weight * float(gained.sum() / (seen * codes * weight).sum().clip(1e-6))
    return np.exp(change[..., None] * (powers / 100))
