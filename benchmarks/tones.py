"""Tones of skin, by the lightness that it has in a photo."""

from __future__ import annotations

TONES = {"dark": (0, 50), "middle": (50, 68), "light": (68, 101)}  # L*, from and below


def tone_of(lightness: float) -> str:
    """Return the name of the tone of skin of this L*."""
    return next(name for name, (low, high) in TONES.items() if low <= lightness < high)
