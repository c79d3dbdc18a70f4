from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gan_space
from gan_space.faces.landmarks import Landmarks
from gan_space.models.aligner import Aligner
from gan_space.models.landmarker import Landmarker
from gan_space.portraits.portrait import open_portrait
from tests.pipelines.styling import sample

MODEL = Path(gan_space.__file__).parent / "assets" / "default"


@pytest.fixture(scope="session")
def face(aligner: Aligner) -> tuple[torch.Tensor, Landmarks]:
    """A photo [3, 512, 512] uint8 of a woman, and the places of her face."""
    landmarker = Landmarker.from_pretrained(MODEL / "landmarker").eval()
    with torch.no_grad():
        portrait = open_portrait(sample("woman-park", 512), aligner)
        return portrait.pixels, portrait.landmarks(landmarker)[0]
