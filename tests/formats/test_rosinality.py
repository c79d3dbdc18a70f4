from __future__ import annotations

import argparse

import pytest
import torch

from gan_space.errors import WeightsError
from gan_space.formats.checkpoints import read_checkpoint
from gan_space.formats.networks import detect_channels
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.seeding import latents_from_seeds
from tests.formats.foreign_writers import rosinality_discriminator, rosinality_generator
from tests.formats.slow_stylegan2 import rosinality_images, rosinality_logits


@pytest.fixture(scope="module")
def networks() -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    generator = Generator(32, z_dim=12, w_dim=12, channel_base=256, channel_max=16, num_mapping_layers=2)
    discriminator = Discriminator(32, channel_base=256, channel_max=16)
    with torch.no_grad():
        for network in (generator, discriminator):
            for name, value in [*network.named_parameters(), *network.named_buffers()]:
                if name.endswith(("bias", "noise_strength", "w_avg")):
                    value.add_(torch.randn(value.shape) * 0.3)
    return generator.eval(), discriminator.eval()


def checkpoint(networks, **more) -> dict:
    generator, discriminator = networks
    return {"g_ema": rosinality_generator(generator), "d": rosinality_discriminator(discriminator), **more}


@torch.no_grad()
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_converted_networks_compute_what_slow_arithmetic_computes(tmp_path, networks, as_zip):
    content = checkpoint(networks, latent_avg=networks[0].mapping.w_avg.clone(), ada_aug_p=0.1)
    content["args"] = argparse.Namespace(lr=0.002, size=32, path="faces", betas=[0.0, 0.99])
    content["g_optim"] = {"state": {0: {"step": 1, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.002}]}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=as_zip)
    got = read_checkpoint(tmp_path / "a.pt", with_discriminator=True)
    assert got.format == "rosinality checkpoint" and got.notes == []
    got.generator.compute_dtype = torch.float32
    z = latents_from_seeds([3, 4], 12)
    images = got.generator(z, truncation_psi=0.6, noise_mode="const")
    expected = rosinality_images(content["g_ema"], content["latent_avg"], z, truncation=0.6)
    assert (images - expected).abs().max() < 2e-5
    logits = rosinality_logits(content["d"], expected)
    assert (got.discriminator(expected.float()) - logits).abs().max() < 2e-5


@pytest.mark.slow
@torch.no_grad()
def test_what_its_training_script_leaves_out_is_made_up_for_and_said(tmp_path, networks):
    content = checkpoint(networks)
    content["g_ema"] = {name: value for name, value in content["g_ema"].items() if "noises" not in name}
    torch.save(content, tmp_path / "a.pt")
    got = read_checkpoint(tmp_path / "a.pt")
    assert [("noise" in note, "average w" in note) for note in got.notes] == [(True, False), (False, True)]
    w = got.generator.mapping(latents_from_seeds(range(10_000, 14_000), 12))[:, 0]
    assert (got.generator.mapping.w_avg - w.mean(dim=0)).abs().max() < 0.1 * w.std(dim=0).max()
    noise = got.generator.synthesis.b32.conv1.noise_const
    assert abs(noise.std() - 1) < 0.1
    again = read_checkpoint(tmp_path / "a.pt").generator.synthesis.b32.conv1.noise_const
    assert torch.equal(noise, again)


@pytest.mark.parametrize(
    ("multiplier", "expected"), [(2, (32768, 512)), (1, (16384, 512)), (0.5, (8192, 512)), (0.25, (4096, 512))]
)
def test_the_channel_multiplier_is_detected(multiplier, expected):
    channels = {size: min(512, int(16384 * multiplier) // size) for size in (4, 8, 16, 32, 64, 128, 256, 512, 1024)}
    assert detect_channels(channels) == expected


def test_a_base_that_is_no_power_of_two_is_detected():
    base, most = detect_channels({size: min(40, 1000 // size) for size in (4, 8, 16, 32, 64)})
    assert [min(base // size, most) for size in (4, 8, 16, 32, 64)] == [40, 40, 40, 31, 15]


def test_channels_that_follow_no_rule_are_refused():
    # Multiplier 4 of that repository has more channels at 64 px than at 32 px.
    with pytest.raises(WeightsError, match="512 at 32 px, 1024 at 64 px"):
        detect_channels({4: 512, 8: 512, 16: 512, 32: 512, 64: 1024})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("convs.0.conv.weight", None, "missing: synthesis.b8.conv0.weight"),
        ("convs.0.extra", torch.zeros(2), "unexpected: synthesis.b8.conv0.extra"),
        ("convs.0.noise.weight", torch.zeros(2), "of another shape: synthesis.b8.conv0.noise_strength"),
        ("to_rgbs.1.upsample.kernel", torch.ones(4, 4) / 4, "another filter"),
        ("convs.0.conv.weight", "text", "must hold tensors"),
    ],
)
def test_a_damaged_state_is_refused_by_name(tmp_path, networks, name, value, message):
    content = checkpoint(networks, latent_avg=torch.zeros(12))
    content["g_ema"].pop(name, None)
    if value is not None:
        content["g_ema"][name] = value
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(tmp_path / "a.pt")


def test_a_checkpoint_without_d_says_so(tmp_path, networks):
    torch.save({"g_ema": rosinality_generator(networks[0])}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="no discriminator"):
        read_checkpoint(tmp_path / "a.pt", with_discriminator=True)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_convert(tmp_path, networks, dtype):
    content = checkpoint(networks, latent_avg=networks[0].mapping.w_avg.clone())
    content["g_ema"] = {name: value.to(dtype) for name, value in content["g_ema"].items()}
    # Alone in its file, so that no other tensor makes room for it.
    torch.save({"g_ema": content["g_ema"], "latent_avg": content["latent_avg"].to(dtype)}, tmp_path / "a.pt")
    got = read_checkpoint(tmp_path / "a.pt").generator.state_dict()
    for name, value in networks[0].state_dict().items():
        assert got[name].dtype == torch.float32
        assert torch.allclose(got[name], value, rtol=0.01, atol=1e-3), name
