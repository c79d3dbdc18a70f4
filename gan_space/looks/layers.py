"""What make-up is made of: one frozen row a layer, with its colour, amount and finish.

Colours are what is in the pot, as it looks in white light; how much of it shows, and how it looks in a photo's own
light, is reckoned when it is put on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from gan_space.errors import InputError, raise_all
from gan_space.settings import brief, setting, setting_faults

HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


def _amount(default: float, help: str):
    return setting(default, help, low=0.0, high=1.0)


@dataclass(frozen=True)
class Layer:
    """One layer of make-up; every field has a default that looks good on most faces.

    Raises:
        InputError: no colour, an amount out of range or an unknown finish; all faults at once.
    """

    name: ClassVar[str] = ""
    help: ClassVar[str] = ""

    def __post_init__(self) -> None:
        faults = setting_faults(self)
        for one in fields(self):
            value = getattr(self, one.name)
            if "color" in one.name and not (isinstance(value, str) and HEX_COLOR.fullmatch(value)):
                faults.append(f"{one.name} must be a colour such as #a1343c, got {brief(value)}")
        raise_all([f"{self.name}: {fault}" for fault in dict.fromkeys(faults)], InputError)

    def scaled(self, strength: float) -> Layer:
        """Return the same with another share of its amount, at most all of it."""
        return replace(self, amount=min(max(self.amount * strength, 0.0), 1.0))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self)


@dataclass(frozen=True)
class Contour(Layer):
    name, help = "contour", "shade below the cheekbones, along the jaw and beside the nose"
    color: str = setting("#8a5f4a", "what the skin is shaded with")
    amount: float = _amount(0.4, "how much shade")


@dataclass(frozen=True)
class Blush(Layer):
    name, help = "blush", "colour on the cheeks"
    color: str = setting("#d4645f", "the powder")
    amount: float = _amount(0.35, "how much of it")
    place: str = setting("cheekbones", "where most of it goes", choices=("apples", "cheekbones"))


@dataclass(frozen=True)
class Highlight(Layer):
    name, help = "highlight", "light on cheekbones, bridge of the nose, brow bone and Cupid's bow"
    color: str = setting("#ffe6c8", "the colour of the light")
    amount: float = _amount(0.4, "how much light")


@dataclass(frozen=True)
class EyeShadow(Layer):
    name, help = "eye_shadow", "two colours above the eye"
    color: str = setting("#a9765f", "on the lid")
    crease_color: str = setting("#6b4436", "in the crease and at the outer corner")
    amount: float = _amount(0.5, "how much of both")
    lower: float = _amount(0.3, "how much below the lower lashes")
    finish: str = setting("satin", "how it shines", choices=("matte", "satin", "shimmer"))


@dataclass(frozen=True)
class Brow(Layer):
    name, help = "brow", "fills the gaps between a brow's own hairs"
    color: str = setting("#4a3528", "the pencil")
    amount: float = _amount(0.4, "how much of it")


@dataclass(frozen=True)
class Iris(Layer):
    name, help = "iris", "another colour of the eyes, as by a lens"
    color: str = setting("#5b7f9c", "the lens")
    amount: float = _amount(0.5, "how much of it covers the eye's own colour")


@dataclass(frozen=True)
class EyeLiner(Layer):
    name, help = "eye_liner", "a line along the upper lashes"
    color: str = setting("#1d1614", "the pen")
    amount: float = _amount(0.7, "how dark the line is")
    thickness: float = _amount(0.35, "how thick the line is")
    wing: float = _amount(0.3, "how far it is drawn out past the eye")
    lower: float = _amount(0.0, "how much of a line along the lower lashes")


@dataclass(frozen=True)
class Lashes(Layer):
    name, help = "lashes", "longer, darker lashes"
    color: str = setting("#15100f", "the mascara")
    amount: float = _amount(0.6, "how dark they are")
    length: float = _amount(0.4, "how long they are")
    lower: float = _amount(0.3, "how much on the lower lashes")


@dataclass(frozen=True)
class Lipstick(Layer):
    name, help = "lipstick", "colour on the lips"
    color: str = setting("#b0404c", "the lipstick")
    amount: float = _amount(0.6, "how much of the lips' own colour it covers")
    finish: str = setting("satin", "how it shines", choices=("matte", "satin", "gloss"))


@dataclass(frozen=True)
class LipLiner(Layer):
    name, help = "lip_liner", "a soft line along the edge of the lips"
    color: str = setting("#8a3a3f", "the pencil")
    amount: float = _amount(0.4, "how much of it")


@dataclass(frozen=True)
class HairColor(Layer):
    name, help = "hair", "another colour of the hair of the head"
    color: str = setting("#7a4a32", "the dye, as it looks on hair in even light")
    amount: float = _amount(0.8, "how much of the hair's own colour it covers")


@dataclass(frozen=True)
class Background(Layer):
    name, help = "background", "what is behind the person"
    color: str = setting("#ffffff", "a plain wall")
    amount: float = _amount(0.0, "how much of the wall covers what is there")
    shade: float = _amount(0.0, "how much darker the wall is towards the corners")
    blur: float = _amount(0.0, "how far what is there is out of focus")

    def scaled(self, strength: float) -> Background:
        """Return the same with another share of wall and blur, at most all of it."""
        return replace(super().scaled(strength), blur=min(max(self.blur * strength, 0.0), 1.0))


# In the order in which they are put on.
LAYERS: dict[str, type[Layer]] = {
    row.name: row for row in (Contour, Blush, Highlight, EyeShadow, Brow, Iris, EyeLiner, Lashes, LipLiner, Lipstick)
}


def read_layers(layers: Mapping[str, Mapping[str, Any] | Layer]) -> tuple[Layer, ...]:
    """Make rows of what a recipe says, in the order in which they are put on.

    Args:
        layers: name of a layer -> its fields; those that are left out keep their defaults.

    Raises:
        InputError: an unknown layer or field, or a value that is none for it; all faults at once.

    Example:
        >>> [layer.name for layer in read_layers({"lipstick": {"color": "#7a1f2b"}, "blush": {}})]
        ['blush', 'lipstick']
    """
    raise_all(layer_faults(layers), InputError)
    return tuple(_read(row, layers[name]) for name, row in LAYERS.items() if name in layers)


def layer_faults(layers: Mapping[str, Mapping[str, Any] | Layer]) -> list[str]:
    """Say what is wrong with the make-up of a recipe, one line each."""
    faults = []
    for name, values in layers.items():
        row = LAYERS.get(name)
        if row is None:
            faults.append(f"there is no make-up layer {brief(name)}; those are {', '.join(LAYERS)}")
        else:
            faults += row_faults(row, values)
    return faults


def row_faults(row: type[Layer], values: Mapping[str, Any] | Layer) -> list[str]:
    """Say what is wrong with the fields of one layer, one line each."""
    name = row.name
    if isinstance(values, Layer):
        return [] if isinstance(values, row) else [f"{name} must be a {row.__name__}, got a {type(values).__name__}"]
    if not isinstance(values, Mapping):
        return [f"{name} must be a dict of its fields, got {brief(values)}"]
    known = [one.name for one in fields(row)]
    faults = [f"{name} has no {brief(key)}, only {', '.join(known)}" for key in values if key not in known]
    try:
        row(**{key: value for key, value in values.items() if key in known})
    except InputError as error:
        lines = str(error).split("\n")
        faults += [line.removeprefix("  - ") for line in (lines if len(lines) == 1 else lines[1:])]
    return faults


def scale_layers(layers: Mapping[str, Mapping[str, Any] | Layer], strength: float) -> dict[str, dict[str, Any]]:
    """Return the make-up of a recipe with another share of every amount; `strength` 0 leaves nothing of it."""
    return {layer.name: layer.scaled(strength).to_dict() for layer in read_layers(layers)}


def scale_row(row: type[Layer], values: Mapping[str, Any] | Layer, strength: float) -> dict[str, Any]:
    """Return the fields of one layer with another share of its amount; nothing of a layer that is left out."""
    return _read(row, values).scaled(strength).to_dict() if values else {}


def _read(row: type[Layer], values: Mapping[str, Any] | Layer) -> Layer:
    return values if isinstance(values, Layer) else row(**values)
