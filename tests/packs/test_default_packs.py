"""What the packs in the package do to skin, as faces of every tone get them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gan_space
from gan_space.packs.style import StylePack
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.styles.apply import NO_LAYERS, NetworkLook, Renderer
from gan_space.styles.settings import StyleSettings
from tests.packs.skin_tones import TONES, faces_by_tone, mean_lightness
from training.packs.looks import DRAWN, LOOKS

PACKS = Path(gan_space.__file__).parent / "assets" / "default" / "packs"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    pipe = StyleTransferPipeline.from_pretrained()
    return Renderer(pipe.generator, pipe.encoder)


def test_every_look_by_formula_has_its_pack():
    assert {folder.name for folder in PACKS.iterdir()} == set(LOOKS)


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(set(LOOKS) - set(DRAWN)))
def test_no_pack_makes_skin_lighter(name, renderer):
    look = NetworkLook(packs=((StylePack.from_pretrained(PACKS / name), 1.0),))
    settings = look.decide(StyleSettings(strength=1.0, paste_back=False))
    for tone in TONES:
        faces, skin = faces_by_tone()[tone]
        drawn = renderer.faces(faces, look, NO_LAYERS, settings)
        moved = mean_lightness(faces + drawn.styled - drawn.reconstruction, skin) - mean_lightness(faces, skin)
        assert -3 < moved.mean() < 2 and moved.max() < 3.5, (tone, moved)
