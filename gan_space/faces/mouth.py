"""What a mouth shows: whether its lips are closed, where they meet or where their edges are, and how they part.

Lengths are in face units, the distance between the eyes.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from torch import Tensor

from gan_space.faces.landmarks import LIPS_OUTER
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.faces.monochrome import find_tone
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER, snap_lips
from gan_space.images import smooth_step
from gan_space.photos.opening import check_photo

# Four rings of the lips from the inside out, place by place in step with each other.
LIP_RINGS = (
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 407, 272, 271, 268, 12, 38, 41, 42, 183),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 408, 304, 303, 302, 11, 72, 73, 74, 184),
    LIPS_OUTER,
)
# Gaps of the mesh, face units: from lips that it sees closed to open ones, and to surely open ones.
_SEEMS_OPEN, _SURELY_OPEN = (0.055, 0.075), (0.08, 0.1)
# Face units, from closed lips to open ones: of what is seen between the lips, and of teeth in a part of the mouth.
_SEAM, _GLIMPSE = (0.01, 0.034), (0.005, 0.027)
# Of the lips' red, and of their light: below are teeth and the dark. Closed lips shade their seam, above all under a
# moustache, but not as deep. Where the mesh sees open lips, less will do.
_TEETH_RED, _DARK = (0.62, 0.8), (0.25, 0.4)
_UNSURE = 0.3  # of such a limit, to both sides: a pixel that is half a tooth counts as half of one
_TEETH_LIGHT = 1.5  # of the lips' light: above are teeth in a photo in one tone, where red tells nothing
_SEEN_LIGHT = (1, 6)  # of 255, the lips' light: lips under a black bar tell nothing of what is between them
_DOWN_STEP = 0.008  # between rows across the lips
# Shifts of the seam: farthest and how many are tried, and their standard deviations; the gain of the evidence.
_SEAM_TRIED, _SEAM_PRIORS, _SEAM_GAIN = ((0.064, 17), (0.048, 13), (0.032, 9)), (0.03, 0.02, 0.015), 20.0
_WIDE_OPEN = (0.09, 0.13)  # face units between lips, from where their edges are less and less searched


class Opening(NamedTuple):
    """The opening between lips that part."""

    before: np.ndarray  # [20, 2] photo pixels, places as in LIPS_INNER; where closed lips meet, of no height
    after: np.ndarray  # [20, 2] the same after the change
    own: float  # the share of what shows then that is pulled out of what showed before, 0 to 1
    drawn: float  # the share that has to be drawn; 0 where closed lips do not part
    drops: float = 0.0  # the share of what it grows by that the jaw drops, 0 to 1; a smile bares teeth by the rest


def lips_are_closed(landmarks, photo: Tensor) -> bool:
    """Tell whether lips are closed rather than open; see `how_closed`."""
    return how_closed(landmarks, photo) > 0.5


def how_closed(landmarks, photo: Tensor) -> float:
    """Tell how far teeth and the dark behind them are hidden by the lips: 1 where lips are closed, 0 where open.

    The mesh alone does not know: it sees a gap of up to 0.09 face units in closed lips. So colours across the middle of
    the mouth are compared with those of the lips. A photo in one tone shows less: from 0.065 the mesh is believed.
    Nothing here switches, so a photo that is hardly another is treated hardly otherwise.
    """
    face = face_frame(landmarks).apply(check_landmarks(landmarks))
    gap = face[14, 1] - face[13, 1]
    seems_open, in_one_tone = float(smooth_step(gap, *_SEEMS_OPEN)), find_tone(photo, landmarks) is not None
    believed = smooth_step(gap, *_SURELY_OPEN) if not in_one_tone else seems_open
    if believed == 1:
        return 0.0
    teeth_red, dark = (np.interp(seems_open, (0, 1), ends) for ends in (_TEETH_RED, _DARK))
    in_the_middle = face[[13, 14], 0].mean() + np.linspace(-0.16, 0.16, 17)
    all_along = face[[78, 308], 0].mean() + np.linspace(-0.4, 0.4, 33) * (face[308, 0] - face[78, 0])
    shown = []
    for x, share in ((in_the_middle, 50), (all_along, 75)):
        seen, down = _across_lips(landmarks, photo, x)
        if not seen.size:
            return 0.0
        lab = cv2.cvtColor(seen, cv2.COLOR_RGB2LAB).astype(np.float32)
        light, red = lab[..., 0], lab[..., 1] - 128
        lips, between = (np.abs(down) > 0.07) & (np.abs(down) < 0.14), np.abs(down) < 0.07
        seen_light = smooth_step(np.median(light[lips]), *_SEEN_LIGHT)
        light, red = (values / max(float(np.median(values[lips])), 1.0) for values in (light, red))
        teeth = _below(red, teeth_red) * (1 - _below(light, 0.6))
        if in_one_tone:
            teeth = 1 - _below(light, _TEETH_LIGHT)
        kinds = seen_light * teeth, seen_light * _below(light, dark)
        shown.append([np.percentile(kind[between].sum(axis=0), share) * _DOWN_STEP for kind in kinds])
    # Teeth that show in a quarter of a mouth, wherever, open it; shade in the corners of closed lips does not.
    # Lips that the mesh sees open must hide both all along.
    glimpse, seam = smooth_step(shown[1][0], *_GLIMPSE), smooth_step(sum(shown[1]), *_SEAM)
    in_a_part = glimpse + seems_open * (seam - glimpse)
    return float((1 - max(smooth_step(sum(shown[0]), *_SEAM), in_a_part)) * (1 - believed))


def _below(values: np.ndarray, limit: float) -> np.ndarray:
    """1 where values are clearly below a limit, 0 clearly above, a half on it."""
    return 1 - smooth_step(values, (1 - _UNSURE) * limit, (1 + _UNSURE) * limit)


def snap_seam(landmarks, photo: Tensor) -> np.ndarray:
    """Put the landmarks of closed lips onto the dark line where the lips meet, [468, 2] photo pixels.

    The mesh misses it by up to 0.05 face units; lips that part along another line tear. The lips' outlines stay, but
    for their corners.
    """
    landmarks = check_landmarks(landmarks)
    frame = face_frame(landmarks)
    face = frame.apply(landmarks)
    left, right = face[78, 0], face[308, 0]
    along = np.linspace(-0.95, 0.95, 39)  # -1 and 1 are the corners
    seen, down = _across_lips(landmarks, photo, (left + right) / 2 + along * (right - left) / 2)
    if not seen.size or right - left < 0.1:
        return landmarks
    light = np.log(seen.mean(axis=2) + 8)
    side = round(0.03 / _DOWN_STEP)
    valley = np.zeros_like(light)  # how much darker than above and below
    valley[side:-side] = light[side:-side] - np.minimum(light[2 * side :], light[: -2 * side])
    shifts = np.stack(np.meshgrid(*(np.linspace(-far, far, count) for far, count in _SEAM_TRIED), indexing="ij"), -1)
    shifts = shifts.reshape(-1, 3)  # of the middle, of corners apart, of corners against the middle
    curves = shifts @ np.stack([np.ones_like(along), along, along**2])  # [candidates, columns]
    rows = ((curves - down[0]) / _DOWN_STEP).round().astype(int).clip(0, len(down) - 1)
    depth = valley[rows, np.arange(len(along))].mean(axis=1)
    best = (_SEAM_GAIN * depth + 0.5 * ((shifts / _SEAM_PRIORS) ** 2).sum(axis=1)).argmin()
    moves = np.zeros_like(face)
    for number, ring in enumerate(LIP_RINGS):
        places = list(ring)
        u = ((2 * face[places, 0] - left - right) / (right - left)).clip(-1, 1)
        share = 1 - number / 3 * (1 - u**2)
        moves[places, 1] = share * (shifts[best] @ np.stack([np.ones_like(u), u, u**2]))
    return landmarks + moves @ frame.inverse.matrix[:, :2].T


def _across_lips(landmarks, photo: Tensor, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photo above and below where the mesh has the lips meet.

    Args:
        across: [columns] x in the face's frame.

    Returns:
        [rows, columns, 3] uint8, empty where that is outside of the photo, and [rows] how far below the seam.
    """
    landmarks = check_landmarks(landmarks)
    frame = face_frame(landmarks)
    face = frame.apply(landmarks)
    middle = sum(np.interp(across, *face[list(ring)].T) for ring in (UPPER_INNER, LOWER_INNER)) / 2
    down = np.arange(-0.16, 0.161, _DOWN_STEP)
    grid = np.stack(np.broadcast_arrays(across, down[:, None] + middle), axis=-1)  # [rows, columns, 2]
    px = frame.inverse.apply(grid.reshape(-1, 2)).reshape(grid.shape)
    low = np.floor(px.reshape(-1, 2).min(axis=0)).astype(int).clip(0, None)
    high = (np.ceil(px.reshape(-1, 2).max(axis=0)).astype(int) + 1).clip(0, None)
    part = check_photo(photo)[:, low[1] : high[1], low[0] : high[0]]
    if 0 in part.shape:
        return np.zeros((0, 0, 3), np.uint8), down
    part = np.ascontiguousarray(part.permute(1, 2, 0).cpu().numpy())
    part = cv2.GaussianBlur(part, (0, 0), max(0.004 * frame.frame_px, 0.3))
    places = (px - low - 0.5).astype(np.float32)
    return cv2.remap(part, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), down


def how_ajar(landmarks: np.ndarray, closed: float) -> float:
    """Tell how far lips are open, but only a little: those of wide open mouths are where the mesh has them.

    Args:
        landmarks: [468, 2] photo pixels.
        closed: from `how_closed`, 0 to 1.

    Returns:
        0 to 1; with `closed` at most 1.
    """
    face = face_frame(landmarks).apply(landmarks)
    return (1 - closed) * (1 - float(smooth_step(face[14, 1] - face[13, 1], *_WIDE_OPEN)))


def snap_mouth(photo: Tensor, landmarks: np.ndarray, closed: float, ajar: float) -> np.ndarray:
    """Put landmarks of closed lips onto their seam, and of lips that are open a little onto their edges.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
        closed: from `how_closed`, 0 to 1: the share of the way to the seam.
        ajar: from `how_ajar`, 0 to 1: the share of the way to the edges.

    Returns:
        [468, 2] photo pixels.
    """
    places = landmarks.copy()
    if closed > 0:
        places += closed * (snap_seam(landmarks, photo) - landmarks)
    if ajar > 0:
        room, lips = face_frame(landmarks).frame_px, landmarks[list(LIPS_OUTER)]
        low = np.floor(lips.min(axis=0) - room).astype(int).clip(0, None)
        high = np.ceil(lips.max(axis=0) + room).astype(int).clip(0, None)
        part = photo[:, low[1] : high[1], low[0] : high[0]]  # of a photo that may be large
        if 0 not in part.shape:
            pixels = np.ascontiguousarray(part.permute(1, 2, 0).cpu().numpy())
            places += ajar * (snap_lips(pixels, landmarks - low) + low - landmarks)
    return places
