from __future__ import annotations

import re

import pytest
import torch

from gan_space.errors import WeightsError
from gan_space.formats.checkpoints import read_checkpoint
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.seeding import latents_from_seeds
from tests.formats.foreign_writers import dump, nvidia_generator, nvidia_snapshot
from tests.formats.slow_stylegan2 import nvidia_images

TINY = {"resolution": 32, "z_dim": 10, "w_dim": 12, "channel_base": 256, "channel_max": 16, "num_mapping_layers": 2}


@torch.no_grad()
def lively(network: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    """Move biases, noise strengths and w_avg off zero, where a mistake with them would not show."""
    random = torch.Generator().manual_seed(seed)
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if name.endswith(("bias", "noise_strength", "w_avg")):
            value.add_(torch.randn(value.shape, generator=random) * 0.3)
    return network


def make_generator(**changes) -> Generator:
    torch.manual_seed(0)
    return lively(Generator(**{**TINY, **changes}).eval())


def same_state(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
    mine, other = ours.state_dict(), theirs.state_dict()
    return set(mine) == set(other) and all(torch.equal(mine[name], other[name]) for name in mine)


@torch.no_grad()
@pytest.mark.parametrize("flat", [False, True], ids=["stylegan2-ada-pytorch", "stylegan3"])
@pytest.mark.parametrize("c_dim", [0, 3])
def test_a_converted_network_draws_what_slow_arithmetic_draws(tmp_path, flat, c_dim):
    theirs = make_generator(c_dim=c_dim, conv_clamp=2.0)
    got = read_checkpoint(dump(nvidia_snapshot(theirs, flat=flat), tmp_path / "a.pkl"))
    got.generator.compute_dtype = torch.float32
    assert got.format == "NVIDIA pickle" and got.notes == [] and got.discriminator is None
    z = latents_from_seeds([3, 4], TINY["z_dim"])
    c = torch.eye(3)[[2, 0]] if c_dim else None
    images = got.generator(z, c, truncation_psi=0.6, noise_mode="const")
    expected = nvidia_images(theirs.state_dict(), z, c, truncation_psi=0.6, conv_clamp=2.0)
    unclamped = nvidia_images(theirs.state_dict(), z, c, truncation_psi=0.6)
    assert (images - expected).abs().max() < 2e-5 < (expected - unclamped).abs().max()


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512, 1024])
def test_size_and_weights_are_found_at_every_resolution(tmp_path, resolution):
    theirs = Generator(resolution, z_dim=4, w_dim=6, channel_base=2 * resolution, channel_max=4, num_mapping_layers=3)
    got = read_checkpoint(dump(nvidia_snapshot(theirs), tmp_path / "a.pkl")).generator
    assert same_state(got, theirs)
    assert {key: value for key, value in got.config.items() if key[0] != "_"} == {
        key: value for key, value in theirs.config.items() if key[0] != "_"
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_that_can_hold_such_a_file_is_read(tmp_path, protocol):
    theirs = make_generator()
    assert same_state(read_checkpoint(dump(nvidia_snapshot(theirs), tmp_path / "a.pkl", protocol)).generator, theirs)


@pytest.mark.parametrize(
    ("flat", "conv_clamp", "expected"), [(0, None, None), (1, None, 256.0), (0, 64, 64), (1, 64, 64)]
)
def test_conv_clamp_comes_from_the_arguments_or_the_repository_where_layers_do_not_say(
    tmp_path, flat, conv_clamp, expected
):
    theirs = make_generator(conv_clamp=conv_clamp)
    file = dump(nvidia_snapshot(theirs, flat=bool(flat), attributes=False), tmp_path / "a.pkl")
    assert read_checkpoint(file).generator.config.conv_clamp == expected


@torch.no_grad()
def test_another_lr_multiplier_of_the_mapping_is_taken_into_the_weights(tmp_path):
    theirs = make_generator()
    snapshot = nvidia_snapshot(theirs)
    for index in range(2):
        snapshot["G_ema"].child(f"mapping.fc{index}").state["bias_gain"] = 0.05
    got = read_checkpoint(dump(snapshot, tmp_path / "a.pkl")).generator
    got.compute_dtype = torch.float32
    z = latents_from_seeds([1], TINY["z_dim"])
    expected = nvidia_images(theirs.state_dict(), z, lr_multiplier=0.05)
    assert (got(z, noise_mode="const") - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.slow
@torch.no_grad()
def test_a_missing_w_avg_is_estimated_and_said(tmp_path):
    snapshot = nvidia_snapshot(make_generator())
    del snapshot["G_ema"].child("mapping").state["_buffers"]["w_avg"]
    got = read_checkpoint(dump(snapshot, tmp_path / "a.pkl"))
    w = got.generator.mapping(latents_from_seeds(range(10_000, 14_000), TINY["z_dim"]))[:, 0]
    spread = w.std(dim=0).max()
    assert (got.generator.mapping.w_avg - w.mean(dim=0)).abs().max() < 0.1 * spread
    assert "average w" in got.notes[0]


def test_a_network_without_noise_inputs_stays_one(tmp_path):
    theirs = Generator(**TINY, use_noise=False)
    got = read_checkpoint(dump(nvidia_snapshot(theirs), tmp_path / "a.pkl")).generator
    assert not got.config.use_noise and same_state(got, theirs)


@pytest.mark.parametrize("c_dim", [0, 3])
def test_the_discriminator_comes_along_without_its_unused_filters(tmp_path, c_dim):
    sizes = {"resolution": 32, "c_dim": c_dim, "channel_base": 256, "channel_max": 16, "num_mapping_layers": 8}
    theirs = lively(Discriminator(**sizes, mbstd_group_size=2, conv_clamp=256.0))
    file = dump(nvidia_snapshot(make_generator(c_dim=c_dim), theirs), tmp_path / "a.pkl")
    got = read_checkpoint(file, with_discriminator=True).discriminator
    assert same_state(got, theirs)
    assert (got.config.mbstd_group_size, got.config.conv_clamp, got.config.c_dim) == (2, 256.0, c_dim)


@pytest.mark.parametrize(("kernel", "which"), [(3, "StyleGAN3-t"), (1, "StyleGAN3-r")])
def test_stylegan3_is_recognised_and_refused(tmp_path, kernel, which):
    generator = nvidia_generator(make_generator())
    layer = generator.child("synthesis.L0_36_16")
    layer.state["_parameters"]["weight"] = torch.nn.Parameter(torch.zeros(4, 4, kernel, kernel), requires_grad=False)
    with pytest.raises(WeightsError, match=f"{which} network.*only the StyleGAN2 configuration"):
        read_checkpoint(dump({"G": None, "D": None, "G_ema": generator}, tmp_path / "a.pkl"))


def remove_bias(generator) -> None:
    del generator.child("synthesis.b16.conv0").state["_parameters"]["bias"]


def add_tensor(generator) -> None:
    generator.child("synthesis.b16.skip").state["_buffers"]["weight"] = torch.zeros(2)


def cut_weight(generator) -> None:
    generator.child("synthesis.b16.conv0").state["_parameters"]["weight"] = torch.zeros(3, 16, 3, 3)


def diverge(generator) -> None:
    generator.child("synthesis.b16.conv0").state["_parameters"]["bias"].data[0] = torch.nan


def other_filter(generator) -> None:
    generator.child("synthesis.b16.conv0").state["_buffers"]["resample_filter"][0, 0] = 0.5


def other_architecture(generator) -> None:
    generator.child("synthesis.b16").state["architecture"] = "resnet"


def other_activation(generator) -> None:
    generator.child("mapping.fc1").state["activation"] = "relu"


def contradict(generator) -> None:
    generator.state["_init_kwargs"]["img_resolution"] = 64


def lose_block(generator) -> None:
    del generator.child("synthesis").state["_modules"]["b8"]


def loop(generator) -> None:
    generator.child("synthesis.b16").state["_modules"]["again"] = generator


def uneven(generator) -> None:
    for layer in ("conv0", "conv1", "torgb"):
        generator.child(f"synthesis.b8.{layer}").state["conv_clamp"] = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_bias, "missing: synthesis.b16.conv0.bias"),
        (add_tensor, "unexpected: synthesis.b16.skip.weight"),
        (cut_weight, r"of another shape: synthesis.b16.conv0.weight \[3, 16, 3, 3\] instead of \[16, 16, 3, 3\]"),
        (diverge, "synthesis.b16.conv0.bias has values that are not finite.*diverged"),
        (other_filter, "another filter"),
        (other_architecture, "synthesis.b16 has architecture 'resnet', here always 'skip'"),
        (other_activation, "mapping.fc1 has activation 'relu'"),
        (contradict, "img_resolution was 64, but the tensors have 32"),
        (lose_block, r"blocks at \[4, 16, 32\] px"),
        (loop, "nested more than"),
        (uneven, "conv_clamp is"),
    ],
)
def test_what_our_network_cannot_be_is_refused_by_name(tmp_path, change, message):
    snapshot = nvidia_snapshot(make_generator())
    change(snapshot["G_ema"])
    with pytest.raises(WeightsError, match=message) as caught:
        read_checkpoint(dump(snapshot, tmp_path / "odd.pkl"))
    assert re.match(r"odd\.pkl: ", str(caught.value))


def test_a_file_without_the_wanted_networks_says_what_it_holds(tmp_path):
    with pytest.raises(WeightsError, match="a dict with the keys 'epoch', 'state'; expected"):
        read_checkpoint(dump({"epoch": 1, "state": {}}, tmp_path / "a.pkl"))
    with pytest.raises(WeightsError, match=r"cannot read .*give a checkpoint file"):
        read_checkpoint(tmp_path / "nowhere.pkl")
    snapshot = nvidia_snapshot(make_generator())
    snapshot["D"] = None
    with pytest.raises(WeightsError, match="no discriminator"):
        read_checkpoint(dump(snapshot, tmp_path / "a.pkl"), with_discriminator=True)
