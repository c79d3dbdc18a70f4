"""LookRecipe: what a look does, as data. It travels as a JSON file, so whatever comes from others is checked."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from gan_space.errors import InputError, raise_all
from gan_space.faces.shape import SLIDERS
from gan_space.faces.shape import value_faults as shape_faults
from gan_space.foreign_files import read_json_file
from gan_space.looks.amounts import amount_faults, scale_amounts
from gan_space.looks.drawing.draw import DRAWINGS
from gan_space.looks.grade import AMOUNTS as GRADE
from gan_space.looks.layers import Background, HairColor, layer_faults, row_faults, scale_layers, scale_row
from gan_space.looks.makeup_reference import MakeupReference
from gan_space.looks.skin import AMOUNTS as SKIN
from gan_space.output.postprocess import STEPS, parse_steps
from gan_space.settings import Setting, brief
from gan_space.whole_files import json_text, write_whole

FORMAT_VERSION = 1
GROUPS = ("beauty", "hair", "film", "background", "drawn", "mine")  # in the order in which they are shown
LANGUAGES = ("en", "zh-CN")
MAX_STRENGTH = 1.5
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
MAX_TITLE_CHARS, MAX_TEXT_CHARS = 40, 200
MAX_PACKS, MAX_PACK_WEIGHT = 8, 2.0
NUM_NEAR = 8  # names that an error offers
# Of the shipped looks, those that most photos gain by come first; the others follow by name.
FIRST = (
    *("fresh-faced", "no-makeup-makeup", "cold-studio", "sun-kissed", "k-beauty-gloss", "red-lip", "soft-portrait"),
    *("natural-black-hair", "chestnut-hair", "caramel-hair", "honey-blonde-hair", "milk-tea-hair"),
    *("platinum-hair", "copper-hair", "wine-red-hair", "rose-pink-hair", "haze-blue-hair"),
    *("retro-film", "golden-hour", "airy-film", "cinema", "monochrome"),
    *("soft-background", "strong-bokeh", "studio-grey", "id-photo-white", "id-photo-blue", "id-photo-red"),
    *("comic", "watercolour", "pencil", "line-art"),
)
SHIPPED = Path(__file__).resolve().parents[1] / "assets" / "looks"

_PACK_WEIGHT = Setting("", low=-MAX_PACK_WEIGHT, high=MAX_PACK_WEIGHT)
_STRENGTH = Setting("", low=0, high=MAX_STRENGTH)


@dataclass(frozen=True)
class LookRecipe:
    """A look: layers with their amounts, done in the order of `gan_space.looks.apply.apply_look`.

    Args:
        name: lower-case letters, digits and dashes.
        title: {"en": …, "zh-CN": …}, what people read.
        group: one of `GROUPS`.
        description: one line in each language.
        strength: at which the look is meant; what is used where nobody says another one.
        shape: slider -> amount, see `gan_space.faces.shape.SLIDERS`.
        skin: see `gan_space.looks.skin.AMOUNTS`.
        makeup: layer -> its fields, see `gan_space.looks.layers`.
        makeup_from: the make-up of another picture, from `gan_space.looks.makeup_reference.read_makeup`.
        hair: fields of `gan_space.looks.layers.HairColor`.
        background: fields of `gan_space.looks.layers.Background`.
        drawing: one of `gan_space.looks.drawing.draw.DRAWINGS`, instead of packs; at most at full strength.
        packs: style pack -> weight; a name of the model's own packs.
        grade: see `gan_space.looks.grade.AMOUNTS`.
        post_processing: steps as `gan_space.output.postprocess.parse_steps` reads them.
        credit: who made it, or after what.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    name: str
    title: Mapping[str, str]
    group: str
    description: Mapping[str, str] = field(default_factory=dict)
    strength: float = 0.8
    shape: Mapping[str, float] = field(default_factory=dict)
    skin: Mapping[str, float] = field(default_factory=dict)
    makeup: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    makeup_from: MakeupReference | None = None
    hair: Mapping[str, Any] = field(default_factory=dict)
    background: Mapping[str, Any] = field(default_factory=dict)
    drawing: str | None = None
    packs: Mapping[str, float] = field(default_factory=dict)
    grade: Mapping[str, float] = field(default_factory=dict)
    post_processing: tuple[tuple[str, float], ...] = ()
    credit: str = ""

    def __post_init__(self) -> None:
        faults = _text_faults(self)
        if not isinstance(self.group, str) or self.group not in GROUPS:
            faults.append(f"group must be one of {', '.join(GROUPS)}, got {brief(self.group)}")
        faults += [fault] if (fault := _STRENGTH.fault("strength", self.strength)) else []
        for layer, check in _CHECKS.items():
            value = getattr(self, layer)
            if isinstance(value, Mapping):
                faults += [f"{layer}: {fault}" for fault in check(value)]
            else:
                faults.append(f"{layer} must be a dict of names, got {brief(value)}")
        if isinstance(self.makeup_from, Mapping):
            try:
                object.__setattr__(self, "makeup_from", MakeupReference.from_dict(self.makeup_from))
            except InputError as error:
                faults += [f"makeup_from: {fault}" for fault in _lines(error)]
        elif not isinstance(self.makeup_from, MakeupReference | None):
            faults.append(f"makeup_from must be make-up of another picture or None, got {brief(self.makeup_from)}")
        if self.drawing is not None and (not isinstance(self.drawing, str) or self.drawing not in DRAWINGS):
            faults.append(f"drawing must be None or one of {', '.join(DRAWINGS)}, got {brief(self.drawing)}")
        elif self.drawing is not None and self.packs:
            faults.append("packs and a drawing both make the picture anew: leave one out")
        try:
            object.__setattr__(self, "post_processing", parse_steps(self.post_processing))
        except InputError as error:
            faults.append(str(error))
        raise_all(faults, InputError)

    @property
    def needs_faces(self) -> bool:
        """Whether it works on faces alone; else it is for photos without any, too.

        A drawing's shape, such as a comic's large eyes, is for the faces that there are.
        """
        parts = (self.skin, self.makeup, self.makeup_from, self.hair, self.background, self.packs)
        return any(parts) or bool(self.shape and self.drawing is None)

    @property
    def has_wall(self) -> bool:
        """Whether something stands where a photo was transparent."""
        return bool(self.background.get("amount"))

    @property
    def digest(self) -> str:
        """Sixteen hex digits that stand for all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def scaled(self, strength: float) -> LookRecipe:
        """Return the same look with every amount times `strength`, no further than its range.

        Packs and drawings keep theirs: what they do at a strength is more than a multiple of it.
        """
        shape = {
            name: min(max(amount * strength, SLIDERS[name].low), SLIDERS[name].high)
            for name, amount in self.shape.items()
        }
        steps = [
            (name, min(max(amount * strength, STEPS[name].low), STEPS[name].high))
            for name, amount in self.post_processing
        ]
        return replace(
            self,
            shape=shape,
            makeup=scale_layers(self.makeup, strength),
            makeup_from=None if self.makeup_from is None else self.makeup_from.scaled(min(strength, 1.0)),
            hair=scale_row(HairColor, self.hair, strength),
            background=scale_row(Background, self.background, strength),
            skin=scale_amounts(SKIN, self.skin, strength),
            grade=scale_amounts(GRADE, self.grade, strength),
            post_processing=tuple(steps),
        )

    def wearing(self, reference: MakeupReference) -> LookRecipe:
        """Return the same look with the make-up of another picture in place of its own, part by part.

        Its layers stay where the reference's part has no strength, or has nothing of the kind, such as brows.
        """
        replaced = {layer for part, layers in _REPLACED.items() if reference.strengths[part] for layer in layers}
        makeup = {name: layer for name, layer in self.makeup.items() if name not in replaced}
        return replace(self, group="mine", makeup=makeup, makeup_from=reference)

    # As a file

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, without what is left at its default."""
        content: dict[str, Any] = {"format_version": FORMAT_VERSION}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "makeup_from" and value is not None:
                content[one.name] = value.to_dict()
            elif value or one.name in ("strength", "title"):
                content[one.name] = [list(step) for step in value] if one.name == "post_processing" else value
        return json.loads(json.dumps(content))

    def to_json(self) -> str:
        """Return the text of its file."""
        return json_text(self.to_dict())

    def save(self, path: str | Path) -> Path:
        """Write it as a JSON file; one that is there is replaced.

        Raises:
            InputError: the file cannot be written.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.to_json())
        except OSError as error:
            raise InputError(f"the look cannot be written to {path} ({error.strerror or error})") from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> LookRecipe:
        """Read a JSON file.

        Raises:
            InputError: not there, no JSON, or not a look; all faults at once.
        """
        path = Path(path)
        try:
            content = read_json_file(path, InputError)
        except FileNotFoundError as error:
            raise InputError(f"there is no look {path}: expected a JSON file of a look") from error
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], source: str = "the look") -> LookRecipe:
        """Make a recipe of what a JSON file holds; `source` is named in errors.

        Raises:
            InputError: of another format, an unknown or missing entry, or a wrong value; all faults at once.
        """
        content = dict(content)
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION or isinstance(version, bool):
            raise InputError(
                f"{source} has format version {brief(version)}, expected {FORMAT_VERSION}: it is no look, or one of "
                "another version of gan_space"
            )
        known = {one.name for one in fields(cls)}
        faults = [f"unknown entry {brief(name)}, known are {', '.join(sorted(known))}" for name in set(content) - known]
        faults += [f"the entry {name} is missing" for name in ("name", "title", "group") if name not in content]
        stand_ins = {"name": "look", "title": dict.fromkeys(LANGUAGES, "look"), "group": "mine"}
        given = {name: value for name, value in content.items() if name in known}
        try:
            recipe = cls(**stand_ins | given)
        except InputError as error:
            faults += _lines(error)
        raise_all([f"{source}: {fault}" for fault in faults], InputError)
        return recipe


def shipped_looks() -> dict[str, LookRecipe]:
    """Return the looks inside the package by name, group by group."""
    return dict(_read_shipped())


@lru_cache(maxsize=1)
def _read_shipped() -> tuple[tuple[str, LookRecipe], ...]:
    paths = sorted(SHIPPED.glob("*.json"), key=lambda path: ((*FIRST, path.stem).index(path.stem), path.stem))
    looks = [LookRecipe.load(path) for path in paths]
    return tuple((look.name, look) for look in in_groups(looks))


def no_such_look(look: object, looks: Mapping[str, object]) -> str:
    """Say that none has this name, and which come near."""
    return f"there is no look {brief(look)}; there are {nearest_looks(look, looks)}; or give a JSON file of one"


def nearest_looks(look: object, looks: Mapping[str, object]) -> str:
    """Say how many looks there are, and name those nearest to a name: all of them would fill a screen."""
    near = difflib.get_close_matches(str(look)[:MAX_TITLE_CHARS], looks, NUM_NEAR, cutoff=0)
    return f"{len(looks)}, the nearest are {', '.join(near)}"


def in_groups(looks) -> list[LookRecipe]:
    """Sort looks into the order in which they are shown: by group, otherwise as they come."""
    return sorted(looks, key=lambda look: GROUPS.index(look.group))


def _lines(error: InputError) -> list[str]:
    """The faults that an error names, one line each."""
    lines = str(error).splitlines()
    return [line.removeprefix("  - ") for line in (lines if len(lines) == 1 else lines[1:])]


def _text_faults(look: LookRecipe) -> list[str]:
    faults = []
    if not isinstance(look.name, str) or not NAME.fullmatch(look.name):
        faults.append(f"name must be up to 48 lower-case letters, digits and dashes, got {brief(look.name)}")
    for what, limit in (("title", MAX_TITLE_CHARS), ("description", MAX_TEXT_CHARS)):
        texts = getattr(look, what)
        needed = what == "title" or bool(texts)
        if not isinstance(texts, Mapping) or (needed and set(texts) != set(LANGUAGES)):
            faults.append(f"{what} must be texts for {' and '.join(LANGUAGES)}, got {brief(texts)}")
        else:
            faults += [
                f"{what} in {language} {fault}"
                for language, text in texts.items()
                if (fault := _line_fault(text, limit)) or not text
            ]
    fault = _line_fault(look.credit, MAX_TEXT_CHARS)
    return faults + ([f"credit {fault}"] if fault else [])


def _line_fault(text: object, limit: int) -> str:
    if isinstance(text, str) and len(text) <= limit and (not text or text.isprintable()):
        return ""
    return f"must be one line of at most {limit} characters, got {brief(text)}"


def _pack_faults(packs: Mapping[str, float]) -> list[str]:
    faults = [f"at most {MAX_PACKS} packs, got {len(packs)}"] if len(packs) > MAX_PACKS else []
    for name, weight in packs.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            faults.append(f"a pack goes by a name of the model's own packs, got {brief(name)}")
        faults += [fault] if (fault := _PACK_WEIGHT.fault(f"the weight of {brief(name)}", weight)) else []
    return faults


# Part of another picture's make-up -> the layers that it takes the place of.
_REPLACED = {"lips": ("lipstick", "lip_liner"), "eyes": ("eye_shadow", "eye_liner"), "skin": ("blush",)}
# Layer -> what is wrong with its amounts.
_CHECKS = {
    "shape": shape_faults,
    "skin": partial(amount_faults, SKIN),
    "makeup": layer_faults,
    "hair": partial(row_faults, HairColor),
    "background": partial(row_faults, Background),
    "packs": _pack_faults,
    "grade": partial(amount_faults, GRADE),
}

# What make-up of another picture is put into where no look is named.
MAKEUP_ALONE = LookRecipe(
    "make-up-from-picture", {"en": "Make-up from a picture", "zh-CN": "照片同款妆容"}, "mine", strength=1.0
)
