"""Take the make-up of another picture: what it does to that person's skin, carried over through the mesh.

Kept apart are the lips' colour, what lies around the eyes, the hue of the cheeks, and the tone of the whole picture.
All is relative to the bare skin of the person who wears it, so a lighter or darker skin is not carried over, and cheeks
carry hue alone: their shade is the light of another room. After Guo & Sim, "Digital face makeup by example"
(CVPR 2009), who work in the same layers.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.mesh import NUM_LANDMARKS, check_landmarks, piecewise_linear
from gan_space.faces.pigment import luminance, to_srgb
from gan_space.faces.snap import snap_outlines
from gan_space.looks import lips
from gan_space.looks.cheeks import cheek_strokes
from gan_space.looks.eyes import Eye, brow_hairs, eye_surroundings, eyes_of
from gan_space.looks.face_patch import Box, FacePatch
from gan_space.looks.layers import HEX_COLOR, Lipstick
from gan_space.looks.tone import Tone, bring_tone, read_tone
from gan_space.photos.opening import check_photo, to_rows
from gan_space.settings import Setting, brief, is_number

PARTS = ("lips", "eyes", "skin", "tone")
SHARE = Setting("how much of a part is put on", low=0, high=1)
FORMAT_VERSION = 1
# Maps in the wearer's own face frame: left, top, right, bottom in face units, and pixels per face unit.
_EYES_AREA, _EYES_PX = (-1.1, -0.62, 1.1, 0.4), 110
_SKIN_AREA, _SKIN_PX = (-1.3, -0.9, 1.3, 1.8), 36
_LOG_RANGE = 3.2  # a map holds logarithms from minus this to plus this in 8 bits
_DARKEST, _LIGHTEST = -2.2, 0.3  # logarithms: the darkest shade, and the most that any of red, green and blue may rise
_FLOOR = 0.012  # linear light below which no hue is read
_SHADE_SHARE = 0.9  # of the darkness around the eyes
_SOCKET = 0.18  # logarithm of the shade in which eyes lie by themselves
_MOST_HUE = 0.45  # logarithm of the strongest change of hue on the cheeks
_FRINGE = (0.1, 0.3)  # share of a lid that is hair where a fringe begins to and fully hides it
# Bare skin whatever somebody wears: between the brows, bridge of the nose, chin; and beside the eyes, left and right.
_BASE = (9, 8, 151, 6, 197, 195, 200, 199)
_BESIDE = ((118, 119, 101, 100, 36), (347, 348, 330, 329, 266))


@dataclass(frozen=True, eq=False)
class MakeupReference:
    """The make-up of one face and the tone of its picture: what it does to that skin, no picture of anybody.

    Attributes:
        points: [468, 2] the wearer's landmarks in face units.
        lip_color: #rrggbb in white light.
        lip_depth: logarithm of the lips' luminance over the skin's.
        lip_finish: one of the finishes of `Lipstick`.
        eyes: [h, w, 3] uint8, logarithms of what the skin is multiplied by around the eyes.
        skin: [h, w, 3] uint8, the same of the hue of the whole face.
        tone: the picture's tone and light, for the whole photo; None for none.
        strengths: part -> how much of it is put on, 0 to 1, see `PARTS`; what is left out is 1.

    Raises:
        InputError: an unknown part, or a strength out of range.
    """

    points: np.ndarray
    lip_color: str
    lip_depth: float
    lip_finish: str
    eyes: np.ndarray
    skin: np.ndarray
    tone: Tone | None = None
    strengths: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strengths", check_strengths(self.strengths))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MakeupReference) and self.to_dict() == other.to_dict()

    def scaled(self, strength: float | Mapping[str, float]) -> MakeupReference:
        """Return the same with another share of each part: one number for all, or part -> number, 0 to 1.

        Raises:
            InputError: an unknown part, or one out of range.
        """
        shares = check_strengths(strength)
        return replace(self, strengths={name: shares[name] * own for name, own in self.strengths.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; about 60 KB."""
        content = {
            "format_version": FORMAT_VERSION,
            "lip_color": self.lip_color,
            "lip_depth": self.lip_depth,
            "lip_finish": self.lip_finish,
            "points": self.points.ravel().tolist(),
            "eyes": _to_png(self.eyes),
            "skin": _to_png(self.skin),
            "strengths": dict(self.strengths),
        }
        return content if self.tone is None else content | {"tone": self.tone.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MakeupReference:
        """Read what `to_dict` gave.

        Raises:
            InputError: something is missing or of another form; all faults at once.
        """
        if not isinstance(content, Mapping) or content.get("format_version") != FORMAT_VERSION:
            raise InputError(f"expected make-up of another picture, format {FORMAT_VERSION}, got {brief(content)}")
        faults, points = [], content.get("points")
        unknown = set(content) - {"format_version", *(one.name for one in fields(cls))}
        faults += [f"unknown entry {brief(name)}" for name in sorted(unknown)]
        if not isinstance(points, list) or len(points) != 2 * NUM_LANDMARKS or not all(map(is_number, points)):
            faults.append(f"points must be {2 * NUM_LANDMARKS} numbers, got {brief(points)}")
        color, depth, finish = (content.get(name) for name in ("lip_color", "lip_depth", "lip_finish"))
        if not isinstance(color, str) or not HEX_COLOR.fullmatch(color):
            faults.append(f"lip_color must be a colour such as #a1343c, got {brief(color)}")
        if not is_number(depth):
            faults.append(f"lip_depth must be a number, got {brief(depth)}")
        if finish not in lips.COVERAGE:
            faults.append(f"lip_finish must be one of {', '.join(lips.COVERAGE)}, got {brief(finish)}")
        maps = {}
        for name, area, px in (("eyes", _EYES_AREA, _EYES_PX), ("skin", _SKIN_AREA, _SKIN_PX)):
            maps[name] = _from_png(content.get(name), _map_size(area, px))
            if maps[name] is None:
                faults.append(
                    f"{name} must be a PNG of {_map_size(area, px)} in base64, got {brief(content.get(name))}"
                )
        tone = None
        if "tone" in content:
            try:
                tone = Tone.from_dict(content["tone"])
            except InputError as error:
                faults.append(f"tone: {error}")
        strengths = content.get("strengths", {})
        faults += _strength_faults(strengths)
        raise_all(faults, InputError)
        places = np.array(points, np.float64).reshape(NUM_LANDMARKS, 2)
        return cls(places, color, float(depth), finish, maps["eyes"], maps["skin"], tone, strengths)


def read_makeup(pixels: Tensor, marks: Landmarks) -> MakeupReference:
    """Read the make-up of a face in a picture.

    Args:
        pixels: [3, H, W] uint8.
        marks: of the face that wears it.

    Raises:
        InputError: another form of picture or landmarks.
    """
    photo = _photo(pixels)
    patch = _patch(photo, marks)
    box = lips.mouth_box(patch)
    mask = lips.lip_mask(patch)
    linear = patch.at(box)
    worn = linear[mask > 0.7 * max(float(mask.max(initial=0)), 1e-6)]
    if not len(worn):
        worn = patch.light.skin[None]
    bright = luminance(worn)
    # Neither shine nor creases are the lipstick's colour.
    middle = (bright >= np.quantile(bright, 0.25)) & (bright <= np.quantile(bright, 0.8))
    color = np.median(worn[middle], axis=0)
    base = _base_skin(patch)
    shine = float(np.quantile(bright, 0.98) / max(np.median(bright), 1e-4))
    finish = "gloss" if shine > 2.6 else "satin" if shine > 1.5 else "matte"
    codes = to_srgb((color / patch.light.white).clip(0, 1))
    return MakeupReference(
        points=np.round(patch.frame.apply(patch.points), 3),
        lip_color="#{:02x}{:02x}{:02x}".format(*(int(code) for code in codes)),
        lip_depth=round(float(np.log(luminance(color) / max(luminance(base), 1e-4))), 3),
        lip_finish=finish,
        eyes=_to_codes(_own_map(patch, base, _EYES_AREA, _EYES_PX, 0.01, _without_eyes(patch), _hairs_by_eyes(patch))),
        skin=_to_codes(_own_map(patch, base, _SKIN_AREA, _SKIN_PX, 0.04, patch.skin(patch.box))),
        tone=read_tone(photo, patch)[0],
    )


def apply_makeup(
    pixels: Tensor,
    marks: Landmarks | Sequence[Landmarks],
    reference: MakeupReference,
    strengths: Mapping[str, float] | float = 1.0,
) -> Tensor:
    """Put the make-up of another picture on faces, and its tone on the photo.

    Without tone, all that make-up does not reach stays as it is, to the bit.

    Args:
        pixels: [3, H, W] uint8.
        marks: of one face or of several.
        reference: from `read_makeup`.
        strengths: times the reference's own, as in `MakeupReference.scaled`.

    Raises:
        InputError: an unknown part, a strength out of range, or another form of photo or landmarks.

    Example:
        >>> apply_makeup(photo, marks, read_makeup(other, other_marks), {"skin": 0.5})  # doctest: +SKIP
    """
    strengths = reference.scaled(strengths).strengths
    photo, result, own = _photo(pixels), pixels.clone(), None
    with_tone = reference.tone is not None and strengths["tone"]
    for face in [marks] if isinstance(marks, Landmarks) else marks:
        patch = _patch(photo, face)
        if not patch.codes.size:
            continue
        if with_tone and own is None:  # of the first face, before it is painted
            own = read_tone(photo, patch)
        base = _base_skin(patch)
        if strengths["skin"]:
            _apply_skin(patch, base, reference, strengths["skin"])
        if strengths["eyes"]:
            _apply_eyes(patch, base, reference, strengths["eyes"])
        if strengths["lips"]:
            _apply_lips(patch, base, reference, strengths["lips"])
        (left, top, right, bottom), painted = patch.codes_after()
        photo[top:bottom, left:right] = painted
        result[:, top:bottom, left:right] = torch.from_numpy(painted).permute(2, 0, 1)
    return result if own is None else bring_tone(result, own[0], reference.tone, own[1], strengths["tone"])


def _apply_lips(patch: FacePatch, base: np.ndarray, reference: MakeupReference, strength: float) -> None:
    """The pot's colour, half as light or dark as it is and half as it is against the wearer's skin."""
    row = Lipstick(color=reference.lip_color, amount=strength, finish=reference.lip_finish)
    color = patch.light.on(row.color)
    depth = float(np.log(luminance(color) / max(luminance(base), 1e-4)))
    color = color * np.exp(0.5 * (reference.lip_depth - depth))
    lips.paint_lipstick(patch, row, color.astype(np.float32), coverage=0.92)


def _apply_eyes(patch: FacePatch, base: np.ndarray, reference: MakeupReference, strength: float) -> None:
    worn = _from_codes(reference.eyes)
    for eye in eyes_of(patch):
        box = eye.box
        weight = eye_surroundings(eye) * (1 - eye.opening) * eye.share**2
        # Lids are dark and may pass for hair; beside the eye what passes for hair is hair.
        u = eye.grid[0]
        lid = ((u + 0.15) / 0.15).clip(0, 1) * ((1.15 - u) / 0.15).clip(0, 1)
        weight *= np.maximum(patch.skin(box), 0.45 * lid) * (1 - brow_hairs(patch, eye))
        theirs = _carried(patch, box, weight.shape, reference.points, worn, _EYES_AREA, _EYES_PX)
        own = _filled(_logs(patch, patch.at(box), base, patch.grid(box)[0]), 1 - eye.opening, patch, 0.06)
        their_shade, own_shade = luminance(theirs), luminance(own)
        hue = (theirs - their_shade[..., None]) - (own - own_shade[..., None])
        # Every socket lies in some shade; what is darker than that is make-up, on either face.
        shade = np.maximum(their_shade + _SOCKET, their_shade - np.minimum(own_shade + 2 * _SOCKET, 0))
        logs = hue.clip(-1.2, 1.2) + (_SHADE_SHARE * shade).clip(_DARKEST, 0.0)[..., None]
        logs = np.minimum(logs, _LIGHTEST)
        share = weight * strength
        patch.put(box, patch.at(box) * cv2.exp((share[..., None] * logs).astype(np.float32)), share)


def _apply_skin(patch: FacePatch, base: np.ndarray, reference: MakeupReference, strength: float) -> None:
    worn = _from_codes(reference.skin)
    skin = patch.small_skin
    theirs = _carried(patch, patch.box, skin.shape, reference.points, worn, _SKIN_AREA, _SKIN_PX)
    own = np.log(patch.small_pixels + 1e-3) - np.log(base + 1e-3)
    sigma = 0.05 * patch.unit * patch.small_scale
    weight = np.maximum(skin, 1e-3)[..., None]
    own = cv2.GaussianBlur(own * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    # Cheeks of their own colour are half of what the other's are given: blush over a blush, but no skin repainted.
    change = theirs - 0.5 * own
    change = (change - luminance(change.astype(np.float32))[..., None]).clip(-_MOST_HUE, _MOST_HUE)
    # A change of hue at the same luminance.
    factor = np.exp(change)
    chroma = patch.small_pixels / np.maximum(luminance(patch.small_pixels), 1e-3)[..., None]
    change = change - np.log(np.maximum(luminance((chroma * factor).astype(np.float32)), 1e-3))[..., None]
    cheeks = (1.5 * cheek_strokes(patch)).clip(0, 1) * skin
    patch.multiply((0.8 * strength * cheeks[..., None] * change).astype(np.float32))


# Maps


def _logs(patch: FacePatch, linear: np.ndarray, base: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Logarithm of pixels over bare skin, whose brightness is that of its own half of the face; `x` in face units."""
    sides = [float(luminance(patch.colors_at(places))) for places in _BESIDE]
    middle = float(luminance(base))
    left, right = (np.log(np.clip(side / max(middle, 1e-4), 0.4, 1.6)) for side in sides)
    right_share = ((x + 0.4) / 0.8).clip(0, 1)
    brightness = left + right_share * (right - left)
    return np.log(linear + _FLOOR) - np.log(base + _FLOOR) - brightness[..., None]


def _own_map(
    patch: FacePatch, base: np.ndarray, area, px: int, smooth: float, free: np.ndarray, bare: np.ndarray | None = None
) -> np.ndarray:
    """The face's own map in its frame, [h, w, 3] logarithms; what is not free is filled in from around it.

    Args:
        free: [h, w] of the patch, in [0, 1].
        bare: the same, where nothing is worn whatever the picture shows; nor is there above it, as the face sees it.
    """
    height, width = _map_size(area, px)
    x, y = np.meshgrid(area[0] + (np.arange(width) + 0.5) / px, area[1] + (np.arange(height) + 0.5) / px)
    where = (patch.photo(np.stack([x, y], axis=-1)) - patch.box[:2] - 0.5).astype(np.float32)
    sigma = 0.35 * patch.unit / px
    linear = cv2.GaussianBlur(patch.linear, (0, 0), sigma) if sigma > 0.4 else patch.linear
    read = cv2.remap(linear, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    known = cv2.remap(free, where, None, cv2.INTER_LINEAR).clip(1e-4, 1)
    logs = _logs(patch, read, base, x) * known[..., None]
    if bare is not None:
        # Hair hangs from above, and skin shows between its strands.
        nothing = np.maximum.accumulate(cv2.remap(bare, where, None, cv2.INTER_LINEAR)[::-1])[::-1]
        logs, known = logs * (1 - nothing[..., None]), np.maximum(known, nothing)
    total, weight = np.zeros_like(logs), np.zeros_like(known)
    for size in (smooth, 4 * smooth, 16 * smooth):  # the wider only count where the finer know nothing
        share = size == smooth or 0.01
        total += share * cv2.GaussianBlur(logs, (0, 0), size * px)
        weight += share * cv2.GaussianBlur(known, (0, 0), size * px)
    return total / weight[..., None]


def _without_eyes(patch: FacePatch) -> np.ndarray:
    """1 where the patch shows no eye, [h, w]."""
    free = np.ones(patch.codes.shape[:2], np.float32)
    for eye in eyes_of(patch):
        left, top = eye.box[0] - patch.box[0], eye.box[1] - patch.box[1]
        part = free[top : top + eye.opening.shape[0], left : left + eye.opening.shape[1]]
        around = (2.5 * patch.blur(eye.opening, 0.02)).clip(0, 1)  # landmarks err, and what is white shows
        np.minimum(part, 1 - around, out=part)
    return free


def _hairs_by_eyes(patch: FacePatch) -> np.ndarray:
    """1 where brows or a fringe are around the eyes, [h, w] of the patch: they are no make-up."""
    hairs = np.zeros(patch.codes.shape[:2], np.float32)
    eyes = [(eye, patch.hair(eye.box)) for eye in eyes_of(patch)]
    lids = [hair[_on_lid(eye)] for eye, hair in eyes]
    low, high = _FRINGE
    hung = [float(np.clip((lid.mean() - low) / (high - low), 0, 1)) if lid.size else 0.0 for lid in lids]
    for (eye, hair), own_hung in zip(eyes, hung, strict=True):
        # Under a fringe little is lid for sure; it may hang over the other eye, too, but hair may be swept to one side.
        fringe = max(own_hung, 0.5 * max(hung))
        left, top = eye.box[0] - patch.box[0], eye.box[1] - patch.box[1]
        part = hairs[top : top + eye.opening.shape[0], left : left + eye.opening.shape[1]]
        own = np.maximum(brow_hairs(patch, eye), hair) * (eye.height > 0.1)
        own = np.maximum(own, fringe * ((eye.height - 0.15) / 0.2).clip(0, 1))
        np.maximum(part, (2 * patch.blur(own, 0.025)).clip(0, 1), out=part)
    return hairs


def _on_lid(eye: Eye) -> np.ndarray:
    """True between lashes and brow, [h, w] of the eye's box."""
    return (eye.height > 0.1) & (eye.height < 0.9) & (np.abs(eye.grid[0] - 0.5) < 0.5)


def _filled(logs: np.ndarray, free: np.ndarray, patch: FacePatch, width: float) -> np.ndarray:
    """Blur what is free and nothing else."""
    free = np.maximum(free, 1e-3).astype(np.float32)
    blurred = patch.blur((logs * free[..., None]).astype(np.float32), width)
    return blurred / np.maximum(patch.blur(free, width), 1e-3)[..., None]


def _carried(patch: FacePatch, box: Box, size: tuple[int, int], points, worn: np.ndarray, area, px) -> np.ndarray:
    """A wearer's map, whose landmarks are `points`, as it lies on this face in a box: [rows, columns, 3] of `size`."""
    left, top, right, bottom = box
    # The mesh is coarse: where to read is reckoned at no more than the small grid's size.
    step = max(1.0, patch.unit / 48)
    columns, rows = (max(2, round((end - start) / step)) for start, end in ((left, right), (top, bottom)))
    cells = np.array([columns / (right - left), rows / (bottom - top)])
    # Past the mesh the maps lie as the faces' frames do, so corners far out go along.
    far = np.array([[-2.0, -1.6], [2.0, -1.6], [-2.0, 2.6], [2.0, 2.6]])
    mine = (np.concatenate([patch.points, patch.photo(far)]) - (left, top)) * cells - 0.5
    theirs = (np.concatenate([points, far]) - area[:2]) * px - 0.5
    where = piecewise_linear(mine, theirs, rows, columns)
    where = cv2.merge(
        [cv2.medianBlur(plane, 5) for plane in cv2.split(where)]
    )  # where the mesh folds, cells are left out
    where = cv2.resize(where, size[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.remap(worn, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def check_strengths(strength: float | Mapping[str, float]) -> dict[str, float]:
    """Return one number a part, of one for all or some by name; InputError with all faults at once."""
    strengths = strength if isinstance(strength, Mapping) else dict.fromkeys(PARTS, strength)
    raise_all(_strength_faults(strengths), InputError)
    return {name: float(strengths.get(name, 1.0)) for name in PARTS}


def _strength_faults(strengths: object) -> list[str]:
    if not isinstance(strengths, Mapping):
        return [f"strengths must be a dict of {', '.join(PARTS)}, got {brief(strengths)}"]
    faults = [
        f"there is no part {brief(name)}; those are {', '.join(PARTS)}" for name in strengths if name not in PARTS
    ]
    each = (SHARE.fault(f"the strength of {brief(name)}", value) for name, value in strengths.items())
    return faults + [fault for fault in each if fault]


def _base_skin(patch: FacePatch) -> np.ndarray:
    return np.maximum(patch.colors_at(_BASE), 1e-3)


def _photo(pixels: Tensor) -> np.ndarray:
    return to_rows(check_photo(pixels).clone())


def _patch(photo: np.ndarray, marks: Landmarks) -> FacePatch:
    return FacePatch(photo, snap_outlines(photo, check_landmarks(marks.points)))


def _map_size(area, px: int) -> tuple[int, int]:
    return round((area[3] - area[1]) * px), round((area[2] - area[0]) * px)


def _to_codes(logs: np.ndarray) -> np.ndarray:
    return np.round((logs / _LOG_RANGE).clip(-1, 1) * 127 + 128).astype(np.uint8)


def _from_codes(codes: np.ndarray) -> np.ndarray:
    return (codes.astype(np.float32) - 128) * (_LOG_RANGE / 127)


def _to_png(codes: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", codes)[1].tobytes()).decode("ascii")


def _from_png(text: Any, size: tuple[int, int]) -> np.ndarray | None:
    """The map of a PNG in base64, None if it is none of this size."""
    if not isinstance(text, str) or len(text) > 2_000_000:
        return None
    try:
        codes = cv2.imdecode(np.frombuffer(base64.b64decode(text, validate=True), np.uint8), cv2.IMREAD_COLOR)
    except (ValueError, cv2.error):
        return None
    return codes if codes is not None and codes.shape == (*size, 3) else None
