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
def change(renderer: Renderer, name: str, faces: torch.Tensor, strength: float, weight: float = 1.0) -> torch.Tensor:
    """What a pack adds to faces [N, 3, R, R]."""
    look = NetworkLook(packs=((StylePack.from_pretrained(PACKS / name), weight),))
    drawn = renderer.faces(faces, look, NO_LAYERS, look.decide(StyleSettings(strength=strength, paste_back=False)))
    return drawn.styled - drawn.reconstruction


@pytest.mark.parametrize("name", sorted(set(LOOKS) - set(DRAWN)))
def test_no_pack_makes_skin_lighter(name, renderer):
    for tone in TONES:
        faces, skin = faces_by_tone()[tone]
        moved = mean_lightness(faces + change(renderer, name, faces, 1.0), skin) - mean_lightness(faces, skin)
        assert -3 < moved.mean() < 2 and moved.max() < 3.5, (tone, moved)


def test_half_the_strength_of_a_change_is_half_of_it(renderer):
    faces = faces_by_tone()["dark"].faces[:1]
    full = change(renderer, "high-key", faces, 1.0)
    for strength, weight in ((0.5, 1.0), (1.0, 0.5), (0.25, 2.0)):
        assert torch.allclose(change(renderer, "high-key", faces, strength, weight), 0.5 * full, atol=0.01)
    whole, half = (change(renderer, "ink-wash", faces, strength) for strength in (1.0, 0.5))
    assert not torch.allclose(half, 0.5 * whole, atol=0.1)  # a drawing over its photo would show two faces
