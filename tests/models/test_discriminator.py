"""The discriminator as a whole: shapes, labels, the exact gradient penalty."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gan_space import Discriminator
from tests.warm import Script

SIZE = dict(resolution=16, channel_base=64, channel_max=8)


@torch.no_grad()
@pytest.mark.parametrize("resolution", [16, 64])
def test_shapes(resolution):
    discriminator = Discriminator(resolution=resolution, channel_base=256, channel_max=8)
    assert discriminator(torch.randn(4, 3, resolution, resolution)).shape == (4, 1)
    images = torch.randn(2, 3, resolution, resolution)
    maps = discriminator.features(images)
    assert [m.shape[-1] for m in maps] == [size // 2 for size in discriminator.block_resolutions]
    finest = discriminator.features(images, 2)
    assert len(finest) == 2 and all(torch.equal(one, other) for one, other in zip(finest, maps, strict=False))


@torch.no_grad()
def test_logits_do_not_depend_on_the_memory_format():
    discriminator = Discriminator(**SIZE)
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(discriminator(x), discriminator(x.to(memory_format=torch.channels_last)))


@torch.no_grad()
def test_projection_onto_the_label():
    discriminator = Discriminator(**SIZE, c_dim=3, num_mapping_layers=2)
    x = torch.randn(1, 3, 16, 16).repeat(3, 1, 1, 1)
    logits = discriminator(x, torch.eye(3))
    assert logits.shape == (3, 1)
    assert logits.flatten().unique().numel() == 3


def take_penalties() -> None:
    torch.set_num_threads(1)
    for count, size in ((32, 128), (8, 256)):
        discriminator = Discriminator(resolution=size, channel_base=512, channel_max=8)
        discriminator.compute_dtype = torch.bfloat16
        pictures = torch.randn(count, 3, size, size, requires_grad=True)
        (gradient,) = torch.autograd.grad(discriminator(pictures).sum(), pictures, create_graph=True)
        gradient.square().sum().backward()
        assert discriminator.features(pictures, 1)[0].isfinite().all()


@pytest.mark.slow
@pytest.mark.skipif(not torch.cpu._is_amx_tile_supported(), reason="the fault is AMX's")
def test_one_thread_takes_the_penalty_where_amx_would_end_the_process():
    code, printed = Script(Path(__file__), []).wait()
    assert code == 0, printed


@torch.no_grad()
def test_halves_make_the_whole(monkeypatch):
    discriminator = Discriminator(**SIZE)
    discriminator.compute_dtype = torch.bfloat16
    x = torch.randn(4, 3, 16, 16)
    expected = discriminator(x)
    monkeypatch.setattr("gan_space.models.discriminator.AMX_FAULT", x.numel())
    torch.testing.assert_close(discriminator(x), expected, atol=0.02, rtol=0.02)


def test_gradient_with_respect_to_the_picture_by_finite_differences():
    torch.manual_seed(0)
    discriminator = Discriminator(**SIZE).double()
    discriminator.compute_dtype = torch.float64
    discriminator.b4.mbstd.group_size = 1
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x)
    direction = torch.randn_like(x)
    step = 1e-6
    with torch.no_grad():
        difference = discriminator(x + step * direction) - discriminator(x - step * direction)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item() / (2 * step), rel=1e-5)


if __name__ == "__main__":
    take_penalties()
