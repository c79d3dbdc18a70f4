"""Sliders that change the shape of a face: from its landmarks and the wanted change to where the landmarks go.

Two kinds. Fitted ones (a smile, raised brows) were read off labelled faces by `training/shape/fit.py`: a field of 468
displacements per step, and how that field changes where the head is turned. Free ones (a slimmer face, larger eyes)
are made here, of weights on the mesh. All work in the face's own frame, where the eyes stand at (-0.5, 0) and (0.5, 0)
and y points to the chin, so a face may lean; several sliders are one sum, and the photo is warped once.

A warp moves what is there. Where closed lips part (`parts_lips`), or lids move over an eyeball, what lies behind has
to be drawn over it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE_CORNERS, LIPS_OUTER, MOUTH_CORNERS, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import BRIDGE, EARS, NUM_LANDMARKS, check_landmarks, face_frame
from gan_space.faces.mouth import LIP_RINGS
from gan_space.images import smooth_step
from gan_space.settings import brief, is_number

_BROWS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336)
SHAPE_FOLDER = "shape"  # of a model
SMILE_FILE = "smile.safetensors"  # in it
EYE_STEP = 0.07  # larger eyes, and their irises, for a step of eye_size
MAX_TURN = 0.45  # of the faces that the fields were fitted on


@dataclass(frozen=True)
class Slider:
    """One change of shape.

    Attributes:
        low, high: where it stops convincing.
        meaning: what +1 does, in face units (distances between the eyes).
    """

    low: float
    high: float
    meaning: str


# How far +1 of a fitted slider goes, in face units: by how much its reading changes (see `READINGS`), for turn and tilt
# how far the tip of the nose moves. Closed lips part by more than an open mouth opens.
STEPS = {"smile": 0.12, "mouth_open": 0.03, "eyes_open": 0.02, "brows_up": 0.03, "turn": 0.06, "tilt": 0.055}
PARTED_BY = 0.08  # face units, for a step of mouth_open where lips are closed
# Ranges by eye on the example photos and 60 portraits, see docs/results/shape.md.
SLIDERS = {
    "smile": Slider(-2.0, 2.5, "corners of the mouth 0.06 up and out"),
    "mouth_open": Slider(
        -2.0,
        1.5,
        f"closed lips part by {PARTED_BY}, open ones by {STEPS['mouth_open']}, those open a little by up to 0.042",
    ),
    "eyes_open": Slider(-1.5, 2.0, f"lids {STEPS['eyes_open']} further apart"),
    "brows_up": Slider(-1.5, 1.5, f"brows {STEPS['brows_up']} higher"),
    "turn": Slider(-1.0, 1.0, f"nose {STEPS['turn']} to the right of the picture"),
    "tilt": Slider(-1.0, 1.0, f"nose {STEPS['tilt']} down"),
    "face_width": Slider(-2.25, 1.75, "cheeks and jaw nearly 4 % wider"),
    "v_line": Slider(-1.0, 2.0, "jaw 6 % narrower towards the chin"),
    "face_length": Slider(-1.5, 1.5, "chin 0.06 lower"),
    "nose_size": Slider(-2.0, 1.5, "nose 6 % larger"),
    "eye_size": Slider(-1.5, 2.0, "eyes 7 % larger"),
    "lip_fullness": Slider(-1.5, 2.0, "lips 15 % thicker"),
}
FITTED = ("smile", "mouth_open", "eyes_open", "brows_up", "turn", "tilt")
_FIELDS = (*FITTED, "grin")  # a broad smile, lips and lids left free: the end of "smile"


def turn_of(places: np.ndarray) -> np.ndarray:
    """Say how far a head is turned: bridge of the nose against the ears, in face units; [..., 468, 2] -> [...]."""
    return places[..., BRIDGE, 0].mean(axis=-1) - places[..., EARS, 0].mean(axis=-1)


def tilt_of(places: np.ndarray) -> np.ndarray:
    """Return the same up and down; above 0 the face looks down."""
    return places[..., BRIDGE, 1].mean(axis=-1) - places[..., EARS, 1].mean(axis=-1)


def smile_of(places: np.ndarray) -> np.ndarray:
    """Measure the width of the mouth plus how high its corners stand above its middle, in face units."""
    width = np.linalg.norm(places[..., 291, :] - places[..., 61, :], axis=-1)
    return width + places[..., (13, 14), 1].mean(axis=-1) - places[..., (61, 291), 1].mean(axis=-1)


def mouth_gap_of(places: np.ndarray) -> np.ndarray:
    """Return the distance of the lips in the middle of the mouth, in face units."""
    return places[..., 14, 1] - places[..., 13, 1]


def eye_opening_of(places: np.ndarray) -> np.ndarray:
    """Measure the mean distance of the lids, in face units."""
    return (places[..., 145, 1] - places[..., 159, 1] + places[..., 374, 1] - places[..., 386, 1]) / 2


def brow_height_of(places: np.ndarray) -> np.ndarray:
    """Measure the mean height of the brows above the line of the eyes, in face units."""
    return -places[..., _BROWS, 1].mean(axis=-1)


# What a fitted slider moves, read off the landmarks; it stops where labelled faces stop.
READINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "smile": smile_of,
    "mouth_open": mouth_gap_of,
    "eyes_open": eye_opening_of,
    "brows_up": brow_height_of,
}
CLOSED_GAP = 0.03  # face units: lips closer than this are closed, where no photo says more
SMILE_PARTS = 1.0  # from which amount on lips part in a smile
SMILE_ROOM = (0.22, 0.24)  # face units of its reading, down and up, that every mouth has
SMILE_WIDENS = 0.33  # of the mouth's width, at most: what widens a mouth further makes another person of its owner
# Of a smile and of a broad one, sideways and up: lift is what smiles, width makes another person of its owner.
LIFTS, GRIN = np.array((0.85, 1.25)), np.array((0.6, 0.9))
# Closed lips: share of the smile taken back, how far corners drop a step, and the share of it that they go outwards
# (narrower mouths purse) and that the middle of the lips rises.
FROWN_HELD, FROWN_DROP, FROWN_WIDENS, FROWN_ARCH = 0.15, 0.03, 0.15, 0.15
FROWN_FROM = (0.78, 0.92)  # readings of open lips, from those that frown as closed ones do to smiles
STAYS = (1.0, 0.6)  # share of a smile, and of one backwards, that does not go sideways in the middle of open lips
NOSE_LIFTED = 0.005  # face units a step: lips that rise below a nose are seen as a nod
BESIDE_LIPS = 0.3  # face units above and below them, over which skin less and less stays with teeth that do
SMILE_SHRINK, SMILE_STRETCH = 0.24, 0.14  # share by which it closes or opens an open mouth: teeth keep their shape
# Lids that hang under low brows have no room: face units between both, from where to where it counts, and what goes.
LID_ROOM, LOW_BROWS = (0.12, 0.2), 0.4
_LID_AND_BROW = ((159, (52, 53, 65)), (386, (282, 283, 295)))
RIMS, BROWS_ABOVE = (0.29, 0.42), 0.8  # face units above the eyes: rims end, brows are free; the share that those go
BELOW_RIMS = (0.4, 0.75)  # face units below the eyes: rims end, cheeks are free
# Narrow eyes are narrower than landmarks say, and soon slits: how far each opening closes.
EYES_CLOSE = ((0.119, 0.131), (0.008, 0.032))
FIRST_STEP = 0.6  # of the room that a face has, where that is less than the slider's end asks for
MIN_GAP_STRETCH = 0.35  # teeth that are drawn lower than this look it
# Lips open a little bare but the edges of teeth, which may grow: a step over gaps from nearly closed lips to open ones,
# and what a smile may open any by, in face units.
OPENS_BY, SMILE_OPENS = ((0.03, 0.09), (0.042, STEPS["mouth_open"])), 0.03
OPENING_BY = {
    "mouth_open": 0.042,
    "smile": SMILE_OPENS / 2.5,
}  # face units a step, about, of lips that are open a little


@dataclass(frozen=True)
class ShapeModel:
    """What was learned about faces.

    Attributes:
        mean: [468, 2] an average face in the face's frame, mirror-symmetric.
        mirror: [468] the place that each one becomes in a mirrored picture.
        fields: fitted slider -> [2, 468, 2]: displacements of +1 on a frontal face, and their change with `turn_of`.
        limits: fitted slider -> the lowest and highest reading among labelled faces.
        smile_light: [2, h, w] over the average face, what a smile does to skin where its reading grows by a face unit:
            a hundred times the logarithm of lightness, and the logarithm of how strong its own lines are
            (`gan_space.portraits.smiling`); None where nobody fitted it.
    """

    mean: np.ndarray
    mirror: np.ndarray
    fields: dict[str, np.ndarray]
    limits: dict[str, tuple[float, float]]
    smile_light: np.ndarray | None = None

    @classmethod
    def load(cls, folder: str | Path) -> ShapeModel:
        """Read shape.safetensors and shape.json, and smile.safetensors where there is one.

        Raises:
            WeightsError: a file is missing or damaged.
        """
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            tensors = load_file(folder / "shape.safetensors")
            limits = json.loads((folder / "shape.json").read_text(encoding="utf-8"))["limits"]
            fields = {name: tensors[f"field.{name}"].astype(np.float64) for name in _FIELDS}
            mean, mirror = tensors["mean"].astype(np.float64), tensors["mirror"].astype(np.int64)
            limits = {name: (float(limits[name][0]), float(limits[name][1])) for name in READINGS}
            shaded = (folder / SMILE_FILE).is_file()
            smile_light = load_file(folder / SMILE_FILE)["light"].astype(np.float32) if shaded else None
        except Exception as error:  # safetensors has errors of its own
            raise WeightsError(f"no shape model can be read from {folder}: {error!r}") from error
        shapes = {mean.shape, *(field.shape[1:] for field in fields.values())}
        if shapes != {(NUM_LANDMARKS, 2)} or sorted(mirror) != list(range(NUM_LANDMARKS)):
            raise WeightsError(f"the shape model in {folder} must have {NUM_LANDMARKS} places, got {shapes}")
        if smile_light is not None and (
            smile_light.ndim != 3 or len(smile_light) != 2 or not np.isfinite(smile_light).all()
        ):
            raise WeightsError(f"{folder / SMILE_FILE} must hold [2, h, w] numbers, got {smile_light.shape}")
        return cls(mean, mirror, fields, limits, smile_light)

    def displace(
        self, landmarks, values: Mapping[str, float], closed: float | None = None, glasses: bool = False
    ) -> np.ndarray:
        """Say where the landmarks of a face go, less where they are; [468, 2] photo pixels.

        Args:
            landmarks: [468, 2] photo pixels.
            values: slider -> amount, within the slider's range.
            closed: how far lips are closed, 0 to 1, by `faces.mouth.how_closed`; None leaves it to the landmarks.
            glasses: whether the face wears some: brows rise above and cheeks narrow below them, and rims stay.

        Raises:
            InputError: an unknown slider or an amount out of range; all faults at once.
        """
        check_values(values)
        frame = face_frame(landmarks)
        places = frame.apply(check_landmarks(landmarks))
        closed = float(mouth_gap_of(places) < CLOSED_GAP) if closed is None else float(closed)
        moves = np.zeros((NUM_LANDMARKS, 2))
        for name, value in values.items():
            held = self._clear_of_rims.get(name, 1.0) if glasses else 1.0
            if value and name in FITTED:
                if value > 0 and name in ("eyes_open", "brows_up"):
                    held = held * _room_above_eyes(places)  # never in place: `_clear_of_rims` is kept
                for lips_meet, share in ((True, closed), (False, 1 - closed)):
                    if share:
                        moves += share * held * self._fitted(name, float(value), places, lips_meet)
            elif value:
                moves += held * _FREE[name](self, places, float(value))
        return moves @ frame.inverse.matrix[:, :2].T

    def _fitted(self, name: str, value: float, places: np.ndarray, closed: bool) -> np.ndarray:
        """The movement for the turn of this face, no further than labelled faces go."""
        if name == "mouth_open" and closed:
            return PARTED_BY * max(value, 0.0) * self._opening
        moves = self._smile(value, places, closed) if name == "smile" else value * self._field(name, places)
        if name not in READINGS:
            return moves
        reading = READINGS[name]
        now = float(reading(places))
        opens_by = float(np.interp(now, *OPENS_BY))
        moves = opens_by / STEPS[name] * moves if name == "mouth_open" and value > 0 else moves
        gain = 2 * (float(reading(places + 0.5 * moves)) - now)  # of the half: a reading is nearly linear
        low, high = self.limits[name]
        if name == "mouth_open":
            low = now * MIN_GAP_STRETCH
        elif name == "eyes_open":
            low = max(low, now - np.interp(now, *EYES_CLOSE))
        elif name == "smile":  # mouths differ in width: the most that one has room for depends on where it is
            down, up = SMILE_ROOM
            width = np.linalg.norm(places[MOUTH_CORNERS[1]] - places[MOUTH_CORNERS[0]])
            low, high = min(low, now - (down if closed else down / 2)), max(high, now + up)
            high = min(high, now + SMILE_WIDENS * width)
        # A face beyond the limits already stays as it is, it is not pulled back.
        room = max(high - now, 0.0) if gain > 0 else max(now - low, 0.0)
        ends = SLIDERS[name]
        return _spread(value, ends.high if value > 0 else -ends.low, abs(gain), room) / max(abs(gain), 1e-6) * moves

    def _field(self, name: str, places: np.ndarray) -> np.ndarray:
        """What one step moves, for the turn of this face."""
        straight, turned = self.fields[name]
        return straight + np.clip(turn_of(places), -MAX_TURN, MAX_TURN) * turned

    @cached_property
    def _at_corners(self) -> np.ndarray:
        """[468] 1 at the corners of the average mouth, less around them."""
        (left, right), places = self.mean[list(MOUTH_CORNERS)], self.mean[:, None]
        away = np.linalg.norm((places - (left, right)) / (0.16, 0.2), axis=2).min(axis=1)
        return np.exp(-(away**2))

    @cached_property
    def _at_lips_middle(self) -> np.ndarray:
        """[468] 1 at the middle of the average face's closed lips, less around it."""
        middle = self.mean[[13, 14]].mean(axis=0)
        return np.exp(-np.square((self.mean - middle) / (0.2, 0.22)).sum(axis=1))

    @cached_property
    def _at_nose_end(self) -> np.ndarray:
        """[468] 1 at the lower end of the average nose, which a smile that lowers it would tilt; less around it."""
        x, y = self.mean.T
        return (1 - smooth_step(np.abs(x), 0.2, 0.36)) * smooth_step(y, 0.42, 0.58) * (1 - smooth_step(y, 0.76, 0.9))

    def _over_teeth(self, places: np.ndarray) -> np.ndarray:
        """[468] the share of a movement sideways that open lips leave to their corners: teeth get no wider."""
        left, right = places[list(MOUTH_CORNERS)]
        across = right - left
        u = 2 * ((places - left) @ across) / max(float(across @ across), 1e-6) - 1  # -1 and 1 are the corners
        lips = self.mean[list(LIPS_OUTER), 1]
        away = np.maximum(lips.min() - self.mean[:, 1], self.mean[:, 1] - lips.max()) / BESIDE_LIPS
        return (1 - smooth_step(away, 0, 1)) * (1 - u * u).clip(0)

    @property
    def _opening(self) -> np.ndarray:
        """The field of a mouth that opens by a face unit."""
        straight = self.fields["mouth_open"][0]
        return straight / mouth_gap_of(straight)

    @cached_property
    def _clear_of_rims(self) -> dict[str, np.ndarray]:
        """Sliders that would bend glasses: [468, 1] 0 where they sit on the average face, more above or below them."""
        down = self.mean[:, 1:]
        return {"brows_up": BROWS_ABOVE * smooth_step(-down, *RIMS), "face_width": smooth_step(down, *BELOW_RIMS)}

    def _smile(self, value: float, places: np.ndarray, closed: bool) -> np.ndarray:
        """A smile with lips held, up to SMILE_PARTS; what is beyond is a broad one that parts them.

        An open mouth opens or closes with it as far as teeth may be drawn taller or lower. Below 0 closed lips frown,
        and open ones that do not smile: a smile drawn backwards alone purses them.
        """
        frown = 0.0 if value > 0 else 1.0 if closed else 1 - float(smooth_step(smile_of(places), *FROWN_FROM))
        if frown == 1:
            return self._frown(value, places)
        held = 0.0 if value < 0 and not closed else min(value, SMILE_PARTS)
        lifts, grin = (LIFTS, GRIN) if value > 0 else (1.0, 1.0)
        moves = held * lifts * self._field("smile", places) + (value - held) * grin * self._field("grin", places)
        if value > 0:
            moves[:, 1] -= self._at_nose_end * (moves[:, 1].clip(0) + NOSE_LIFTED * held)
        if closed:
            return moves
        moves = moves * _stack(1 - STAYS[value < 0] * self._over_teeth(places), 1)
        gap = float(mouth_gap_of(places))
        grown = float(mouth_gap_of(places + moves)) - gap
        allowed = np.clip(grown, -SMILE_SHRINK * gap, max(SMILE_STRETCH * gap, SMILE_OPENS))
        moves = moves + (allowed - grown) * self._opening
        return moves + frown * (self._frown(value, places) - moves) if frown else moves

    def _frown(self, value: float, places: np.ndarray) -> np.ndarray:
        """Less of a smile whose corners drop, for an amount below 0."""
        drop = FROWN_DROP * -value * self._at_corners
        arch = FROWN_ARCH * FROWN_DROP * -value * self._at_lips_middle
        back = FROWN_HELD * value * self._field("smile", places)
        return back + _stack(FROWN_WIDENS * drop * np.sign(self.mean[:, 0]), drop - arch)

    @cached_property
    def _half_width(self) -> np.ndarray:
        """[468] of the average face's outline at the height of each place."""
        outline = self.mean[list(FACE_OVAL)]
        right = outline[outline[:, 0] > 0]
        right = right[np.argsort(right[:, 1])]
        return np.interp(self.mean[:, 1], right[:, 1], right[:, 0])

    @cached_property
    def _outward(self) -> np.ndarray:
        """[468] 0 on the midline of the average face, 1 on its outline."""
        return np.abs(self.mean[:, 0]) / self._half_width.clip(0.3)

    @cached_property
    def _beside_eyes(self) -> np.ndarray:
        """[468] 0 on the eyes of the average face, which all lengths are measured by, 1 away from them."""
        far = np.min([np.hypot(*((self.mean - side) * (1.0, 1.25)).T) for side in ((-0.5, 0.0), (0.5, 0.0))], axis=0)
        return smooth_step(far, 0.3, 0.55)

    def _from_midline(self, places: np.ndarray) -> np.ndarray:
        """[468] sideways distance from the middle of the face, less on the side that is turned away."""
        across = (places[:, 0] - places[self.mirror, 0]) / 2
        nose = places[list(BRIDGE), 0].mean()
        right, left = places[[454, 323, 361], 0].mean() - nose, nose - places[[234, 93, 132], 0].mean()
        middle = max((right + left) / 2, 1e-6)
        return across * np.where(self.mean[:, 0] > 0, right, left).clip(0.3 * middle, 1.7 * middle) / middle

    def _face_width(self, places: np.ndarray, value: float) -> np.ndarray:
        # Eyes that come closer, and a jaw that narrows alone, are seen as a nod.
        weight = smooth_step(self._outward, 0.25, 0.95) * smooth_step(self.mean[:, 1], -0.2, 0.45) * self._beside_eyes
        return _stack(0.038 * value * weight * self._from_midline(places), 0)

    def _v_line(self, places: np.ndarray, value: float) -> np.ndarray:
        height = self.mean[:, 1]
        narrower = smooth_step(self._outward, 0.35, 0.95) * smooth_step(height, 0.45, 1.15)
        longer = 0.02 * smooth_step(height, 1.2, 1.65) * (1 - self._outward.clip(0, 1))
        return value * _stack(-0.06 * narrower * self._from_midline(places), longer)

    def _face_length(self, places: np.ndarray, value: float) -> np.ndarray:
        # A nose that goes down is a nod, and lips that are stretched open: those go down as one.
        lips = self.mean[list(LIPS_OUTER), 1]
        heights = (0.6, lips.min(), lips.max(), self.mean[list(FACE_OVAL), 1].max())
        return _stack(0, 0.06 * value * np.interp(self.mean[:, 1], heights, (0, 0.22, 0.22, 1)))

    def _nose_size(self, places: np.ndarray, value: float) -> np.ndarray:
        x, y = self.mean.T
        weight = (1 - smooth_step(np.abs(x), 0.34, 0.58)) * smooth_step(y, 0.0, 0.35) * (1 - smooth_step(y, 0.68, 0.92))
        height = places[:, 1] - places[list(BRIDGE), 1].mean()  # the bridge stays: a lower one is a nod
        return 0.06 * value * weight[:, None] * _stack(self._from_midline(places), 0.5 * height)

    def _eye_size(self, places: np.ndarray, value: float) -> np.ndarray:
        moves = np.zeros_like(places)
        for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS):
            average, middle = (face[list(corners)].mean(axis=0) for face in (self.mean, places))
            far = np.hypot(*((self.mean - average) * (1.0, 1.25)).T)
            moves += EYE_STEP * value * (1 - smooth_step(far, 0.22, 0.5))[:, None] * (places - middle)
        return moves

    def _lip_fullness(self, places: np.ndarray, value: float) -> np.ndarray:
        rings = [list(ring) for ring in reversed(LIP_RINGS)]
        thickness = places[rings[0]] - places[rings[3]]  # [20, 2], from the opening outwards
        moves = np.zeros_like(places)
        # Skin around the mouth follows the nearest place of the lips' edge, less with distance.
        away = np.linalg.norm(self.mean[:, None] - self.mean[rings[0]], axis=2)  # [468, 20]
        near = np.exp(-((away / 0.08) ** 2))
        follow = near @ thickness / near.sum(axis=1, keepdims=True).clip(1e-9)
        moves += follow * (1 - smooth_step(away.min(axis=1), 0.0, 0.22))[:, None]
        for ring, share in zip(rings, (1, 2 / 3, 1 / 3, 0), strict=True):
            moves[ring] = share * thickness
        return 0.15 * value * moves


_FREE: dict[str, Callable[[ShapeModel, np.ndarray, float], np.ndarray]] = {
    "face_width": ShapeModel._face_width,
    "v_line": ShapeModel._v_line,
    "face_length": ShapeModel._face_length,
    "nose_size": ShapeModel._nose_size,
    "eye_size": ShapeModel._eye_size,
    "lip_fullness": ShapeModel._lip_fullness,
}


def _spread(value: float, end: float, gain: float, room: float) -> float:
    """How far a gain goes where a face has less room than the slider's end asks for.

    The end has all of the room, a step at most FIRST_STEP of it: no part of the range stands still.
    """
    amount = abs(value)
    if gain * end <= room * amount:
        return gain
    first = min(gain / amount, FIRST_STEP * room)
    return first * min(amount, 1.0) + (room - first) * max(amount - 1.0, 0.0) / (end - 1.0)


def value_faults(values: Mapping[str, float], sliders: Mapping[str, Slider] = SLIDERS) -> list[str]:
    """Say what is wrong with amounts: unknown sliders, and values out of range."""
    faults = []
    for name, value in values.items():
        slider = sliders.get(name)
        if slider is None:
            faults.append(f"there is no shape slider {name!r}; those are {', '.join(sliders)}")
        elif not is_number(value) or not slider.low <= value <= slider.high:
            faults.append(f"{name} goes from {slider.low:g} to {slider.high:g}, got {brief(value)}")
    return faults


def check_values(values: Mapping[str, float]) -> None:
    """Raise InputError for unknown sliders and amounts out of range, all at once."""
    raise_all(value_faults(values), InputError)


def parts_lips(values: Mapping[str, float]) -> bool:
    """Tell whether sliders part lips."""
    return values.get("mouth_open", 0.0) > 0 or values.get("smile", 0.0) > SMILE_PARTS


def _room_above_eyes(places: np.ndarray) -> float:
    """The share of a movement of lids and brows that a face has room for, which is less where brows sit on lids."""
    room = min(places[lid, 1] - places[list(brow), 1].mean() for lid, brow in _LID_AND_BROW)
    return float(LOW_BROWS + (1 - LOW_BROWS) * smooth_step(np.float64(room), *LID_ROOM))


def _stack(x, y) -> np.ndarray:
    return np.stack(np.broadcast_arrays(x, y, np.zeros(NUM_LANDMARKS))[:2], axis=1)
