"""The plan of a set: which photo, expression, age, light, look and frame each portrait gets, so that no two are alike.

Every slot draws candidates at random, leaves out what does not go together (`RULES`), and takes the one that is
furthest from all that were taken before. The same seed gives the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gan_space.errors import InputError
from gan_space.faces.shape import SLIDERS
from gan_space.looks.recipe import LookRecipe
from gan_space.portraits.aging import AGE_SLIDER
from gan_space.sets.framing import FRAME_NAMES, WHOLE
from gan_space.sets.traits import PhotoTraits

# Expressions as amounts of the shape sliders; what convinces on photos that nobody chose.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "own": {},
    "smile": {"smile": 0.9},
    "broad smile": {"smile": 1.7, "eyes_open": -0.3},
    "calm": {"smile": -0.6},
    "bright": {"smile": 0.5, "eyes_open": 0.7, "brows_up": 0.7},
    "gentle": {"smile": 0.6, "eyes_open": -0.3},
    "firm": {"brows_up": -0.5, "eyes_open": -0.2},
}
PASSPORT_EXPRESSIONS = ("own", "calm")
POSES = ((0.0, 0.0), (0.0, 0.0), (0.7, 0.0), (-0.7, 0.0), (0.0, 0.6), (0.0, -0.5), (0.6, 0.4), (-0.6, 0.4))
AGES = (0.0, 0.0, 0.0, 0.9, -1.0)  # times the set's `age`
# Light as amounts of the grade; "window" also falls from a side.
LIGHTS: dict[str, dict[str, float]] = {
    "own": {},
    "warm": {"warmth": 0.35, "highlights": 0.1, "saturation": 0.05},
    "cool": {"warmth": -0.3, "contrast": 0.1},
    "soft": {"contrast": -0.25, "shadows": 0.25, "glow": 0.2},
    "crisp": {"contrast": 0.3, "clarity": 0.25},
    "window-left": {"contrast": 0.1},
    "window-right": {"contrast": 0.1},
    "dusk": {"warmth": 0.25, "contrast": 0.2, "shadows": -0.2, "vignette": 0.45},
}
TINTED_LIGHTS = ("warm", "cool", "dusk")
PAINTED = ("oil", "pastel", "watercolour", "coloured-pencil", "comic")  # drawings that make eyes clearer
# How many of a set get a look of which kind.
SHARES = {"": 0.25, "background": 0.1875, "beauty": 0.1875, "film": 0.1875, "drawn": 0.1, "hair": 0.0875}
MENS_LOOKS = ("clean-male-grooming",)  # offered unasked to faces that make-up is not
BOLD_DYES = ("platinum-hair", "rose-pink-hair", "haze-blue-hair")  # offered unasked only to faces that make-up is
LIGHT_MAKEUP = ("brow", "lashes")  # what may go on any face unasked
CANDIDATES = 48  # a slot
LEAST_DISTANCE = 0.9  # between two variations of a set


@dataclass(frozen=True)
class Variation:
    """What one portrait of a set is to be.

    Args:
        photo: number of the base.
        shape: slider -> amount.
        age: decades.
        light: one of `LIGHTS`.
        look: a look, or None.
        frame: one of `gan_space.sets.framing.FRAME_NAMES`.
        expression: the name of what `shape` came from.
    """

    photo: int = 0
    shape: Mapping[str, float] = field(default_factory=dict)
    age: float = 0.0
    light: str = "own"
    look: LookRecipe | None = None
    frame: str = WHOLE
    expression: str = "own"

    @property
    def kind(self) -> str:
        """Of its look: "beauty", "hair", "film", "background", "drawn", or "" for none."""
        if self.look is None:
            return ""
        if self.look.drawing:
            return "drawn"
        if self.look.background:
            return "background"
        if self.look.hair:
            return "hair"
        if self.look.group in ("beauty", "film"):
            return self.look.group
        return "beauty" if self.look.makeup or self.look.skin else "film"

    def weaker(self) -> Variation:
        """Return the same with half of what changes the face itself."""
        shape = {name: amount / 2 for name, amount in self.shape.items()}
        return replace(self, shape=shape, age=self.age / 2)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, as it stands in the recipe of a picture."""
        attributes = {name: round(float(amount), 3) for name, amount in self.shape.items() if amount}
        attributes |= {"age": round(float(self.age), 3)} if self.age else {}
        found = {"photo": self.photo, "attributes": attributes, "light": self.light, "frame": self.frame}
        return found | ({"look": self.look.name, "look_sha256": self.look.digest} if self.look else {})


def _colours_lips(look: LookRecipe | None) -> bool:
    return look is not None and bool(set(look.makeup) - set(LIGHT_MAKEUP))


def _strong_makeup(look: LookRecipe | None) -> bool:
    return look is not None and "eye_shadow" in look.makeup


def _parts_lips(one: Variation) -> bool:
    return one.shape.get("smile", 0) > 1.2 or one.shape.get("mouth_open", 0) > 0


def _tints(look: LookRecipe | None) -> bool:
    """Whether a look's film colours need the colours of a photo."""
    return look is not None and not look.drawing and not look.grade.get("monochrome")


def _stands_before_a_plain_wall(look: LookRecipe | None) -> bool:
    """As in a passport."""
    return look is not None and look.background.get("amount") == 1 and not look.background.get("shade")


# What does not go together -> whether it is so.
Rule = Callable[[Variation, PhotoTraits], bool]
RULES: dict[str, Rule] = {
    "no room for the frame": lambda one, face: one.frame not in face.frames,
    "another age under a drawing": lambda one, face: bool(one.age) and one.kind == "drawn",
    "another age under make-up": lambda one, face: bool(one.age) and one.kind == "beauty",
    "another age under dyed hair": lambda one, face: bool(one.age) and one.look is not None and bool(one.look.hair),
    "dye on a grey photo, or where hardly any hair is": lambda one, face: (
        (face.grey or face.little_hair) and one.look is not None and bool(one.look.hair)
    ),
    "make-up over a beard": lambda one, face: face.beard and _colours_lips(one.look),
    "make-up or film colours on a grey photo": lambda one, face: (
        face.grey and (_colours_lips(one.look) or _tints(one.look) or one.light in TINTED_LIGHTS)
    ),
    "a bright surrounding over a dark one": lambda one, face: (
        face.dark_around and one.look is not None and one.look.grade.get("vignette", 0) < 0
    ),
    "painted eyes behind glasses": lambda one, face: (
        face.glasses and one.look is not None and one.look.drawing in PAINTED
    ),
    "make-up over covered eyes": lambda one, face: face.covered_eyes and bool(one.look and one.look.makeup),
    "lids moved under a cover": lambda one, face: face.covered_eyes and "eyes_open" in one.shape,
    "a mouth moved under a cover": lambda one, face: (
        face.covered_mouth and bool({"smile", "mouth_open"} & set(one.shape))
    ),
    # Teeth that no photo of the person shows are a guess.
    "closed lips parted": lambda one, face: face.closed_lips and _parts_lips(one),
    "a laugh taken back": lambda one, face: not face.closed_lips and one.shape.get("smile", 0) < 0,
    "a young face made younger": lambda one, face: face.young and one.age < 0,
    "another age on a face with make-up": lambda one, face: face.made_up and bool(one.age),
    "strong make-up over make-up or a fringe": lambda one, face: (
        (face.made_up or face.fringe) and _strong_makeup(one.look)
    ),
    "light against the photo's own": lambda one, face: (
        (one.light == "window-left" and face.light_from > 0.06)
        or (one.light == "window-right" and face.light_from < -0.06)
    ),
    "light beside a look with its own": lambda one, face: (
        one.light != "own" and one.look is not None and bool(one.look.drawing or one.look.grade)
    ),
    "light on the plain wall of a passport": lambda one, face: (
        one.light != "own" and _stands_before_a_plain_wall(one.look)
    ),
    "a face that smiles for a passport": lambda one, face: (
        one.frame == "passport" and (one.expression not in PASSPORT_EXPRESSIONS or bool(one.shape.get("tilt")))
    ),
    "a passport in a look or another age": lambda one, face: (
        one.frame == "passport"
        and (
            (one.look is not None and not _stands_before_a_plain_wall(one.look))
            or bool(one.age)
            or one.light in TINTED_LIGHTS
        )
    ),
    "a turned head in a passport": lambda one, face: (
        one.frame == "passport" and (abs(face.turn) > 0.12 or abs(face.tilt) > 0.14 or bool(one.shape.get("turn")))
    ),
    "a turned head turned further": lambda one, face: (
        abs(face.turn) > 0.12 and face.turn * one.shape.get("turn", 0) > 0
    ),
    "a tilted head tilted further": lambda one, face: abs(face.tilt) > 0.1 and face.tilt * one.shape.get("tilt", 0) > 0,
    "glasses bent by a turn": lambda one, face: (
        face.glasses and (abs(one.shape.get("turn", 0)) > 0.5 or one.shape.get("brows_up", 0) > 0.5)
    ),
}


def rule_faults(one: Variation, face: PhotoTraits) -> list[str]:
    """Say which rules a variation breaks on the face of its photo."""
    return [rule for rule, broken in RULES.items() if broken(one, face)]


def distance(one: Variation, other: Variation) -> float:
    """Say how different two portraits of a set will look; 0 is the same, most pairs lie between 1 and 4."""
    names = {*one.shape, *other.shape}
    moved = sum(abs(one.shape.get(name, 0.0) - other.shape.get(name, 0.0)) for name in names)
    look = 0.0
    if (one.look and one.look.name) != (other.look and other.look.name):
        look = 0.7 if one.kind == other.kind else 1.0
    elif one.look is not None:
        look = -0.6  # the same look twice is the last resort
    return (
        1.0 * (one.photo != other.photo)
        + look
        + 0.9 * (one.frame != other.frame)
        + 0.45 * (one.light != other.light)
        + 0.6 * min(moved / 2, 1.0)
        + 0.45 * min(abs(one.age - other.age) / 1.5, 1.0)
    )


class Planner:
    """Draws the variations of one set.

    Args:
        faces: of each base, the best first.
        looks: name -> look, those that may be used.
        seed: of all of it.
        fixed: attribute -> amount that every portrait gets instead of one that is drawn.
        frames: those that may be used; None: all.
        expression, age: see `PortraitSetSettings`.
        chosen_looks: the looks were named by the caller: faces get make-up whatever the analyzer takes them for.

    Raises:
        InputError: nothing goes together with these photos.
    """

    def __init__(
        self,
        faces: Sequence[PhotoTraits],
        looks: Mapping[str, LookRecipe],
        *,
        seed: int,
        fixed: Mapping[str, float] | None = None,
        frames: Sequence[str] | None = None,
        expression: float = 1.0,
        age: float = 1.0,
        chosen_looks: bool = False,
    ):
        self.faces, self.fixed = list(faces), dict(fixed or {})
        self.frames = tuple(frames or FRAME_NAMES)
        self.expression, self.age, self.chosen_looks = expression, age, chosen_looks
        self.random = np.random.RandomState(seed)
        every = [*([] if chosen_looks and looks else [None]), *looks.values()]
        # Of each photo, the looks of each kind that suit the face.
        self.looks: list[dict[str, list[LookRecipe | None]]] = [
            {
                kind: [look for look in every if Variation(look=look).kind == kind and self._suits(look, face)]
                for kind in SHARES
            }
            for face in self.faces
        ]

    def kinds(self, num: int) -> list[str]:
        """Return kinds of look for a set of `num`, in order: photos as they are first, the shares of `SHARES` kept."""
        there = {kind: share for kind, share in SHARES.items() if self._has(kind)}
        if not there:
            raise InputError("no look goes with these photos; name others, or leave looks out")
        kinds: list[str] = []
        while len(kinds) < num:  # always the kind that lacks most
            lack = {kind: share * (len(kinds) + 1) / sum(there.values()) for kind, share in there.items()}
            kinds.append(max(lack, key=lambda kind: lack[kind] - kinds.count(kind)))
        return kinds

    def draw(self, kind: str, taken: Sequence[Variation]) -> Variation | None:
        """Return the candidate of a kind that differs most from those taken; None where none differs enough."""
        best, furthest = None, -1.0
        for _ in range(CANDIDATES):
            one = self._candidate(kind, first=not taken)
            if one is None:
                continue
            if not taken:
                return one
            apart = [distance(one, other) for other in taken]
            # The nearest decides; the others see to it that every frame and expression has its turn, and of photos that
            # differ as much the better one is taken.
            score = min(apart) + 0.7 * float(np.mean(apart)) + 0.1 * self.faces[one.photo].quality
            if min(apart) >= LEAST_DISTANCE and score > furthest:
                best, furthest = one, score
        return best

    def next(self, kind: str | None, taken: Sequence[Variation], done: int, num: int) -> Variation:
        """Return the candidate of a kind that differs most from those taken, or of any kind where none differs enough.

        Args:
            kind: of its look; None: any.
            taken: variations that were drawn before, also in vain.
            done, num: portraits that are there, and that were asked for, to be named in the error.

        Raises:
            InputError: none is left.
        """
        one = (self.draw(kind, taken) if kind is not None else None) or self.draw_any(taken)
        if one is None:
            raise InputError(
                f"these photos give {done} portraits that differ, {num} were asked for: ask for fewer, or give more "
                "photos, looks or frames"
            )
        return one

    def draw_any(self, taken: Sequence[Variation]) -> Variation | None:
        """Return the same of whatever kind there is."""
        drawn = [self.draw(kind, taken) for kind in SHARES if self._has(kind)]
        drawn = [one for one in drawn if one is not None]
        return max(drawn, key=lambda one: min(distance(one, other) for other in taken), default=None)

    def _has(self, kind: str) -> bool:
        return any(looks[kind] for looks in self.looks)

    def _suits(self, look: LookRecipe | None, face: PhotoTraits) -> bool:
        if rule_faults(Variation(look=look), face):
            return False
        if self.chosen_looks or look is None:
            return True
        if face.suits_makeup:
            return look.name not in MENS_LOOKS
        return not _colours_lips(look) and look.name not in BOLD_DYES

    def _candidate(self, kind: str, first: bool) -> Variation | None:
        """One at random that breaks no rule; None where luck gave none."""
        for _ in range(20):
            photo = 0 if first else self._pick_photo()
            face = self.faces[photo]
            looks = self.looks[photo][kind]
            if not looks:
                continue
            look = looks[self.random.randint(len(looks))]
            frames = [name for name in self.frames if name in face.frames] or [WHOLE]
            before_wall = _stands_before_a_plain_wall(look)
            if before_wall and "passport" in frames:
                frames = ["passport"]
            frame = frames[0] if first else self._pick(frames)
            is_plain = first or frame == "passport"
            expression = "own" if first else self._pick(PASSPORT_EXPRESSIONS if is_plain else list(EXPRESSIONS))
            turn, tilt = (0.0, 0.0) if is_plain else POSES[self.random.randint(len(POSES))]
            lively = self.expression * self.random.uniform(0.85, 1.15)
            shape = EXPRESSIONS[expression] | {"turn": turn, "tilt": tilt}
            shape = {name: amount * lively for name, amount in shape.items()}
            age = 0.0 if first else self.age * AGES[self.random.randint(len(AGES))]
            shape |= {name: amount for name, amount in self.fixed.items() if name in SLIDERS}
            age = self.fixed.get("age", age)
            one = Variation(
                photo=photo,
                shape={name: _within(name, amount) for name, amount in shape.items() if amount},
                age=min(max(age, AGE_SLIDER.low), AGE_SLIDER.high),
                light="own" if first or before_wall else self._pick(list(LIGHTS)),
                look=look,
                frame=frame,
                expression=expression,
            )
            # What the caller wants is the caller's business.
            free = {name: amount for name, amount in one.shape.items() if name not in self.fixed}
            if not rule_faults(replace(one, shape=free, age=0.0 if "age" in self.fixed else age), face):
                return one
        return None

    def _pick(self, names: Sequence[str]) -> str:
        return names[self.random.randint(len(names))]

    def _pick_photo(self) -> int:
        """Better photos more often."""
        weights = np.array([max(face.quality, 0.05) for face in self.faces])
        return int(self.random.choice(len(self.faces), p=weights / weights.sum()))


def _within(name: str, amount: float) -> float:
    return float(min(max(amount, SLIDERS[name].low), SLIDERS[name].high))
