"""The generator as a whole: shapes, seeds, noise, truncation, precision, labels."""

from __future__ import annotations

import pytest
import torch

from gan_space import Generator
from gan_space.errors import ConfigError
from gan_space.models.synthesis import SynthesisState
from gan_space.seeding import latents_from_seeds

SIZE = dict(resolution=32, z_dim=16, w_dim=24, channel_base=256, channel_max=32, num_mapping_layers=2)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(**SIZE).eval()
    generator.compute_dtype = torch.float32
    with torch.no_grad():
        generator.mapping.w_avg.normal_()
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.2)
    return generator


@torch.no_grad()
@pytest.mark.parametrize("resolution", [16, 32, 64, 128])
def test_shapes(resolution):
    generator = Generator(resolution=resolution, z_dim=8, w_dim=8, channel_base=256, channel_max=8)
    assert generator.num_ws == 2 * (resolution.bit_length() - 1) - 2
    assert generator(torch.randn(2, 8)).shape == (2, 3, resolution, resolution)


@torch.no_grad()
def test_a_seed_gives_the_same_picture_in_any_batch(generator):
    alone = generator(latents_from_seeds([7], 16), noise_mode="const")
    among = generator(latents_from_seeds([1, 2, 7, 9], 16), noise_mode="const")
    torch.testing.assert_close(alone[0], among[2], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_noise_modes(generator):
    w_plus = generator.mapping(latents_from_seeds([1], 16))
    const, none = (generator.synthesis(w_plus, noise_mode=mode) for mode in ("const", "none"))
    assert torch.equal(const, generator.synthesis(w_plus, noise_mode="const"))
    assert not torch.equal(const, none)
    assert not torch.equal(
        generator.synthesis(w_plus, noise_mode="random"), generator.synthesis(w_plus, noise_mode="random")
    )
    with pytest.raises(ValueError, match="noise_mode"):
        generator.synthesis(w_plus, noise_mode="loud")


@torch.no_grad()
def test_random_noise_comes_from_the_given_generator(generator):
    w_plus = generator.mapping(latents_from_seeds([1], 16))
    state = torch.get_rng_state()
    one, two = (generator.synthesis(w_plus, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), state)


@torch.no_grad()
def test_truncation(generator):
    z = latents_from_seeds([1, 2], 16)
    w = generator.mapping(z).double()
    w_avg = generator.mapping.w_avg.double()
    truncated = generator.mapping(z, truncation_psi=0.6)
    torch.testing.assert_close(truncated.double(), w_avg + 0.6 * (w - w_avg), atol=1e-6, rtol=1e-6)
    cut = generator.mapping(z, truncation_psi=0.6, truncation_cutoff=3)
    assert torch.equal(cut[:, :3], truncated[:, :3])
    assert torch.equal(cut[:, 3:].double(), w[:, 3:])
    average = generator.mapping(z, truncation_psi=0)
    torch.testing.assert_close(average[0], average[1])


@torch.no_grad()
def test_mapping_against_plain_arithmetic(generator):
    z = latents_from_seeds([3], 16).double()
    x = z / z.square().mean(dim=1, keepdim=True).sqrt()
    for index in range(2):
        layer = getattr(generator.mapping, f"fc{index}")
        fan_in = layer.weight.shape[1]
        x = x @ (layer.weight.double() * 0.01 / fan_in**0.5).t() + layer.bias.double() * 0.01
        x = torch.where(x > 0, x, 0.2 * x) * 2**0.5
    torch.testing.assert_close(generator.mapping(z.float())[:, 0].double(), x, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_w_avg_follows_the_batches_only_when_told():
    generator = Generator(**SIZE)
    z = torch.randn(64, 16)
    generator.mapping(z)
    assert generator.mapping.w_avg.abs().max() == 0
    generator.mapping(z, update_w_avg=True)
    torch.testing.assert_close(generator.mapping.w_avg, generator.mapping(z)[:, 0].mean(dim=0) * 0.005)


@torch.no_grad()
def test_bfloat16_stays_close_and_the_picture_float32(generator):
    z = latents_from_seeds(range(4), 16)
    exact = generator(z, noise_mode="const")
    generator.compute_dtype = torch.bfloat16
    rounded = generator(z, noise_mode="const")
    generator.compute_dtype = torch.float32
    assert rounded.dtype == torch.float32
    mse = (rounded - exact).square().mean()
    psnr = 10 * torch.log10((exact.max() - exact.min()) ** 2 / mse)
    assert psnr > 35


def test_gradients_are_computed_in_float32_unless_asked(generator):
    automatic = Generator(**SIZE)
    seen = []
    automatic.synthesis.b32.conv1.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    automatic(torch.randn(1, 16))
    assert seen == [torch.float32]


@torch.no_grad()
def test_labels_change_the_picture():
    generator = Generator(**SIZE, c_dim=3).eval()
    z, c = torch.randn(1, 16).repeat(3, 1), torch.eye(3)
    images = generator(z, c, noise_mode="const")
    assert (images[0] - images[1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        generator(z)


def test_wrong_shapes_are_named(generator):
    with pytest.raises(ValueError, match=r"\[N, 16\]"):
        generator.mapping(torch.randn(2, 5))
    with pytest.raises(ValueError, match=r"\[N, 8, 24\]"):
        generator.synthesis(torch.randn(2, 3, 24))


def test_all_faults_of_a_size_at_once():
    with pytest.raises(ConfigError) as caught:
        Generator(resolution=48, z_dim=0, w_dim=-1)
    assert all(word in str(caught.value) for word in ("power of two", "48", "z_dim", "w_dim"))


@torch.no_grad()
@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_synthesis_can_be_cut_after_any_block(resolution):
    torch.manual_seed(0)
    generator = Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64, num_mapping_layers=2).eval()
    generator.compute_dtype = torch.float32
    synthesis = generator.synthesis
    w_plus = torch.randn(2, generator.num_ws, 8)
    state = synthesis.features(w_plus, resolution)
    kept = state.x.clone(), state.rgb.clone()
    later = w_plus.clone()
    later[:, : synthesis.first_row(resolution)] = 0  # rows of earlier blocks are not read any more
    torch.testing.assert_close(synthesis.finish(state, later, resolution), synthesis(w_plus, noise_mode="const"))
    assert torch.equal(state.x, kept[0]) and torch.equal(state.rgb, kept[1]), "the state is left as it was"


@torch.no_grad()
def test_features_of_any_size_become_a_picture_of_that_size():
    generator = Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64, use_noise=False).eval()
    state = SynthesisState(torch.randn(1, 8, 5, 7), torch.zeros(1, 3, 5, 7))
    w_plus = torch.randn(1, generator.num_ws, 8)
    assert generator.synthesis.finish(state, w_plus, 8).shape == (1, 3, 10, 14)
    with pytest.raises(ValueError, match="resolution must be one of"):
        generator.synthesis.finish(state, w_plus, 6)
