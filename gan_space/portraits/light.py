"""What a photo says about its light, noise and blur, for things that are drawn into it."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from gan_space.faces.mesh import face_frame
from gan_space.faces.monochrome import find_tone
from gan_space.faces.regions import find_region

SKIN_WHITE, EYE_WHITE = 0.85, 0.8  # brightest channel of well lit skin and of the whites of eyes
GREY_SKIN_WHITE = 0.68  # the same of skin that has no red
# Cheeks above a beard, left and right of the mouth, and skin below each eye.
_BESIDE_MOUTH, _BELOW_EYES = ((36, 50, 205, 207), (266, 280, 425, 427)), (118, 119, 101, 347, 348, 330)
# Lips, and the skin below them, left and right: a moustache or a nose may shade the mouth and not the cheek.
_LIPS = (72, 73, 74, 84, 181, 91), (302, 303, 304, 314, 405, 321)
_BELOW_LIPS = (83, 182, 106), (313, 406, 335)
# Red of lips in the light of the cheek, of its red, the darkest that is believed, and the power of it that teeth have.
_LIPS_LIT, _MOST_SHADE, _SHADE_POWER = 0.74, 0.4, 0.75
_IN_SHADE = (1.0, 1.1, 1.2)  # powers of shade: light that reaches a mouth in it has met skin, and is warm
# In white light, green and blue of red: whites of eyes, whole portraits in the mean, and skin beside the mouth.
_EYE_HUE, _PHOTO_HUE, _SKIN_HUE = (0.91, 0.87), (0.82, 0.71), (0.77, 0.70)
_EYES_TELL, _PHOTO_TELLS, _SKIN_TELLS = 0.4, 0.3, 0.12  # how much of the light's colour each of them shows
_DARK_EYES = (0.5, 0.75)  # red of the cheek's: eyes in shade have light of their own, and irises among their brightest
_BEHIND_GLASS = (0.08, 0.13)  # log; whites that are as green or purple as no light are seen through a tinted lens
_ODD_PHOTO = 0.35  # log; a picture of one colour, such as a meadow, tells no more than this
_COOLEST, _WARMEST = 0.1, -0.4  # log blue of red: whites that mirror the sky are bluer than any teeth
# Log; light is warm or cool. How green or purple teeth are skin alone tells, by this much, on 60 smiles; at most.
_OFF_WARM, _MOST_OFF = 0.55, (-0.05, 0.03)
# Log; of more than this, on which whites of eyes and skin agree, the whole photo has to show something: else it is a
# flushed face, or a filter's. What teeth take of it.
_MOST_AGREED, _TEETH_AGREED = 0.35, 0.7
_OF_GREY_SKIN = 1.1  # how much brighter teeth are than a cheek without its red
_OF_EYES = 1.1  # how much brighter teeth are than the whites of eyes, which lids shade

_SCALES_PX, _EDGES = (0.7, 2.0), 99.5  # at which slopes are compared, where they are steepest, percentile

_GRAIN_PX, _SMOOTHEST = 12, 20  # side of the parts whose noise is compared, and percent of them that show it
_NO_SLOPES = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])  # Immerkaer, "Fast Noise Variance Estimation", 1996
_CUT_OFF = (2, 253)  # codes: means of parts that are nearly all black or white, where noise is cut off
_GRAIN_SEEN, _MOST_GRAIN = 1.07, 16.0  # noise that is drawn, against what this filter answers to it; codes


def find_light(photo: Tensor, landmarks: np.ndarray) -> np.ndarray:
    """Estimate strength and colour of the light on a face, [3] float32 RGB; 1 is white in a well lit photo.

    Skin is not white, so its colour counts little, and in its brightness the whites of the eyes have a say. In a photo
    in one tone all that is white has that tone.
    """
    skin, eyes = _brightest(photo, landmarks, "skin", 97), _brightest(photo, landmarks, "eyes", 92)
    level = np.clip(max(skin.max() / SKIN_WHITE, eyes.max() / EYE_WHITE), 0.1, 1.0)
    tint = find_tone(photo, landmarks)
    if tint is None:
        tint = (skin / skin.max() / (1.0, 0.88, 0.8)) ** 0.35
    return (level * tint / tint.max()).astype(np.float32)


def find_level(photo: Tensor, landmarks: np.ndarray) -> float:
    """Estimate how bright white is in the light on a face, in [0.1, 1]; in one tone, skin has no red to tell it by."""
    skin, eyes = _brightest(photo, landmarks, "skin", 97), _brightest(photo, landmarks, "eyes", 92)
    of_skin = SKIN_WHITE if find_tone(photo, landmarks) is None else GREY_SKIN_WHITE
    return float(np.clip(max(skin.max() / of_skin, eyes.max() / EYE_WHITE), 0.1, 1.0))


def light_beside_mouth(photo: Tensor, landmarks: np.ndarray) -> np.ndarray:
    """Tell how white teeth would look left and right of a mouth, [2, 3] float32 RGB.

    On 17 photos of open smiles the red of teeth was that of the cheek beside the mouth, within 9 %, in light and in
    shade. Where skin is dark the whites of the eyes tell more, dimmed as the cheek is against the skin below the eyes.
    The colour of teeth is told by the whites of the eyes and by the whole photo; by that of the skin hardly, but teeth
    that take nothing of it look cool beside it. In a photo in one tone they have that tone.
    """
    beside, eyes = _beside_mouth(photo, landmarks), _brightest(photo, landmarks, "eyes", 92)
    below = _seen(photo, landmarks, _BELOW_EYES, 50)
    level = np.maximum(beside[:, 0], _OF_EYES * eyes[0] * (beside[:, 0] / below[0]).clip(0.2, 1))
    tone = find_tone(photo, landmarks)
    if tone is not None:
        return (_OF_GREY_SKIN * level[:, None] * tone).astype(np.float32)
    lit = np.interp(eyes[0] / beside[:, 0].mean(), _DARK_EYES, (0.2, 1.0))
    return (level[:, None] * _hue(photo, eyes, float(lit), beside.mean(axis=0))).astype(np.float32)


def light_in_mouth(photo: Tensor, landmarks: np.ndarray) -> np.ndarray:
    """Tell how white teeth look behind the left and the right corner: the same, in the shade that lips are in."""
    beside = _beside_mouth(photo, landmarks)[:, 0]
    lips = [max(_seen(photo, landmarks, one, 50)[0] for one in half) for half in zip(_LIPS, _BELOW_LIPS, strict=True)]
    shade = (lips / (_LIPS_LIT * beside)).clip(_MOST_SHADE, 1)[:, None] ** _SHADE_POWER
    powers = _IN_SHADE if find_tone(photo, landmarks) is None else 1.0
    return (light_beside_mouth(photo, landmarks) * shade**powers).astype(np.float32)


def agreed_hue(photo: Tensor, landmarks: np.ndarray) -> np.ndarray:
    """Tell the light's colour as far as whites of eyes and skin agree on it, log of green and blue of red, [2].

    Skin alone may be tanned, whites alone mirror the sky or are hidden by lids; (0, 0) where one is warm, one cool.
    """
    skin = _beside_mouth(photo, landmarks).mean(axis=0)
    return _agreed(_brightest(photo, landmarks, "eyes", 92), skin, _photo_hue(photo))


def _agreed(eyes: np.ndarray, skin: np.ndarray, by_photo: np.ndarray) -> np.ndarray:
    """[2] of [3] RGB each, the weaker of what both say, and of the [2] log of the whole photo."""
    by_eyes, by_skin = np.log(eyes[1:] / eyes[0] / _EYE_HUE), np.log(skin[1:] / skin[0] / _SKIN_HUE)
    weaker = np.where(np.abs(by_eyes) < np.abs(by_skin), by_eyes, by_skin)
    weaker = np.where(by_eyes * by_skin > 0, weaker, 0.0)
    most = _MOST_AGREED + (np.sign(weaker) * by_photo).clip(0)
    return weaker.clip(-most, most)


def _photo_hue(photo: Tensor) -> np.ndarray:
    """[2] log of green and blue of red, of the whole photo against one in white light."""
    step = max(1, min(photo.shape[1:]) // 64)
    mean = photo[:, ::step, ::step].cpu().numpy().mean(axis=(1, 2)) + 1.0
    return np.log(mean[1:] / mean[0] / _PHOTO_HUE)


def _beside_mouth(photo: Tensor, landmarks: np.ndarray) -> np.ndarray:
    """Skin left and right of the mouth, [2, 3] RGB in [0, 1]."""
    return np.stack([_seen(photo, landmarks, places, 75) for places in _BESIDE_MOUTH])


def _seen(photo: Tensor, landmarks: np.ndarray, places: tuple[int, ...], share: float) -> np.ndarray:
    """[3] RGB in [0, 1] that a share, in percent, of the skin at some landmarks stays below."""
    radius, patches = max(1, int(0.07 * face_frame(landmarks).frame_px)), []
    for x, y in landmarks[list(places)].astype(int):
        patch = photo[:, max(y - radius, 0) : max(y + radius + 1, 0), max(x - radius, 0) : max(x + radius + 1, 0)]
        patches += [np.median(patch.reshape(3, -1).cpu().numpy(), axis=1) / 255] if patch.numel() else []
    return np.percentile(patches, share, axis=0).clip(1e-2) if patches else np.full(3, 0.6)


def _hue(photo: Tensor, eyes: np.ndarray, lit: float, skin: np.ndarray) -> np.ndarray:
    """Return the light's colour as [3] RGB, 1 for red.

    Args:
        eyes, skin: [3] RGB of whites of eyes, and beside the mouth.
        lit: how much the eyes count, up to 1.
    """
    of_photo = _photo_hue(photo)
    by_photo = of_photo.clip(-_ODD_PHOTO, _ODD_PHOTO)
    by_skin = np.log(skin[1:] / skin[0] / _SKIN_HUE)
    by_eyes = np.log(eyes[1:] / eyes[0] / _EYE_HUE)
    lit *= float(np.interp(abs(by_eyes[0] - by_eyes[1] / 2), _BEHIND_GLASS, (1, 0)))
    blue = (lit * _EYES_TELL * by_eyes + _PHOTO_TELLS * by_photo + _SKIN_TELLS * by_skin)[1]
    blue = min(np.clip(blue, _WARMEST, _COOLEST), _TEETH_AGREED * _agreed(eyes, skin, of_photo)[1])
    off = np.clip(_OFF_WARM * (by_skin[0] - by_skin[1] / 2), *_MOST_OFF)
    return np.exp([0.0, blue / 2 + off, blue])


def _brightest(photo: Tensor, landmarks: np.ndarray, region: str, share: float) -> np.ndarray:
    """[3] RGB in [0, 1] that a share, in percent, of a region's pixels stays below."""
    mask = find_region(landmarks, region, tuple(photo.shape[1:]), 0.0)
    left, top, right, bottom = mask.box
    pixels = photo[:, top:bottom:2, left:right:2].permute(1, 2, 0).cpu().numpy()[mask.values[::2, ::2] > 0.9]
    return np.percentile(pixels, share, axis=0).clip(1) / 255 if len(pixels) else np.full(3, 0.6)


def find_blur(photo: Tensor, landmarks: np.ndarray) -> float:
    """Tell how soft the sharpest edges of a face are, as the standard deviation of a blur in px; at most 9.

    A step that is blurred by b has slopes in proportion to 1 / sqrt(s^2 + b^2) when it is seen blurred by s more; its
    slopes at two scales tell b. Noise has none at the steepest edges.
    """
    low, high = landmarks.min(axis=0).astype(int).clip(0), landmarks.max(axis=0).astype(int).clip(1)
    face = photo[:, low[1] : high[1], low[0] : high[0]].permute(1, 2, 0).cpu().numpy()
    if 0 in face.shape:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, coarse = (np.linalg.norm(np.gradient(cv2.GaussianBlur(grey, (0, 0), scale)), axis=0) for scale in _SCALES_PX)
    steep = coarse >= max(float(np.percentile(coarse, _EDGES)), 1e-3)
    ratio = float(np.median(fine[steep] / coarse[steep])) ** 2 if steep.any() else 1.0
    low, high = (scale**2 for scale in _SCALES_PX)
    return float(min(np.sqrt(max(high - ratio * low, 0.0) / max(ratio - 1, 1e-2)), 9.0))


def grain_like(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return noise as strong as that of [H, W, 3] uint8, [H, W] float32 in shares of white.

    Where a picture is smoothest it shows its noise alone: pores, lashes and hair are none. Slopes do not count. Parts
    that are cut off, such as a white wall, or quite flat, such as a ground that was painted, show nothing: they are
    left out, but a picture that is mostly flat has no noise.
    """
    size, noise = picture.shape[:2], np.random.default_rng(seed)
    noise = cv2.GaussianBlur(noise.standard_normal(size, dtype=np.float32), (0, 0), 0.6)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    parts = (max(1, size[1] // _GRAIN_PX), max(1, size[0] // _GRAIN_PX))
    strength = cv2.resize(np.abs(cv2.filter2D(grey, -1, _NO_SLOPES)), parts, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(grey, parts, interpolation=cv2.INTER_AREA)
    shown = strength[(mean > _CUT_OFF[0]) & (mean < _CUT_OFF[1])]
    if 2 * np.count_nonzero(shown) > shown.size:
        shown = shown[shown > 0]
    least = float(np.percentile(shown, _SMOOTHEST)) if shown.size else 0.0
    return _GRAIN_SEEN * min(least, _MOST_GRAIN) / 255 * noise
