"""The segmenter: what it takes and gives."""

from __future__ import annotations

import pytest
import torch

from gan_space.errors import ConfigError, InputError
from gan_space.models import segmenter
from gan_space.models.segmenter import Segmenter


def tiny(seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return Segmenter(resolution=32, width=4).eval()


def images(num: int = 2, resolution: int = 32) -> torch.Tensor:
    return torch.rand(num, 3, resolution, resolution, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_shapes_and_ranges():
    output = tiny()(images() * 50)
    assert [list(part.shape) for part in output] == [[2, 32, 32], [2, 32, 32]]
    for share in (output.hair, output.person):
        assert share.dtype == torch.float32 and ((share >= 0) & (share <= 1)).all()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_the_convolutions_run_in_what_is_fastest(dtype, monkeypatch):
    model, seen = tiny(), []
    model.stem.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    exact = model(images())
    monkeypatch.setattr(segmenter, "choose_compute_dtype", lambda requested, device: dtype)
    output = model(images())
    assert seen[-1] == dtype and output.hair.dtype == torch.float32
    torch.testing.assert_close(output.hair, exact.hair, atol=0.02, rtol=0)


def test_every_parameter_learns():
    model = tiny().train()
    output = model(images())
    (output.hair_logit.square().mean() + output.person_logit.square().mean()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@torch.no_grad()
def test_a_pixel_is_seen_where_it_is():
    """Maps of all sizes lie over each other: what changes in a corner is felt there first."""
    model, before = tiny(), images(1)
    after = before.clone()
    after[:, :, :4, -4:] = 1 - after[:, :, :4, -4:]
    change = (model(after).hair_logit - model(before).hair_logit).abs()[0]
    assert change[:8, -8:].mean() > 3 * change[-8:, :8].mean()


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(tmp_path):
    model = tiny()
    model.stem[1].norm.running_mean.fill_(0.3)  # buffers count as well
    model.save_pretrained(tmp_path)
    loaded = Segmenter.from_pretrained(tmp_path).eval()
    assert loaded.resolution == 32
    assert torch.equal(loaded(images()).hair_logit, model(images()).hair_logit)


def test_other_sizes_are_refused():
    with pytest.raises(InputError, match=r"takes \[N, 3, 32, 32\], got \[1, 3, 64, 64\]"):
        tiny()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"(?s)multiple of 32 .* got 40.*width .* got 0"):
        Segmenter(resolution=40, width=0)


def test_the_default_has_at_most_a_million_parameters():
    assert sum(p.numel() for p in Segmenter().parameters()) <= 1_000_000
