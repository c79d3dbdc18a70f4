"""The encoder: what it takes and gives, that photos and crops agree, and that it fits its generator."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator


def tiny_generator(**changes) -> Generator:
    torch.manual_seed(0)
    size = dict(resolution=32, z_dim=8, w_dim=8, channel_base=128, channel_max=16, num_mapping_layers=2)
    return Generator(**(size | {"use_noise": False} | changes)).eval()


def tiny(feature_resolution: int = 8) -> Encoder:
    encoder = Encoder.for_generator(tiny_generator(), feature_resolution, width=4, num_blocks=1, hidden=8).eval()
    encoder.compute_dtype = torch.float32
    return encoder


def pictures(num: int = 3, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("feature_resolution", [4, 8, 16])
@torch.no_grad()
def test_the_generator_can_draw_what_the_encoder_says(feature_resolution):
    generator, encoder = tiny_generator(), tiny(feature_resolution)
    output = encoder(pictures())
    true_state = generator.synthesis.features(generator.mapping(torch.randn(3, 8)), feature_resolution)
    assert [part.shape for part in output.state] == [part.shape for part in true_state]
    assert output.w_plus.shape == (3, generator.num_ws, 8)
    assert (output.w_plus.dtype, output.state.rgb.dtype) == (torch.float32, torch.float32)
    drawn = generator.synthesis.finish(output.state, output.w_plus, feature_resolution)
    assert drawn.shape == (3, 3, 32, 32)


@torch.no_grad()
def test_it_starts_near_the_average_face_on_the_generators_own_scale():
    generator, encoder = tiny_generator(), tiny()
    generator.mapping.w_avg.copy_(torch.arange(8) * 0.1)
    encoder = Encoder.for_generator(generator, 8, width=4)
    torch.testing.assert_close(encoder.w_avg, torch.arange(8) * 0.1)
    w = generator.mapping(torch.randn(5000, 8))
    torch.testing.assert_close(encoder.w_std, w[:, 0].std(dim=0), rtol=0.1, atol=0.01)
    x = generator.synthesis.features(w[:2000], 8).x.float().transpose(0, 1).flatten(1)
    torch.testing.assert_close(encoder.feature_std, x.std(dim=1), rtol=0.25, atol=0.02)
    torch.testing.assert_close(encoder.feature_mean, x.mean(dim=1), rtol=0, atol=0.2 * x.std().item())
    off = (encoder(pictures()).w_plus - encoder.w_avg) / encoder.w_std
    assert off.abs().mean() < 0.2


@torch.no_grad()
def test_a_photo_gives_the_features_of_the_crop_inside_it():
    """At a place in the crop that no border reaches, photo and crop must say the same, wherever the crop was."""
    encoder = tiny(16)
    photo = pictures(1, 96, 128)
    in_photo = encoder.features(photo)
    assert (in_photo.x.shape, in_photo.rgb.shape) == ((1, 8, 48, 64), (1, 3, 48, 64))
    top, left = 34, 50  # multiples of R / r = 2
    in_crop = encoder(photo[..., top : top + 32, left : left + 32]).state
    for whole, crop in zip(in_photo, in_crop, strict=True):
        inside = whole[..., top // 2 + 6 : top // 2 + 10, left // 2 + 6 : left // 2 + 10]
        torch.testing.assert_close(crop[..., 6:10, 6:10], inside, atol=1e-5, rtol=1e-4)
    for whole, face in zip(encoder.features(photo[..., :32, :32]), encoder(photo[..., :32, :32]).state, strict=True):
        assert torch.equal(whole, face)


def test_every_parameter_learns():
    encoder = tiny().train()
    output = encoder(pictures(4))
    (output.w_plus.square().sum() + output.state.x.square().sum() + output.state.rgb.square().sum()).backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@torch.no_grad()
def test_bfloat16_says_nearly_the_same():
    encoder, x = tiny(), pictures()
    exact = encoder(x)
    encoder.compute_dtype = torch.bfloat16
    rough = encoder(x)
    assert rough.state.x.dtype == torch.bfloat16
    spread = encoder.feature_std[:, None, None]
    assert ((rough.state.x.float() - exact.state.x) / spread).abs().mean() < 0.05
    assert (rough.w_plus - exact.w_plus).abs().max() < 0.05 * encoder.w_std.max()


def test_saved_and_loaded_it_is_the_same_and_a_missing_tensor_is_named(tmp_path):
    encoder = tiny()
    encoder.save_pretrained(tmp_path)
    again = Encoder.from_pretrained(tmp_path).eval()
    assert dict(again.config)["feature_resolution"] == 8
    state, loaded = encoder.state_dict(), again.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(state[name], loaded[name]) for name in state)
    file = next(tmp_path.glob("*.safetensors"))
    tensors = load_file(file)
    del tensors["feature_std"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="feature_std"):
        Encoder.from_pretrained(tmp_path)


def test_the_default_is_small_enough_to_ship():
    count = sum(parameter.numel() for parameter in Encoder().parameters())
    assert 1_000_000 <= count <= 1_500_000


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (3, 32, 32), (1, 1, 32, 32)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"\[N, 3, 32, 32\]"):
        tiny()(torch.zeros(shape))


def test_a_photo_of_odd_size_is_refused():
    with pytest.raises(InputError, match="multiples of 4"):
        tiny().features(torch.zeros(1, 3, 34, 64))


def test_all_faults_of_a_size_are_named():
    with pytest.raises(ConfigError, match=r"2 problems(.|\n)*resolution(.|\n)*half the resolution"):
        Encoder(resolution=48, feature_resolution=24)
    with pytest.raises(ConfigError, match=r"2 problems(.|\n)*width(.|\n)*hidden"):
        Encoder(32, 8, width=0, hidden=-1)
    with pytest.raises(ConfigError, match=r"c_dim 2(.|\n)*one of \[4, 8, 16\], got 32"):
        Encoder.for_generator(tiny_generator(c_dim=2), 32)
