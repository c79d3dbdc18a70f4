"""The landmarker: what it takes and gives."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch

import gan_space
from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.models import landmarker
from gan_space.models.landmarker import MAX_ERROR, MIN_ERROR, NUM_LANDMARKS, Landmarker

EMBEDDED = Path(gan_space.__file__).parent / "assets" / "default" / "landmarker"


def tiny(seed: int = 0) -> Landmarker:
    torch.manual_seed(seed)
    return Landmarker(resolution=32, width=4, bottleneck=4, hidden=16, rank=6).eval()


def images(num: int = 3, resolution: int = 32) -> torch.Tensor:
    return torch.rand(num, 3, resolution, resolution, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_shapes_and_ranges():
    output = tiny()(images() * 50)
    assert [list(part.shape) for part in output] == [[3, NUM_LANDMARKS, 2], [3, NUM_LANDMARKS], [3], [3, 3]]
    assert all(part.dtype == torch.float32 for part in output)
    assert ((output.presence >= 0) & (output.presence <= 1)).all() and (
        (output.covered >= 0) & (output.covered <= 1)
    ).all()
    assert ((output.error >= MIN_ERROR * 0.999) & (output.error <= MAX_ERROR * 1.001)).all()


@torch.no_grad()
def test_it_starts_at_the_mean_shape_and_stays_in_the_space_of_the_basic_shapes():
    model = tiny()
    mean, basis = torch.rand(NUM_LANDMARKS, 2), torch.randn(6, NUM_LANDMARKS, 2)
    model.set_shapes(mean, basis)
    before = model.shape_weights.weight.clone()
    model.shape_weights.weight.zero_()
    torch.testing.assert_close(model(images()).points, mean.expand(3, -1, -1))
    model.shape_weights.weight.copy_(100 * before)
    offset = (model(images()).points - mean).flatten(1)  # [3, 936]
    assert offset.abs().max() > 0.1
    inside = basis.flatten(1).T @ torch.linalg.lstsq(basis.flatten(1).T, offset.T).solution
    torch.testing.assert_close(inside.T, offset, atol=1e-3, rtol=1e-3)


def test_places_keep_their_digits_where_convolutions_run_in_bfloat16():
    model = tiny().train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images())
    assert all(part.dtype == torch.float32 for part in output)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_the_convolutions_run_in_what_is_fastest(dtype, monkeypatch):
    """Places of faces are the same but for a thousandth of the crop."""
    model, seen = Landmarker.from_pretrained(EMBEDDED).eval(), []
    model.trunk.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    crops = images(2, model.resolution)
    exact = model(crops)
    monkeypatch.setattr(landmarker, "choose_compute_dtype", lambda requested, device: dtype)
    with torch.no_grad():
        output = model(crops)
    assert seen[-1] == dtype and all(part.dtype == torch.float32 for part in output)
    torch.testing.assert_close(output.points, exact.points, atol=1e-2 if dtype == torch.bfloat16 else 1e-5, rtol=0)


def test_every_parameter_learns():
    model = tiny().train()
    output = model(images(4))
    parts = (output.points.square().sum(), output.face_logit.sum(), output.log_error.sum(), output.cover_logit.sum())
    sum(parts).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(tmp_path):
    model = tiny()
    model.trunk[1].norm.running_mean.fill_(0.3)  # buffers count as well
    model.save_pretrained(tmp_path)
    loaded = Landmarker.from_pretrained(tmp_path).eval()
    assert loaded.resolution == 32
    assert torch.equal(loaded(images()).points, model(images()).points)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"resolution": 32', '"resolution": 48'))
    with pytest.raises(WeightsError, match="dense"):
        Landmarker.from_pretrained(tmp_path)


def test_other_sizes_are_refused():
    with pytest.raises(InputError, match=r"takes \[N, 3, 32, 32\], got \[1, 3, 64, 64\]"):
        tiny()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"(?s)multiple of 16 .* got 40.*width .* got 0.*rank .* got -1"):
        Landmarker(resolution=40, width=0, rank=-1)


def test_the_default_has_at_most_a_million_parameters():
    assert sum(p.numel() for p in Landmarker().parameters()) <= 1_000_000


@torch.no_grad()
def test_crops_of_photos_go_to_the_device_of_the_network():
    model, seen = tiny().to("meta"), []
    model.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].device.type))
    with contextlib.suppress(RuntimeError):  # of autocast, which does not know this device
        model(images())
    assert seen == ["meta"]
