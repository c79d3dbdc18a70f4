"""What is written and said about directions: names for people, numbers for files, a line for the terminal."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_space.latents.directions import Direction
from training.directions.checks import Measured, Population


class Attribute(NamedTuple):
    """How a score is shown to people."""

    en: str
    chinese: str
    group: str
    unit: str
    threshold: float | None  # raw score above which a face has it; None: there is no yes and no


ATTRIBUTES = {
    "smile": Attribute("Smile", "微笑", "expression", "probability", 0.0),
    "mouth_open": Attribute("Open mouth", "张嘴", "expression", "probability", 0.0),
    "age": Attribute("Age", "年龄", "person", "years", None),
    "male": Attribute("Masculine", "阳刚", "person", "probability", 0.0),
    "glasses": Attribute("Glasses", "眼镜", "person", "probability", 0.0),
    "yaw": Attribute("Turn", "转头", "pose", "eye distances", None),
    "brightness": Attribute("Brightness", "明暗", "light", "share of white", None),
}


def about_attribute(name: str) -> Attribute:
    """Return an attribute as listed; a name that is not gets a label made from itself."""
    return ATTRIBUTES.get(name, Attribute(name.replace("_", " ").capitalize(), name, "other", "score", None))


def build_direction(
    name: str,
    vector: Tensor,
    measured: Measured,
    population: Population,
    photo_scale: float,
    on_photos: bool = True,
) -> Direction:
    """Return the direction as it is stored, with what was measured on drawn faces."""
    about = about_attribute(name)
    attributes = population.names[: population.num_attributes]
    effects = {key: value for key, value in measured.effects.items() if key in attributes}
    return Direction(
        name=name,
        vector=vector,
        label={"en": about.en, "zh-CN": about.chinese},
        group=about.group,
        safe_range=measured.safe_range,
        step=round(measured.step, 4),
        unit=about.unit,
        success=round(measured.success, 4),
        monotone=round(measured.monotone, 4),
        identity=None if measured.identity is None else round(measured.identity, 4),
        effects=rounded(effects),
        photo_scale=photo_scale,
        on_photos=on_photos,
    )


def record_of(name: str, measured: Measured, vector: Tensor) -> dict[str, Any]:
    """Return what was measured, for metrics.json."""
    layers = torch.nonzero(vector.any(dim=1)).flatten().tolist()
    return rounded(dataclasses.asdict(measured) | {"leak": measured.leak(name), "layers": layers})


def rounded(value: Any) -> Any:
    """Return every float within it to four places."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def summary(record: dict[str, Any]) -> str:
    """Return one line of `record_of`."""
    leak = max(record["leak"].items(), key=lambda pair: abs(pair[1]), default=("-", 0.0))
    low, high = record["safe_range"]
    identity = ""
    if record["identity"] is not None:
        identity = f", identity {record['identity']:.2f} ({record['identity_step'] or 0.0:.2f} by one)"
    text = (
        f"{low:g} to {high:g}, layers {record['layers'][0]}-{record['layers'][-1]}, success {record['success']:.0%}, "
        f"monotone {record['monotone']:.0%}, most leak {leak[0]} {leak[1]:+.2f}{identity}"
    )
    if "encoded" in record:
        real = record["encoded"]
        most = max(real["leak"].items(), key=lambda pair: abs(pair[1]), default=("-", 0.0))
        text += f"; on real faces: success {real['success']:.0%}, most leak {most[0]} {most[1]:+.2f}"
    return text
