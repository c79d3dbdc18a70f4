"""Colour profiles made by hand, and the same conversions written as plain arithmetic."""

from __future__ import annotations

import struct

import numpy as np

# Colorants adapted to D50, as columns of red, green and blue, from the specifications of the colour spaces.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
D50 = (0.9642, 1.0, 0.8249)


def rgb_profile(colorants: np.ndarray, gamma: float | None) -> bytes:
    """A display profile of three colorants; gamma None stands for the curve of sRGB."""
    tags = {f"{name}XYZ".encode(): _xyz(colorants[:, index]) for index, name in enumerate("rgb")}
    tags |= {f"{name}TRC".encode(): _curve(gamma) for name in "rgb"}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def gray_profile(gamma: float | None) -> bytes:
    """A profile of grey values."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """A printer whose inks darken lightness alone: paper has L 100, each ink takes off 20 of it, black another 20."""
    ramp = bytes(range(256))
    corners = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]  # the last one fastest
    table = b"".join(bytes((round(255 * cmyk_lightness(np.array(one)) / 100), 128, 128)) for one in corners)
    matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + 4 * ramp + table + 3 * ramp
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut, b"A2B1": lut})


def cmyk_lightness(inks: np.ndarray) -> np.ndarray:
    """L of [..., 4] inks from 0 to 1, as `cmyk_profile` has it."""
    return 100 - 20 * inks[..., :3].sum(-1) - 20 * inks[..., 3]


def to_srgb(values: np.ndarray, colorants: np.ndarray, gamma: float | None) -> np.ndarray:
    """[..., 3] from 0 to 1 of a profile to sRGB from 0 to 255, in float64; what sRGB lacks is clipped."""
    linear = decode(values) if gamma is None else np.asarray(values, np.float64) ** gamma
    return 255 * encode(np.clip(linear @ (np.linalg.inv(SRGB) @ colorants).T, 0, 1))


def decode(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encode(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in values))


def _curve(gamma: float | None) -> bytes:
    if gamma is None:
        parts = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + struct.pack(">5i", *(round(65536 * p) for p in parts))
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + text,
        b"wtpt": _xyz(D50),
        **tags,
    }
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    white = struct.pack(">3i", *(round(65536 * value) for value in D50))
    header = struct.pack(">I4sI4s4s4s12x4s28x12s48x", place + len(body), b"lcms", 0x02400000, kind, space, connection,
                         b"acsp", white)  # fmt: skip
    return header + table + body
