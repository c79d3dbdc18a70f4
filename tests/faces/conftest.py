"""Whole photos with the places of eyes and mouth, read off by eye on enlarged prints with a grid."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_space.photos.opening import open_photo

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
LANDMARKS = {
    "astronaut": [[117.1, 100.9], [160.7, 103.1], [137.6, 146.0]],
    "naval-officer": [[221.7, 188.0], [306.4, 187.4], [267.5, 276.8]],
    "woman-lake": [[213.3, 203.9], [297.0, 204.0], [257.8, 296.5]],
    "woman-park": [[216.4, 209.8], [301.4, 209.8], [250.0, 302.4]],
}


@pytest.fixture(scope="session")
def photos():
    """{name: [3, H, W] uint8}."""
    return {name: open_photo(SAMPLES / f"{name}.jpg") for name in LANDMARKS}


@pytest.fixture(scope="session")
def landmarks():
    """{name: [3, 2]} left eye, right eye, mouth in px."""
    return LANDMARKS
