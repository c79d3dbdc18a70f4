"""Where lips, eyes, brows and the other parts of a face lie: soft masks at the photo's own resolution.

All come from the 468 landmarks. Two go beyond them: irises are searched in the photo (`gan_space.faces.eyes`), and the
forehead is followed to the edge of the hair by its colour. Lengths are in face units, the distance between the eyes;
left and right are as seen in the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.eyes import find_irises
from gan_space.faces.landmarks import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_EYE_CORNERS,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_EYE_CORNERS,
)
from gan_space.faces.masks import WIDTH_TO_SIGMA, Mask, draw_soft, smooth_outline
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.photos.opening import check_photo

# Outlines as places of the mesh, in the order in which they are drawn; the second tuple names corners that stay sharp.
_LIPS_OUTER = (LIPS_OUTER, (61, 291))
_LIPS_INNER = (LIPS_INNER, (78, 308))
_EYE_LEFT = (LEFT_EYE, LEFT_EYE_CORNERS)
_EYE_RIGHT = (RIGHT_EYE, RIGHT_EYE_CORNERS)
_BROW_LEFT = (LEFT_BROW, (70, 107, 55, 46))
_BROW_RIGHT = (RIGHT_BROW, (300, 336, 285, 276))
_NOSE = (
    (
        *(168, 193, 245, 188, 174, 217, 209, 49, 129, 64, 98, 97, 2),
        *(326, 327, 294, 358, 279, 429, 437, 399, 412, 465, 417),
    ),
    (),
)
_CHEEK_LEFT = ((116, 117, 118, 119, 100, 36, 205, 187, 147, 123), ())
_CHEEK_RIGHT = ((345, 346, 347, 348, 329, 266, 425, 411, 376, 352), ())
_FACE = (FACE_OVAL, ())
_OVAL_TOP = (21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251)  # from the left temple over the forehead to the right
_ABOVE_BROWS = (301, 293, 334, 296, 336, 9, 107, 66, 105, 63, 71)  # the forehead's lower edge, from the right temple

_BARE_SKIN = (9, 8, 6, 197, 5, 118, 119, 101, 347, 348, 330)
_NOSE_SKIN = (6, 197, 195, 5, 4, 51, 281, 3, 248, 198, 420, 131, 360)

# Region -> outlines that are joined, and outlines cut out of them.
_OUTLINES = {
    "face": ((_FACE,), ()),
    "lips": ((_LIPS_OUTER,), (_LIPS_INNER,)),
    "mouth": ((_LIPS_OUTER,), ()),
    "mouth_opening": ((_LIPS_INNER,), ()),
    "eye_left": ((_EYE_LEFT,), ()),
    "eye_right": ((_EYE_RIGHT,), ()),
    "eyes": ((_EYE_LEFT, _EYE_RIGHT), ()),
    "brow_left": ((_BROW_LEFT,), ()),
    "brow_right": ((_BROW_RIGHT,), ()),
    "brows": ((_BROW_LEFT, _BROW_RIGHT), ()),
    "nose": ((_NOSE,), ()),
    "cheek_left": ((_CHEEK_LEFT,), ()),
    "cheek_right": ((_CHEEK_RIGHT,), ()),
    "cheeks": ((_CHEEK_LEFT, _CHEEK_RIGHT), ()),
    "skin": ((_FACE,), (_LIPS_OUTER, _EYE_LEFT, _EYE_RIGHT, _BROW_LEFT, _BROW_RIGHT)),
}
REGIONS = (*_OUTLINES, "irises", "forehead")

# How wide the edge of a mask is by itself, from 10 to 90 % of full strength, in face units.
FEATHER = {"lips": 0.03, "mouth": 0.03, "mouth_opening": 0.02, "eye_left": 0.02, "eye_right": 0.02, "eyes": 0.02}
FEATHER |= {"irises": 0.02, "brow_left": 0.06, "brow_right": 0.06, "brows": 0.06, "nose": 0.1, "cheeks": 0.25}
FEATHER |= {"cheek_left": 0.25, "cheek_right": 0.25, "face": 0.1, "skin": 0.05, "forehead": 0.08}

_MIXED, _HIGHEST = 150.0, 40  # lightness codes that hair of one head does not span; per cent of it that surely is hair
_LEANING_DEG = 10  # of roll, from where a head is set upright before its fringe is looked for
_FRINGE_FROM, _FRINGE_WIDTH, _FRINGE_CELLS = 0.25, 0.75, 50  # face units above the mesh, to each side; cells of one
_HAIR_ROOM = 0.55  # face units above the mesh that are searched for the edge of the hair


def find_region(
    landmarks, name: str, size: tuple[int, int], feather: float | None = None, photo: Tensor | None = None
) -> Mask:
    """Draw the soft mask of one part of a face.

    Args:
        landmarks: [468, 2] photo pixels.
        name: one of `REGIONS`.
        size: height and width of the photo in px.
        feather: width of the edge from 10 to 90 %, in face units; None takes the region's own. No edge is narrower
            than the photo's pixels allow.
        photo: [3, H, W] uint8; irises and the forehead's upper edge are found better with it.

    Raises:
        InputError: an unknown region, or landmarks or a photo of another form.
    """
    landmarks = check_landmarks(landmarks)
    if name not in REGIONS:
        raise InputError(f"a region is one of {', '.join(REGIONS)}, got {name!r}")
    if feather is not None and not 0 <= feather < 10:
        raise InputError(f"a feather is a width in face units, 0 to 10, got {feather}")
    if photo is not None and tuple(check_photo(photo).shape[1:]) != tuple(size):
        raise InputError(f"the photo is {list(photo.shape[1:])}, got a size of {list(size)}")
    unit = face_frame(landmarks).frame_px
    feather_px = (FEATHER[name] if feather is None else feather) * unit
    if name == "irises":
        eyes = find_region(landmarks, "eyes", size, feather)
        discs = [_circle(x, y, radius) for x, y, radius in find_irises(landmarks, photo)]
        return _multiply(eyes, draw_soft(discs, size, feather_px, box=eyes.box))
    if name == "forehead":
        return _forehead(landmarks, size, feather_px, unit, photo)
    joined, cut = _OUTLINES[name]
    mask = draw_soft([smooth_outline(landmarks, outline) for outline in joined], size, feather_px)
    if cut:
        holes = draw_soft([smooth_outline(landmarks, outline) for outline in cut], size, feather_px, box=mask.box)
        mask = Mask(mask.box, mask.values * (1 - holes.values))
    return mask


def find_skin(landmarks, photo: Tensor, box: tuple[int, int, int, int], any_light: bool = False) -> np.ndarray:
    """Tell how much each pixel has the colour of this face's bare skin: hair, lips, frames and background have not.

    Args:
        landmarks: [468, 2] photo pixels.
        photo: [3, H, W] uint8.
        box: left, top, right, bottom in whole photo pixels, inside the photo.
        any_light: also skin that mirrors the light or lies in shade; hair of nearly that colour goes for it, too.

    Returns:
        [bottom - top, right - left] float32, 0 to 1.
    """
    landmarks, (left, top, right, bottom) = check_landmarks(landmarks), box
    unit = face_frame(landmarks).frame_px
    part = np.ascontiguousarray(check_photo(photo)[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    colours = _skin_colours(landmarks, photo, unit)
    if not part.size or not len(colours):
        return np.ones(part.shape[:2], np.float32)
    shrink = max(1, int(unit // 60))
    small = cv2.resize(part, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    like = _skin_likeness(small, colours)
    if any_light:
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) - np.float32([0, 128, 128])
        skins = (np.median(colours, axis=0), *_nose_colours(landmarks, photo, unit))
        like = np.maximum(like, np.clip(2.0 - _unlike_lit_skin(lab, skins, 0.75), 0, 1))
    like = (like * 255).astype(np.uint8)
    like = cv2.GaussianBlur(cv2.medianBlur(like, 3), (0, 0), max(0.015 * unit / shrink, 0.5))
    return cv2.resize(like, part.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255


def find_fringe(landmarks, photo: Tensor, box: tuple[int, int, int, int], beside_eyes: bool = False) -> np.ndarray:
    """Tell where hair hangs from above the forehead into the face.

    Hair has the colour of what is above the forehead, not that of skin in light or shade, and hangs together from
    there: a brow has skin above it.

    Args:
        landmarks, photo, box: as for `find_skin`.
        beside_eyes: also look beside the eyes and below them, where colours do not always tell hair from shade.

    Returns:
        [bottom - top, right - left] float32, 0 to 1.
    """
    landmarks, (left, top, right, bottom) = check_landmarks(landmarks), box
    frame = face_frame(landmarks)
    unit = frame.frame_px
    if abs(frame.roll_deg) > _LEANING_DEG and left < right and top < bottom:
        return _fringe_of_leaning(landmarks, photo, box, beside_eyes)
    above = max(min(top, int(landmarks[list(_OVAL_TOP), 1].min() - _FRINGE_FROM * unit)), 0)
    part = np.ascontiguousarray(check_photo(photo)[:, above:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    colours = _skin_colours(landmarks, photo, unit)
    if not part.size or not len(colours):
        return np.zeros((bottom - top, right - left), np.float32)
    cell = max(1, round(unit / _FRINGE_CELLS))
    rows, columns = -(-part.shape[0] // cell), -(-part.shape[1] // cell)
    lab = cv2.cvtColor(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    lab = lab.astype(np.float32) - np.float32([0, 128, 128])
    unlike = _unlike_lit_skin(lab, (np.median(colours, axis=0), *_nose_colours(landmarks, photo, unit)))
    y, x = np.mgrid[0:rows, 0:columns] * cell + cell / 2
    places = frame.apply(np.stack([x + left, y + above], axis=-1).reshape(-1, 2)).reshape(rows, columns, 2)
    middle = np.abs(places[..., 0]) < _FRINGE_WIDTH
    above_face = (places[..., 1] < -0.65) & middle & (unlike > 1.5)
    if above_face.sum() < 10:
        return np.zeros((bottom - top, right - left), np.float32)
    top_hair = lab[above_face]
    darkest, lightest = np.percentile(top_hair[:, 0], (5, 95))
    if lightest - darkest > _MIXED:  # with skin in shade or in glaring light among it, which lies lower
        top_hair = lab[above_face & (places[..., 1] <= np.percentile(places[above_face, 1], _HIGHEST))]
        darkest, lightest = np.percentile(top_hair[:, 0], (5, 75))
    light = np.maximum(darkest - lab[..., 0], lab[..., 0] - lightest).clip(0)
    hue = np.linalg.norm(lab[..., 1:] - np.median(top_hair[:, 1:], axis=0), axis=2)
    hair = np.clip(unlike - 1.2, 0, 1) * np.clip(2 - light / 12 - hue / 14, 0, 1)
    hangs = np.where(middle, hair, 0)
    for row in range(1, rows):  # strands may slant
        from_above = cv2.dilate(hangs[row - 1 : row], np.ones((1, 3)))[0]
        hangs[row] = np.where(places[row, :, 1] < -0.75, hangs[row], np.minimum(hair[row], from_above))
    if beside_eyes:  # but a strand that comes down beside the nose is a shadow, and hair beside the face hangs behind
        hangs *= 1 - np.clip((places[..., 1] - 0.1) / 0.1, 0, 1) * (np.abs(places[..., 0]) < 0.6)
        for side in (-1, 1):
            inner = np.abs(side * places[..., 0] - 0.65).argmin(axis=1)
            outside = side * places[..., 0] > 0.65
            hangs = np.where(outside, np.minimum(hangs, hangs[np.arange(rows), inner][:, None]), hangs)
    else:
        away, down = (np.abs(places[..., 0]) - 0.45) / 0.2, (places[..., 1] + 0.05) / 0.15
        hangs *= (1 - np.clip(away, 0, 1)) * (1 - np.clip(down, 0, 1))
    hangs = cv2.GaussianBlur(np.clip(2.5 * hangs - 0.75, 0, 1).astype(np.float32), (0, 0), 0.7)
    return cv2.resize(hangs, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)[top - above :]


def _fringe_of_leaning(
    landmarks: np.ndarray, photo: Tensor, box: tuple[int, int, int, int], beside_eyes: bool
) -> np.ndarray:
    """Look for a fringe where the head is set upright: hair hangs from where the face's own top is."""
    (left, top, right, bottom), frame = box, face_frame(landmarks)
    turn = frame.matrix[:, :2] * frame.frame_px  # photo pixels -> upright ones
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]]) @ turn.T
    upright = landmarks @ turn.T
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    head = np.floor(upright[list(_OVAL_TOP), 1].min() - _FRINGE_FROM * frame.frame_px)
    room = int(max(low[1] - head, 0))
    low[1] -= room
    columns, rows = (int(length) for length in high - low)
    # Only the part of the photo that is turned, which may be larger than OpenCV takes.
    around = np.array([low, [high[0], low[1]], [low[0], high[1]], high]) @ turn
    x, y = (max(int(start), 0) for start in around.min(axis=0) - 2)
    end_x, end_y = (max(int(end), 0) for end in around.max(axis=0) + 2)
    part = np.ascontiguousarray(check_photo(photo)[:, y:end_y, x:end_x].permute(1, 2, 0).cpu().numpy())

    def matrix(start) -> np.ndarray:  # of middles of pixels, which lie half a pixel in
        return np.column_stack([turn, turn @ (np.array(start) + 0.5) - low - 0.5])

    straight = cv2.warpAffine(part, matrix([x, y]), (columns, rows), borderMode=cv2.BORDER_REPLICATE)
    hair = find_fringe(
        upright - low, torch.from_numpy(straight).permute(2, 0, 1), (0, room, columns, rows), beside_eyes
    )
    back = matrix([left, top])
    back[1, 2] -= room
    return cv2.warpAffine(hair, back, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _circle(x: float, y: float, radius: float) -> np.ndarray:
    angle = np.arange(64) * (2 * np.pi / 64)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def _multiply(mask: Mask, other: Mask) -> Mask:
    return Mask(mask.box, mask.values * other.values)


def _forehead(
    landmarks: np.ndarray, size: tuple[int, int], feather_px: float, unit: float, photo: Tensor | None
) -> Mask:
    """From the brows to the edge of the hair: what has the colour of skin there, also above the mesh.

    The mesh ends somewhere on the forehead, knows nothing of hair and runs under a fringe. Without a photo its end is
    the edge; with one, only what has the colour of the bare skin lower down counts.
    """
    frame = face_frame(landmarks)
    up = frame.inverse.apply([0.0, -1.0]) - frame.inverse.apply([0.0, 0.0])
    top, below = landmarks[list(_OVAL_TOP)], landmarks[list(_ABOVE_BROWS)]
    own = np.concatenate([top, below])
    if photo is None:
        return draw_soft([own], size, feather_px)
    # The higher the middle, the more room: at the temples the mesh already ends in the hair.
    room = _HAIR_ROOM * np.sin(np.linspace(0, np.pi, len(top)))[:, None]
    wide = draw_soft([np.concatenate([top + room * up, below])], size, feather_px)
    left, top_px, right, bottom = wide.box
    part = np.ascontiguousarray(photo[:, top_px:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    colours = _skin_colours(landmarks, photo, unit)
    if not part.size or not len(colours):
        return draw_soft([own], size, feather_px)
    shrink = max(1, int(unit // 60))  # hair's edge is no finer than this after the feather
    small = cv2.resize(part, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    like = _skin_likeness(small, colours)
    # Only what hangs together with the forehead: a light wall has skin's colour, too.
    _, parts = cv2.connectedComponents((like > 0.5).astype(np.uint8))
    counts = np.bincount(parts.ravel(), minlength=2)
    counts[0] = 0
    like = like * cv2.dilate((parts == counts.argmax()).astype(np.float32), np.ones((3, 3)))
    like = cv2.medianBlur((like * 255).astype(np.uint8), 5).astype(np.float32) / 255
    like = cv2.resize(like, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    like = cv2.GaussianBlur(like, (0, 0), max(feather_px * WIDTH_TO_SIGMA, 0.5))
    return Mask(wide.box, wide.values * like)


def _skin_likeness(picture: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """How near the colours of [h, w, 3] uint8 RGB are to those of bare skin, [h, w] from 0 to 1."""
    middle = np.median(colours, axis=0)
    spread = 1.48 * np.median(np.abs(colours - middle), axis=0)
    spread = spread.clip((16.0, 4.0, 4.0), (30.0, 8.0, 8.0))  # light varies most over a forehead
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = np.sqrt((((lab - middle) / spread) ** 2).mean(axis=2))
    return np.clip((2.6 - distance) / 1.2, 0, 1)


def _unlike_lit_skin(lab: np.ndarray, skins, darkest: float = 0.6) -> np.ndarray:
    """How far [h, w, 3] CIE Lab, a* and b* around 0, is from skin in any light from `darkest` on, [h, w]."""
    unlike = np.full(lab.shape[:2], np.inf, np.float32)
    for skin in np.stack(skins) - np.float32([0, 128, 128]):
        shade = ((lab @ skin) / max(float(skin @ skin), 1.0)).clip(darkest, 1.15)[
            ..., None
        ]  # how much light falls on it, were it skin
        unlike = np.minimum(unlike, np.linalg.norm((lab - shade * skin) / np.float32([18, 6, 6]), axis=2))
    return unlike


def _nose_colours(landmarks: np.ndarray, photo: Tensor, unit: float) -> np.ndarray:
    """Skin that mirrors the light and skin that does not, [2, 3] CIE Lab: a nose has both, and no hair; or [0, 3]."""
    colours = _skin_colours(landmarks, photo, unit, _NOSE_SKIN)
    order = np.linalg.norm(colours[:, 1:] - 128, axis=1).argsort()
    parts = np.array_split(colours[order], 3)
    return np.stack([np.median(part, axis=0) for part in (parts[0], parts[2])]) if len(colours) > 2 else colours[:0]


def _skin_colours(
    landmarks: np.ndarray, photo: Tensor, unit: float, places: tuple[int, ...] = _BARE_SKIN
) -> np.ndarray:
    """Colours between the brows, on the bridge of the nose and below the eyes, where hardly anybody has hair.

    Returns:
        [K, 3] float32 CIE Lab as cv2 scales it.
    """
    radius = max(1, int(0.04 * unit))
    patches = []
    for x, y in landmarks[list(places)]:
        patch = photo[:, max(int(y) - radius, 0) : int(y) + radius + 1, max(int(x) - radius, 0) : int(x) + radius + 1]
        if x >= 0 and y >= 0 and 0 not in patch.shape:
            patches.append(patch.reshape(3, -1).T.cpu().numpy())
    if not patches:
        return np.zeros((0, 3), np.float32)
    colours = np.ascontiguousarray(np.concatenate(patches))[None]  # [1, K, 3]
    return cv2.cvtColor(colours, cv2.COLOR_RGB2LAB)[0].astype(np.float32)
