"""Tell photos in one tone, such as black and white or sepia, from those in colour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.mesh import check_landmarks
from gan_space.photos.opening import check_photo

LUMA = (0.299, 0.587, 0.114)  # what a photo in one tone keeps of red, green and blue
_CELLS = 24  # along each side of a face; the mean over one leaves little of the noise that JPEG makes
_SEEN = (48, 245)  # codes of the brightest channel: darker ones have no hue, brighter ones are cut off
_LEAST, _LEAST_SHARE = 40, 0.5  # cells that tell, and of those that are not cut off: in dim light only skin is left
_GREY = 4  # codes between the channels of a cell in black and white, which dark ones tell as well
_STEPS = 1024  # from black to white
_MOST = 0.15  # log; how far hues in one tone differ


def find_tone(photo: Tensor, landmarks) -> np.ndarray | None:
    """Return the hue that all of a face has in a photo in one tone, [3] float64 RGB, 1 for red; None in colour.

    Also None where most of the face is too dark to tell, but for black and white. Of 651 small faces in colour none was
    taken for one in one tone.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
    """
    landmarks = check_landmarks(landmarks)
    left, top = (max(int(start), 0) for start in np.floor(landmarks.min(axis=0)))
    right, bottom = (max(int(end), 0) for end in np.ceil(landmarks.max(axis=0)))
    step = max(1, min(right - left, bottom - top) // (8 * _CELLS))
    part = check_photo(photo)[:, top:bottom:step, left:right:step]
    if 0 in part.shape:
        return None
    part = np.ascontiguousarray(part.permute(1, 2, 0).cpu().numpy())
    cells = cv2.resize(part, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float64)
    brightest = cells.max(axis=1)
    is_grey = np.percentile(np.ptp(cells, axis=1), 98) <= _GREY
    cells = np.log(cells[(brightest > _SEEN[0]) & (brightest < _SEEN[1])] + 4)
    if len(cells) < _LEAST or (len(cells) < _LEAST_SHARE * (brightest < _SEEN[1]).sum() and not is_grey):
        return None
    hues = cells - cells[:, 1:2]
    low, high = np.percentile(hues, (2, 98), axis=0)  # lips are the 2 % that differ on smooth skin
    return None if (high - low).max() > _MOST else np.exp(np.median(cells - cells[:, :1], axis=0))


def lightened(codes: np.ndarray, before: np.ndarray, after: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Return pixels of a photo in one tone with another lightness; its grain stays.

    Args:
        codes: [N, 3] uint8.
        before, after: their L*, and the one that they are to have, [N] each.
        tone: of `find_tone`.
    """
    grey = np.linspace(0, 255, _STEPS)
    scale = cv2.cvtColor((grey[None, :, None] * tone / 255).clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)[0, :, 0]
    more = np.interp(after, scale, grey) - np.interp(before, scale, grey)
    return (codes + more[:, None] * tone + 0.5).clip(0, 255).astype(np.uint8)


def keep_tone(before: Tensor, after: Tensor, tones: Sequence[np.ndarray | None]) -> Tensor:
    """Leave of what was painted in a photo in one tone its lightness alone.

    Args:
        before, after: [3, H, W] uint8, unpainted and painted.
        tones: of `find_tone`, for each face; where one is in colour, so is the paint.
    """
    if not tones or any(tone is None for tone in tones):
        return after
    changed = (before != after).any(dim=0)
    codes = [photo[:, changed].T.contiguous().numpy() for photo in (before, after)]
    old, new = (cv2.cvtColor(code[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, :, 0] for code in codes)
    kept = after.clone()
    kept[:, changed] = torch.from_numpy(lightened(codes[0], old, new, tones[0])).T
    return kept
