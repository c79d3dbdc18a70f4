"""Skin, eyes and teeth of a face, retouched by smooth changes of colour; pores, lashes and hair are never touched.

All is worked out on a copy of the face whose eyes are `WORK_PX` apart, and only the change is enlarged and added to the
photo: what is finer than that copy's pixels stays by construction, and a large photo costs little more than a small
one. Lightness comes and goes within the face, its mean over the skin stays: no amount makes anybody's skin lighter.
Lengths are in face units, the distance between the eyes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.landmarks import CHIN, FACE_OVAL, FOREHEAD_TOP, LEFT_EYE, RIGHT_EYE, Landmarks
from gan_space.faces.masks import draw_soft
from gan_space.faces.regions import find_region
from gan_space.looks.amounts import Amount, amount_faults
from gan_space.looks.blurring import blur, blur_inside
from gan_space.photos.opening import check_photo, to_rows

# Name -> what it does; a look's `skin`.
AMOUNTS: dict[str, Amount] = {
    "even": Amount("evens out blotches and blemishes; pores, folds and moles stay"),
    "dark_circles": Amount("brings the skin below the eyes towards that of the cheeks"),
    "matte": Amount("takes off shine"),
    "dewy": Amount("lifts what the light touches, as on moist skin"),
    "eyes": Amount("clears the whites of the eyes and gives irises contrast"),
    "teeth": Amount("takes yellow off teeth"),
}
WORK_PX = 96.0  # between the eyes
ROOM, ROOM_ABOVE = 0.15, 0.6  # face units around the mesh; above it is the forehead up to the hair
PORE = 0.014  # face units; what is smaller is texture
SPOT, BLOTCH, SHADING = 0.055, 0.13, 0.3  # face units; up to which a spot, a blotch goes; what is larger gives form
NOSE_SPOT = 0.028  # on a nose, whose bridge and wings are no larger than spots elsewhere
_PALE_GLARE = 5.0  # lightness above the form around it at which half of the skin's own colour is missing

# Below each eye: from the lower lid's edge down to the bone.
_BELOW_EYES = (
    (226, 31, 228, 229, 230, 231, 232, 233, 244, 245, 128, 121, 120, 119, 118, 117, 111, 35),
    (446, 261, 448, 449, 450, 451, 452, 453, 464, 465, 357, 350, 349, 348, 347, 346, 340, 265),
)
_BARE = (9, 8, 6, 197, 5, 118, 119, 101, 50, 36, 347, 348, 330, 280, 266)  # skin in nearly everybody


def retouch(
    pixels: Tensor,
    marks: Sequence[Landmarks],
    amounts: Mapping[str, float],
    views: Sequence[FaceView | None] | None = None,
) -> Tensor:
    """Retouch skin, eyes and teeth of faces; outside of them not a bit changes.

    Args:
        pixels: [3, H, W] uint8.
        marks: the places of each face.
        amounts: name -> amount, see `AMOUNTS`.
        views: of each face in these very pixels, which know what was found for another look; None: they are cut here.

    Returns:
        [3, H, W] uint8; the photo itself without amounts.

    Raises:
        InputError: an unknown name, an amount out of range, or another form of photo; all faults at once.

    Example:
        >>> retouch(photo, portrait.landmarks(landmarker), {"even": 0.6, "eyes": 0.3})  # doctest: +SKIP
    """
    check_photo(pixels)
    raise_all(amount_faults(AMOUNTS, amounts), InputError)
    wanted = {name: float(amount) for name, amount in amounts.items() if amount}
    if not wanted or not marks:
        return pixels
    result = pixels.clone()
    for number, face in enumerate(marks):
        view = FaceView.cut(result, face) if views is None else views[number]
        if view is not None:
            view.add(result, _change(view, wanted))
    return result


@dataclass(frozen=True)
class FaceView:
    """A copy of a face and its surroundings, small enough to be worked on quickly.

    Attributes:
        box: left, top, right, bottom in photo px.
        rgb: [h, w, 3] float32 in [0, 1].
        marks: with points in px of the copy.
    """

    box: tuple[int, int, int, int]
    rgb: np.ndarray
    marks: Landmarks

    @classmethod
    def cut(cls, photo: Tensor, marks: Landmarks) -> FaceView | None:
        """Cut it out of a photo [3, H, W] uint8; None where the face lies outside."""
        height, width = photo.shape[1:]
        unit = marks.eye_distance
        oval = marks.of(FACE_OVAL)
        up = marks.points[FOREHEAD_TOP] - marks.points[CHIN]
        above = oval + ROOM_ABOVE * unit * up / np.linalg.norm(up)
        corners = np.concatenate([oval, above])
        left, top = np.floor(corners.min(axis=0) - ROOM * unit).astype(int).clip(0)
        right, bottom = np.ceil(corners.max(axis=0) + ROOM * unit).astype(int).clip(0, (width, height))
        if right - left < 8 or bottom - top < 8:
            return None
        part = to_rows(photo[:, top:bottom, left:right])
        scale = min(1.0, WORK_PX / unit)
        if scale < 1:
            size = (max(8, round((right - left) * scale)), max(8, round((bottom - top) * scale)))
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        steps = (part.shape[1] / (right - left), part.shape[0] / (bottom - top))
        points = (marks.points - (left, top)) * steps
        small = Landmarks(points, marks.error, marks.presence, marks.covered)
        return cls((int(left), int(top), int(right), int(bottom)), part.astype(np.float32) / 255, small)

    @cached_property
    def unit(self) -> float:
        """Distance between the eyes in px of the copy."""
        return self.marks.eye_distance

    @cached_property
    def lab(self) -> np.ndarray:
        """[h, w, 3] float32 CIE Lab."""
        return cv2.cvtColor(self.rgb, cv2.COLOR_RGB2LAB)

    @cached_property
    def skin(self) -> np.ndarray:
        """Bare skin, see `find_skin`."""
        return find_skin(self)

    @cached_property
    def irises(self) -> np.ndarray:
        """[h, w] float32 in [0, 1]."""
        return self.region("irises")

    @cached_property
    def nose(self) -> np.ndarray:
        """Where light and shade are the form of a nose, up to the folds beside its wings; [h, w] in [0, 1]."""
        reach = 2 * round(0.09 * self.unit) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        return blur(cv2.dilate(self.region("nose"), disc), 0.04 * self.unit)

    # What a full amount changes, [h, w, 3] Lab: every look takes a share of the same.

    @cached_property
    def evened(self) -> np.ndarray:
        """See `_even`."""
        return _even(self)

    @cached_property
    def lit(self) -> np.ndarray:
        """[h, w] how much lighter than the form around it asks for."""
        near, form = (blur_inside(self.lab[..., 0], self.skin, width * self.unit) for width in (0.03, 0.22))
        return (near - form).clip(0)

    @cached_property
    def clear_eyes(self) -> np.ndarray:
        """See `_clear_eyes`."""
        return _clear_eyes(self)

    @cached_property
    def white_teeth(self) -> np.ndarray:
        """See `_whiten_teeth`."""
        return _whiten_teeth(self)

    @cached_property
    def below_eyes(self) -> list[np.ndarray]:
        """Skin below either eye, [h, w] in [0, 1]."""
        return [self.skin * self.fill([self.marks.points[list(places)]], 0.12) for places in _BELOW_EYES]

    def region(self, name: str, feather: float | None = None) -> np.ndarray:
        """Return the mask of a region, [h, w] float32 in [0, 1]."""
        size = self.rgb.shape[:2]
        mask = find_region(self.marks.points, name, size, feather, photo=self._codes)
        return mask.full(*size).numpy()

    def fill(self, outlines: Sequence[np.ndarray], feather: float) -> np.ndarray:
        """Fill polygons in px of the copy -> [h, w] float32 in [0, 1]."""
        size = self.rgb.shape[:2]
        return draw_soft(list(outlines), size, feather * self.unit).full(*size).numpy()

    @cached_property
    def _codes(self) -> Tensor:
        return torch.from_numpy(np.round(self.rgb * 255).astype(np.uint8)).permute(2, 0, 1)

    def add(self, photo: Tensor, change: np.ndarray) -> None:
        """Add a change of sRGB [h, w, 3], in shares of 1, to the photo in place."""
        left, top, right, bottom = self.box
        if change.shape[:2] != (bottom - top, right - left):
            change = cv2.resize(change, (right - left, bottom - top), interpolation=cv2.INTER_CUBIC)
        part = photo[:, top:bottom, left:right]
        added = cv2.add(to_rows(part), change * np.float32(255), dtype=cv2.CV_8U)  # rounds, stays within 0 and 255
        part.copy_(torch.from_numpy(added).permute(2, 0, 1))


def find_skin(view: FaceView) -> np.ndarray:
    """Say where there is bare skin: inside the mesh and on the forehead, no brows, lips, lids, hair, beard or frames.

    Returns:
        [h, w] float32 in [0, 1].
    """
    unit, lab = view.unit, view.lab
    lids = [_widened(view.marks.of(eye), 1.25, 0.04 * unit) for eye in (LEFT_EYE, RIGHT_EYE)]
    open_places = 1 - np.maximum(view.region("brows", 0.1), view.fill(lids, 0.05))
    open_places *= 1 - view.region("mouth", 0.08)
    region = np.maximum(view.region("skin"), view.region("forehead")) * open_places
    # Colour against lightness is what skin keeps from its lights to its shadows, and hair does not.
    tone = lab[..., 1:] / (lab[..., :1] + 12)  # [h, w, 2]
    samples = _bare_places(view)
    middle = np.median(tone[samples], axis=0)
    spread = (1.48 * np.median(np.abs(tone[samples] - middle), axis=0)).clip(0.042, 0.09)
    smooth_tone = blur(tone, 0.015 * unit)
    distance = np.sqrt((((smooth_tone - middle) / spread) ** 2).mean(axis=2))
    like = region * np.clip((3.4 - distance) / 1.4, 0, 1)
    lightness = lab[..., 0]
    # Black hair has no tone worth the name; it is darker than the same skin is in shadow.
    usual = float(np.median(lightness[samples]))
    like = like * np.clip((blur(lightness, 0.015 * unit) / max(usual, 1.0) - 0.36) / 0.12, 0, 1)
    # Strands, frames, moles and nostrils are darker than the skin around them.
    for _ in range(2):
        around = blur_inside(lightness, like + 1e-3 * region, 0.16 * unit)
        below = around - blur(lightness, 0.008 * unit)
        like = like * np.clip((17 - below) / 6, 0, 1)
    # A beard is rougher than skin is.
    fine = lightness - blur(lightness, 0.03 * unit)
    rough = np.sqrt(blur(np.minimum(fine * fine, 150), 0.05 * unit))
    like = like * np.clip((4.0 - rough / (float(np.median(rough[samples])) + 1.0)) / 1.5, 0, 1)
    return blur(like, 0.012 * unit)


def _change(view: FaceView, amounts: Mapping[str, float]) -> np.ndarray:
    """What is to be added to sRGB, [h, w, 3] in shares of 1."""
    lab = view.lab
    new = lab.copy()
    skin = view.skin
    if any(name in amounts for name in ("even", "dark_circles", "matte", "dewy")):
        change = amounts["even"] * view.evened if "even" in amounts else np.zeros_like(lab)
        if "dark_circles" in amounts:
            change += amounts["dark_circles"] * _lift_below_eyes(view, lab + change)
        if "matte" in amounts or "dewy" in amounts:
            change += _shine(view, amounts.get("matte", 0.0), amounts.get("dewy", 0.0))
        # The mean colour of the skin stays what it is, its lightness before all.
        mean = (change * skin[..., None]).sum(axis=(0, 1)) / max((skin * skin).sum(), 1e-6)
        change -= skin[..., None] * mean
        new += change
    if "eyes" in amounts:
        new += amounts["eyes"] * view.clear_eyes
    if "teeth" in amounts:
        new += amounts["teeth"] * view.white_teeth
    before = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)  # there and back, so that nothing is added where nothing changed
    return cv2.cvtColor(new, cv2.COLOR_LAB2RGB) - before


def _even(view: FaceView) -> np.ndarray:
    """Take the middle frequencies down, those between pores and form; strong ones are folds and edges, and stay."""
    lab, skin, unit = view.lab, view.skin, view.unit
    change = np.zeros_like(lab)
    fine = blur_inside(lab, skin, PORE * unit)
    spots = blur_inside(lab, skin, SPOT * unit)
    blotches = blur_inside(lab, skin, BLOTCH * unit)
    form = blur_inside(lab, skin, SHADING * unit)
    spot, blotch, wide = fine - spots, spots - blotches, blotches - form

    def weak(x: np.ndarray, limit: float) -> np.ndarray:
        return x / (1 + (x / limit) ** 2)

    light = 0.85 * weak(spot[..., 0], 7.0) + 0.5 * weak(blotch[..., 0], 5.0)
    nose = view.nose
    small = fine[..., 0] - blur_inside(lab[..., 0], skin, NOSE_SPOT * unit)
    light += nose * (0.85 * weak(small, 7.0) - light)
    color = 0.9 * weak(spot[..., 1:], 9.0) + 0.7 * weak(blotch[..., 1:], 9.0) + 0.15 * weak(wide[..., 1:], 9.0)
    change[..., 0] = -skin * light
    change[..., 1:] = -skin[..., None] * color
    return change


def _lift_below_eyes(view: FaceView, lab: np.ndarray) -> np.ndarray:
    """Bring dark circles in [h, w, 3] Lab towards the cheeks below them, in lightness and colour."""
    change = np.zeros_like(lab)
    unit, points = view.unit, view.marks.points
    now = blur_inside(lab, view.skin, 0.07 * unit)
    for mask, cheek in zip(view.below_eyes, ((118, 119, 101, 50), (347, 348, 330, 280)), strict=True):
        wanted = np.median(_patches(lab, points[list(cheek)], 0.06 * unit), axis=0)
        missing = wanted - now  # [h, w, 3]
        missing[..., 0] = missing[..., 0].clip(0, 14)
        missing[..., 1:] = missing[..., 1:].clip(-10, 10)
        change += 0.85 * mask[..., None] * missing
    return change


def _shine(view: FaceView, matte: float, dewy: float) -> np.ndarray:
    """Change of Lab, [h, w, 3], where the light is stronger than the form around it asks for."""
    lit, change = view.lit, np.zeros_like(view.lab)
    glare = (lit - 3).clip(0)
    change[..., 0] = view.skin * (-0.75 * matte * glare + 0.55 * dewy * lit * np.exp(-((lit / 14) ** 2)))
    if matte:  # light that mirrors has no colour of skin: darkened alone it is grey
        share = glare / (glare + _PALE_GLARE)
        color, unit = view.lab[..., 1:], view.unit
        around = blur_inside(color, view.skin * (1 - share) + 1e-4, 0.22 * unit)
        missing = around - blur_inside(color, view.skin, 0.03 * unit)
        change[..., 1:] = (0.8 * matte * view.skin * share)[..., None] * missing
    return change


def _clear_eyes(view: FaceView) -> np.ndarray:
    """Whites lose red and yellow and gain a little light; irises gain contrast. Covered eyes stay."""
    unit = view.unit
    change = np.zeros_like(view.lab)
    irises = view.irises
    for side, name in enumerate(("eye_left", "eye_right")):
        opening = view.region(name)
        place = _box_of(opening > 0.5)
        # The edge of the lid and the corners are no white of the eye, and what is dark there is lash or shadow.
        inner = np.clip(2 * opening[place] - 0.8, 0, 1)
        inside = inner > 0.5
        seen = float(np.clip(1.4 - 2 * view.marks.covered[side], 0, 1))
        if not seen or inside.sum() < 12:
            continue
        lab, iris = view.lab[place], irises[place]
        bright = float(np.percentile(lab[..., 0][inside], 85))
        white = inner * (1 - iris) * np.clip((lab[..., 0] - (bright - 32)) / 18, 0, 1)
        pale = np.clip((26 - np.hypot(lab[..., 1], lab[..., 2])) / 10, 0, 1)
        white = seen * blur(white * pale, 0.008 * unit)
        part = change[place]
        part[..., 0] += white * np.clip((92 - lab[..., 0]) / 12, 0, 1) * 5.0
        part[..., 1:] -= 0.5 * white[..., None] * lab[..., 1:]
        iris = seen * inner * iris
        local = lab[..., 0] - blur_inside(lab[..., 0], iris + 1e-3, 0.035 * unit)
        part[..., 0] += iris * (0.8 * local).clip(-10, 12)
        part[..., 1:] += 0.22 * iris[..., None] * lab[..., 1:]
    return change


def _whiten_teeth(view: FaceView) -> np.ndarray:
    """Teeth lose yellow and gain a little light, where a mouth is open and nothing covers it."""
    lab, unit = view.lab, view.unit
    change = np.zeros_like(lab)
    opening = float(np.clip(1.4 - 2 * view.marks.covered[2], 0, 1)) * view.region("mouth_opening")
    inside = opening > 0.5
    if inside.sum() < 30:
        return change
    lips = np.median(lab[view.region("lips") > 0.7], axis=0)
    # Teeth are lighter and less red than lips; gums and tongue are red, the mouth behind is dark.
    tooth = np.clip((lab[..., 0] - lips[0] + 2) / 14, 0, 1) * np.clip((lips[1] - 2 - lab[..., 1]) / 8, 0, 1)
    tooth = blur(opening * tooth, 0.01 * unit)
    change[..., 2] = -0.55 * tooth * lab[..., 2].clip(0, 30)
    change[..., 1] = -0.25 * tooth * lab[..., 1].clip(0, 12)
    change[..., 0] = 4.5 * tooth * np.clip((90 - lab[..., 0]) / 15, 0, 1)
    return change


def _box_of(inside: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns in which anything is True, and some px around."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(max(rows[0] - 4, 0), rows[-1] + 5), slice(max(columns[0] - 4, 0), columns[-1] + 5)


def _widened(outline: np.ndarray, times: float, by_px: float) -> np.ndarray:
    """An outline [K, 2] drawn larger around its middle."""
    middle = outline.mean(axis=0)
    away = outline - middle
    return middle + times * away + by_px * away / np.linalg.norm(away, axis=1, keepdims=True).clip(1e-6)


def _bare_places(view: FaceView) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns around places that are skin in nearly everybody."""
    height, width = view.rgb.shape[:2]
    radius = max(1, int(0.05 * view.unit))
    steps = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1).T  # [K, 2]
    places = (view.marks.points[list(_BARE)].astype(int)[:, None] + steps).reshape(-1, 2)
    return places[:, 1].clip(0, height - 1), places[:, 0].clip(0, width - 1)


def _patches(x: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """Values [K, C] in squares around points."""
    reach = max(1, int(radius))
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    places = (points.astype(int)[:, None] + steps).reshape(-1, 2)
    return x[places[:, 1].clip(0, x.shape[0] - 1), places[:, 0].clip(0, x.shape[1] - 1)]
