"""What every look and some edits make of one photo, against a stored sheet: who only tidies must not change it.

Where a picture is meant to change, the sheet is drawn anew and looked at: python -m tests.pipelines.test_golden
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.pipelines.styling import sample

STORED = Path(__file__).parent.parent / "data" / "golden.webp"
EDITS = {
    "smile": {"attributes": {"smile": 1.5}},
    "frown": {"attributes": {"smile": -1.5}},
    "slimmer": {"attributes": {"face_width": -1.5, "eye_size": 1}},
    "older": {"attributes": {"age": 2}},
    "round glasses": {"attributes": {}, "glasses": "round"},
}
TILE_PX, BLOCK_PX = 64, 8
MAX_MEAN, MAX_BLOCK = 1.0, 8.0  # grey levels; processors round differently


def draw() -> dict[str, np.ndarray]:
    """Tiles [64, 64, 3] uint8 by name."""
    style = StyleTransferPipeline.from_pretrained()
    for network in (style.generator, style.encoder):
        network.compute_dtype = torch.float32  # the same on processors with and without bfloat16
    portrait = style.open(sample("woman-lake"))
    tiles = dict(style.thumbnails(portrait, TILE_PX))
    person = PersonalizationPipeline.from_pipe(style)
    for name, asked in EDITS.items():
        tiles[name] = person.edit(portrait, **asked, paste_back=False).image.resize(
            (TILE_PX, TILE_PX), Image.Resampling.BOX
        )
    return {name: np.asarray(tile) for name, tile in tiles.items()}


def test_looks_and_edits_have_not_changed():
    tiles = draw()
    stored = np.asarray(Image.open(STORED), dtype=int).reshape(TILE_PX, -1, TILE_PX, 3).swapaxes(0, 1)
    assert len(tiles) == len(stored) > 25, "a look came or went: draw the sheet anew, see above"
    blocks = (-1, TILE_PX // BLOCK_PX, BLOCK_PX, TILE_PX // BLOCK_PX, BLOCK_PX, 3)
    difference = np.abs(np.stack(list(tiles.values())).astype(int) - stored)
    largest = difference.reshape(blocks).mean(axis=(2, 4, 5)).max(axis=(1, 2))
    means = difference.mean(axis=(1, 2, 3))
    changed = [
        name for name, *two in zip(tiles, means, largest, strict=True) if two[0] > MAX_MEAN or two[1] > MAX_BLOCK
    ]
    assert not changed, "these draw other pictures: if they are meant to, draw the sheet anew, see above"


if __name__ == "__main__":
    Image.fromarray(np.concatenate(list(draw().values()), axis=1)).save(STORED, lossless=True)
