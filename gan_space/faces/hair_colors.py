"""Tell hair from what a mask takes for some: skin, clothes, walls and eyes, by their colours."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from gan_space.faces.by_color import Colors
from gan_space.faces.head import Head, disc
from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE, RIGHT_EYE
from gan_space.faces.mesh import face_frame
from gan_space.images import smooth_step

SMALL_PX = 256  # longer side of the copy of a head on which its hair is measured
ELSE = 0.1  # share of hair up to which a pixel tells what is beside it
FIRM = 0.6  # share of hair from which a pixel tells what the hair looks like
_COARSE = 3.0  # px by which a small copy is blurred at least
_AT_HEAD = 0.7  # face units from a face: how far what is taken for hair is some, mostly
_SURE, _KNOWN = 0.9, 0.1  # share of hair that is some there; share of all hair, of which less tells nothing
_STRANGE = (1.0, 2.0)  # logarithms by which a colour is rather one of what is no hair
_NECK = 0.9  # face units beside the middle of a face: where its skin is, and a neck below it
_FAINT = 16.0  # L* below which colours are noise
_DEEPER = (0.25, 0.15)  # of colours over lightness: how far from hair's are no hair's
# Share of an eye that hair covers: a lock at its side, and all; face units around one that looks out of it.
_COVERED, _AROUND_EYE = (0.3, 0.85), 0.06
_THICK = 0.08  # face units: half as thick as things of such a colour are at least
# Face units over which a color is told; by how much its red is less, of its light; codes that hide a hue in the dark.
# Share of the mask that is so before it counts.
_CLOTH, _COLD, _NO_HUE, _MOSTLY = 0.06, (0.16, 0.24), 40.0, (0.35, 0.55)
_THICKER = 0.16  # likewise, where the mask is all that tells where hair ends
_SEAM_PX = 5  # by which a gap is filled further: its edge in the mask is soft
# Face units below the eyes above which there are no brows; half as thick as gaps are at least; by which logarithms
# their colour is rather hair's.
_BROWS, _GAP, _LIKE_HAIR = -0.4, 0.09, (1.0, 2.0)
_SMOOTH_SKIN = 0.012  # of the side: over how much of it skin is smooth
_ROUGH = 5.0  # L* of strands beyond which there is no bare skin


def with_missed(photo: np.ndarray, head: Head, points: np.ndarray) -> Head:
    """Add hair that a mask lacks, as where it passes for a cap.

    Args:
        photo: [H, W, 3] uint8.
        points: [468, 2] landmarks in its px.
    """
    if not head.hair.any():
        return head
    small, share, points = _smaller(photo, head, points)
    missed = _missed_hair(small, share, points)
    if not missed.any():
        return head
    missed = cv2.resize(missed, head.hair.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return replace(head, hair=np.maximum(head.hair, missed))


def own_hair(photo: np.ndarray, head: Head, points: np.ndarray, tint: np.ndarray) -> np.ndarray:
    """Take caps, clothes and what else has other colours out of the hair of a head.

    Args:
        photo: [H, W, 3] uint8.
        points: [468, 2] landmarks in its px.
        tint: [3] RGB of grey in its light.

    Returns:
        [h, w] float32, `head.hair` without it.
    """
    small, share, points = _smaller(photo, head, points)
    unit = face_frame(points).frame_px
    cap = _cold_cap(small, share, tint, unit)
    other = no_hair(small, share * (1 - cap), points)
    # Where hair ends it shows what is behind it: of what lies outside of the face only thick things are none.
    thick = cv2.morphologyEx(other * (share > FIRM), cv2.MORPH_OPEN, disc(_THICKER * unit))
    face = fill(points[list(FACE_OVAL)], share.shape)
    other = np.maximum(cap, np.where(face > 0, other, thick))
    if not other.any():
        return head.hair
    return head.hair * cv2.resize(1 - other, head.hair.shape[::-1], interpolation=cv2.INTER_LINEAR)


def no_hair(small: np.ndarray, share: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Find what was taken for hair and is skin, an eye, or of colours that hair at this head has not.

    Args:
        small: [h, w, 3] uint8 copy of a head.
        share: [h, w] of hair.
        points: landmarks in px of the copy.

    Returns:
        [h, w] float32 in [0, 1].
    """
    return np.maximum(_bare_skin(small, share, points), _unlike_hair(small, share, points))


def _smaller(photo: np.ndarray, head: Head, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copy a head smaller: [h, w, 3], the share of hair [h, w], and landmarks in its px."""
    left, top, right, bottom = head.box
    scale = min(1.0, SMALL_PX / max(*head.hair.shape, 1))
    size = tuple(max(1, round(scale * side)) for side in head.hair.shape[::-1])
    share = cv2.resize(head.hair, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(photo[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    return small, share, (points - (left, top)) * (np.array(size) / head.hair.shape[::-1])


def _missed_hair(small: np.ndarray, share: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Find gaps in a mask above the brows, with hair on all sides, and of its colours; shapes as in `no_hair`."""
    firm = share > FIRM
    gap = ~firm & (beside_eyes(points, share.shape)[1] < _BROWS)
    for axis in (0, 1):
        gap &= np.maximum.accumulate(firm, axis=axis)
        gap &= np.flip(np.maximum.accumulate(np.flip(firm, axis), axis=axis), axis)
    if not gap.any():
        return np.zeros_like(share)
    ratio = Colors(small).compare(share > _SURE, (share < ELSE) & ~gap)
    gap = (gap * smooth_step(ratio, *_LIKE_HAIR)).astype(np.float32)
    thick = cv2.morphologyEx(gap, cv2.MORPH_OPEN, disc(_GAP * face_frame(points).frame_px))
    return softened(cv2.dilate(thick, disc(_SEAM_PX)), 0.6)


def _cold_cap(small: np.ndarray, share: np.ndarray, tint: np.ndarray, unit: float) -> np.ndarray:
    """Find a blue or green cap that was taken for hair, [h, w] float32 in [0, 1].

    In the dark hair mirrors the sky, and a lock may be dyed: much of it has to have such a color.
    """
    seen = cv2.GaussianBlur(small, (0, 0), max(_CLOTH * unit, 0.6)) / tint
    cold = smooth_step((seen[..., 1:].mean(axis=2) - seen[..., 0]) / (seen.max(axis=2) + _NO_HUE), *_COLD)
    much = np.float32((cold * share).sum() / max(float(share.sum()), 1e-6))
    return (cold * smooth_step(much, *_MOSTLY)).astype(np.float32)


def _bare_skin(small: np.ndarray, share: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Find skin that was taken for hair, such as a shoulder: smooth, of the face's colour, unlike this hair."""
    lab = cv2.cvtColor(small.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
    inside = fill(points[list(FACE_OVAL)], share.shape)
    skin, hair = lab[(inside > 0) & (share < ELSE)], lab[share > FIRM]
    if min(len(skin), len(hair)) < 30:
        return np.zeros_like(share)
    blurred = cv2.GaussianBlur(lab, (0, 0), max(_SMOOTH_SKIN * max(share.shape), 0.6))
    rough = cv2.GaussianBlur(np.abs(lab - blurred)[..., 0], (0, 0), max(_SMOOTH_SKIN * max(share.shape), 0.6))

    from_hair, from_skin = (_distance(sample, blurred) for sample in (hair, skin))
    like = (from_hair / (from_skin + 0.5) - 1.2).clip(0, 1) * ((_ROUGH - rough) / 2).clip(0, 1)
    return (like * (from_hair - 1).clip(0, 1)).astype(np.float32)


def _distance(sample: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """How far colours [h, w, 3] are from the middle of a sample [N, 3], in its own spreads; [h, w]."""
    middle = np.median(sample, axis=0)
    spreads = np.maximum(1.48 * np.median(np.abs(sample - middle), axis=0), (8, 4, 4))
    return np.sqrt(np.square((lab - middle) / spreads).mean(axis=2))


def _unlike_hair(small: np.ndarray, share: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Find what was taken for hair, and has colours that hair at this head has not, as clothes and walls; and eyes.

    Only thick things that have a colour of what is no hair: strands in another light, and ends of another colour, are
    none of them. An eye that hair covers is hair.
    """
    unit = face_frame(points).frame_px
    face = fill(points[list(FACE_OVAL)], share.shape)
    near = softened(face, _AT_HEAD * unit)
    across, below = beside_eyes(points, share.shape)
    above = (below < 0.5).astype(np.float32)
    sure = (share > _SURE) * (near > 0.1) * above
    if sure.sum() < max(50, _KNOWN * share.sum()):
        return np.zeros_like(share)
    neck = (np.abs(across) < _NECK) & (below > 0)  # blond hair may have colours of skin
    ratio = Colors(small).compare(sure, (share < ELSE) & ~neck)
    strange = ((-ratio - _STRANGE[0]) / (_STRANGE[1] - _STRANGE[0])).clip(0, 1)
    lab = cv2.blur(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), (3, 3))
    # Red cloth is none, wherever else there is some or not.
    depth = lab[..., 1:] / (lab[..., :1] + _FAINT)
    away = np.linalg.norm(depth - np.median(depth[sure > 0], axis=0), axis=2)
    far = _DEEPER[0] + 2 * np.quantile(away[sure > 0], 0.9)
    strange = np.maximum(strange, (away - far) / _DEEPER[1]).clip(0, 1)
    strange *= 1 - above * (4 * near).clip(0, 1)
    strange = cv2.morphologyEx(strange.astype(np.float32), cv2.MORPH_OPEN, disc(_THICK * unit))
    for eye in (LEFT_EYE, RIGHT_EYE):
        open_eye = fill(points[list(eye)], share.shape)
        if _COVERED[0] < (share * open_eye).sum() / max(float(open_eye.sum()), 1.0) < _COVERED[1]:
            around = cv2.dilate(open_eye, disc(_AROUND_EYE * unit))
            strange = np.maximum(strange, softened(around, 0.3 * _AROUND_EYE * unit))
    return strange


def softened(field: np.ndarray, deviation: float) -> np.ndarray:
    """Blur a field [h, w] or [h, w, C]; in a smaller copy where it gets much softer."""
    step, size = int(deviation // _COARSE), field.shape[1::-1]
    if step < 2:
        return cv2.GaussianBlur(field, (0, 0), max(deviation, 0.6))
    small = cv2.resize(field, tuple(-(-side // step) for side in size), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), deviation / step), size, interpolation=cv2.INTER_LINEAR)


def fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill a polygon [N, 2] in px: [h, w] float32."""
    filled = np.zeros(size, np.float32)
    cv2.fillPoly(filled, [np.round(points).astype(np.int32)], 1)
    return filled


def beside_eyes(points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Tell how far places are right of the middle of the eyes, and below, in face units, [h, w] each."""
    frame = face_frame(points)
    x, y = np.arange(size[1]) + 0.5, (np.arange(size[0]) + 0.5)[:, None]
    (a, b, c), (d, e, f) = frame.matrix
    return a * x + b * y + c, d * x + e * y + f
