from __future__ import annotations

import pytest
import torch

from gan_space.errors import ConfigError
from training.augment import KINDS, Augment, AugmentStrength, adapt_p


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(64, 3, 16, 16) * 2 - 1


def test_p_zero_changes_nothing(images):
    assert Augment(p=0.0)(images) is images


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_about_a_share_p(kind, images):
    torch.manual_seed(1)
    changed = (Augment((kind,), p=0.3)(images) != images).flatten(1).any(dim=1).float().mean().item()
    draws = {"translation": 2, "scale": 2, "color": 4}.get(kind, 1)  # independent transformations in it
    expected = 1 - 0.7**draws
    assert expected - 0.2 < changed < expected + 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_picture(kind, images):
    images = images.requires_grad_()
    Augment((kind,), p=1.0)(images).sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


def test_a_shift_by_whole_pixels_is_exact(images, monkeypatch):
    """The warp against plain indexing: everything moves 4 px towards the origin."""
    monkeypatch.setattr(torch, "randn", lambda *size, **kwargs: torch.ones(*size))
    moved = Augment(("translation",), AugmentStrength(translation=0.25), p=1.0)(images)
    torch.testing.assert_close(moved[:, :, :-4, :-4], images[:, :, 4:, 4:], atol=1e-5, rtol=1e-5)


def test_colours_keep_the_grey_axis_under_hue_and_saturation():
    grey = torch.linspace(-1, 1, 16).repeat(8, 3, 16, 1)
    strength = AugmentStrength(brightness=0.0, contrast=0.0, hue_turns=1.0, saturation=1.0)
    torch.testing.assert_close(Augment(("color",), strength, p=1.0)(grey), grey, atol=1e-5, rtol=1e-5)


def test_brightness_is_an_offset(images):
    strength = AugmentStrength(brightness=0.2, contrast=0.0, hue_turns=0.0, saturation=0.0)
    difference = Augment(("color",), strength, p=1.0)(images) - images
    assert difference.flatten(1).std(dim=1).max() < 1e-5
    assert difference.flatten(1).mean(dim=1).std() > 0.05


def test_unknown_kind():
    with pytest.raises(ConfigError, match="wobble"):
        Augment(("wobble",))


def test_adapt_p_moves_towards_the_target_and_stays_in_range():
    assert adapt_p(0.2, 0.9, 0.6, 32, 4, 500) == pytest.approx(0.2 + 128 / 500_000)
    assert adapt_p(0.2, 0.1, 0.6, 32, 4, 500) == pytest.approx(0.2 - 128 / 500_000)
    assert adapt_p(0.0, 0.1, 0.6, 32, 4, 500) == 0.0
    assert adapt_p(1.0, 0.9, 0.6, 32, 4, 500) == 1.0
