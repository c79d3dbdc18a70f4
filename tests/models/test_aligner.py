"""The aligner: what it takes and gives, and the weights in the package."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.faces.align import TIGHT_FRAME
from gan_space.models.aligner import MAX_ERROR, MEAN_POINTS, MIN_ERROR, Aligner, ConvNorm

EMBEDDED = Path(gan_space.__file__).parent / "assets" / "default" / "aligner"


def tiny(seed: int = 0) -> Aligner:
    torch.manual_seed(seed)
    return Aligner(resolution=32, width=4).eval()


def images(num: int = 3, resolution: int = 32) -> torch.Tensor:
    return torch.rand(num, 3, resolution, resolution, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_shapes_and_ranges():
    output = tiny()(images() * 50)
    assert [list(part.shape) for part in output] == [[3, 3, 2], [3], [3], [3]]
    assert all(part.dtype == torch.float32 for part in output)
    assert ((output.score >= 0) & (output.score <= 1)).all()
    assert ((output.error >= MIN_ERROR * 0.999) & (output.error <= MAX_ERROR * 1.001)).all()


@torch.no_grad()
def test_before_training_it_corrects_nothing():
    torch.testing.assert_close(tiny()(images()).points, torch.tensor(MEAN_POINTS).expand(3, 3, 2), atol=0.2, rtol=0)
    np.testing.assert_array_equal(np.array(MEAN_POINTS), TIGHT_FRAME)


def test_every_parameter_learns():
    model = tiny().train()
    torch.nn.init.normal_(model.out.weight)
    output = model(images(4))
    (output.points.square().sum() + output.face_logit.sum() + output.log_error.sum() + output.yaw.sum()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(tmp_path):
    model = tiny()
    model.stem[0].norm.running_mean.fill_(0.3)  # buffers count as well
    model.save_pretrained(tmp_path)
    loaded = Aligner.from_pretrained(tmp_path).eval()
    assert loaded.resolution == 32
    assert torch.equal(loaded(images()).points, model(images()).points)
    (tmp_path / "config.json").write_text('{"_class_name": "Aligner", "resolution": 48, "width": 4}')
    with pytest.raises(WeightsError, match="hidden"):
        Aligner.from_pretrained(tmp_path)


def test_other_sizes_are_refused():
    with pytest.raises(InputError, match=r"takes \[N, 3, 32, 32\], got \[1, 3, 64, 64\]"):
        tiny()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"(?s)multiple of 8 .* got 30.*width .* got 0"):
        Aligner(resolution=30, width=0)


@torch.no_grad()
def test_the_weights_in_the_package_are_small_and_know_a_face():
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) < 1_000_000
    model = Aligner.from_pretrained(EMBEDDED).eval()
    assert sum(p.numel() for p in model.parameters()) < 300_000
    noise = model(images(8, 64))
    assert noise.score.max() < 0.5


def test_what_is_kept_of_weights_and_norm_follows_every_change():
    """Between calls the convolution stays folded with its norm; a step, a load or a copy gets it anew."""
    torch.manual_seed(0)
    block, other, images = ConvNorm(3, 4).eval(), ConvNorm(3, 4).eval(), torch.randn(2, 3, 8, 8)

    def plain(network: ConvNorm) -> torch.Tensor:
        return torch.relu(network.norm(network.conv(images)))

    with torch.inference_mode():
        block(images)
    images.requires_grad_()
    block.requires_grad_(False)
    assert block(images).sum().requires_grad  # what was kept in inference mode serves gradients as well
    block.requires_grad_(True)
    for change in (
        lambda: block.norm.running_mean.add_(1),
        lambda: block.conv.weight.mul_(2),
        lambda: block.load_state_dict(other.state_dict()),
        lambda: block.load_state_dict({n: v + 1 for n, v in other.state_dict().items()}, assign=True),
    ):
        with torch.no_grad():
            block(images)
            change()
            torch.testing.assert_close(block(images), plain(block))
    copied = copy.deepcopy(block)
    with torch.no_grad():
        copied.conv.weight.zero_()
        torch.testing.assert_close(copied(images), plain(copied))
        torch.testing.assert_close(block(images), plain(block))


@torch.no_grad()
def test_a_block_answers_in_the_format_that_it_is_asked_in():
    torch.manual_seed(0)
    block, images = ConvNorm(3, 4).eval(), torch.randn(2, 3, 8, 8)
    exact = block(images)
    rounded = block(images.bfloat16())
    assert (exact.dtype, rounded.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0.05)
    assert not torch.equal(rounded.float(), exact)
    assert torch.equal(block(images), exact)  # what was kept for one format does not serve the other


@torch.no_grad()
def test_crops_of_photos_go_to_the_device_of_the_network():
    model = tiny().to("meta")
    assert {part.device.type for part in model(images())} == {"meta"}
