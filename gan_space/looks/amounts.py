"""Amounts by name: what a layer of a look may be asked for, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gan_space.settings import brief, is_number


@dataclass(frozen=True)
class Amount:
    """One thing that a layer does.

    Args:
        meaning: what more of it does.
        low, high: its range; 0 does nothing.
        scales: goes with the strength of the look; a hue does not.
    """

    meaning: str
    low: float = 0.0
    high: float = 1.0
    scales: bool = True


def amount_faults(table: Mapping[str, Amount], amounts: Mapping[str, float]) -> list[str]:
    """Say what is wrong with amounts: names that the table lacks, and values out of range."""
    faults = []
    for name, value in amounts.items():
        one = table.get(name) if isinstance(name, str) else None
        if one is None:
            faults.append(f"there is no {brief(name)}; known are {', '.join(table) or 'none'}")
        elif not is_number(value) or not one.low <= value <= one.high:
            faults.append(f"{name} goes from {one.low:g} to {one.high:g}, got {brief(value)}")
    return faults


def scale_amounts(table: Mapping[str, Amount], amounts: Mapping[str, float], strength: float) -> dict[str, float]:
    """Return amounts times a strength, no further than their ranges."""
    return {
        name: min(max(value * strength, table[name].low), table[name].high) if table[name].scales else value
        for name, value in amounts.items()
    }
