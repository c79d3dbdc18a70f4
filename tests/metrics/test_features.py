from __future__ import annotations

import hashlib
import sys

import pytest
import torch
from torch import nn

from gan_space import Discriminator
from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.images import from_uint8
from gan_space.metrics.features import (
    analyzer_extractor,
    discriminator_extractor,
    extractor_from_spec,
    inception_extractor,
    pool_mean_std,
    random_conv_extractor,
    weights_sha256,
)
from gan_space.models.analyzer import Analyzer


def random_images(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(resolution=16, channel_base=64, channel_max=8)


class ToyInception(nn.Module):
    """Has the interface of the published file: uint8 in, 2048 numbers out."""

    def __init__(self, width: int = 2048):
        super().__init__()
        self.width = width
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert images.dtype == torch.uint8
        if not return_features:
            return torch.zeros(images.shape[0], 1008)
        return images.float().flatten(1).mean(1, keepdim=True).repeat(1, self.width) * self.scale


def save_script(module: nn.Module, path) -> str:
    torch.jit.script(module).save(str(path))
    return str(path)


def test_random_conv_does_not_depend_on_batch_size_call_or_input_type():
    images = random_images(11, 40)
    extractor = random_conv_extractor()
    features = extractor(images, batch_size=11)
    assert features.shape == (11, extractor.feature_dim) and features.dtype == torch.float32
    assert extractor(images, batch_size=11).equal(features)
    for batch_size in (1, 3, 64):
        torch.testing.assert_close(extractor(images, batch_size=batch_size), features, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(extractor(from_uint8(images)), features)
    assert extractor(images[:0]).shape == (0, extractor.feature_dim)


def test_random_conv_has_fixed_weights_and_a_hash_that_follows_them():
    # Pinned: numbers stored under this hash must stay comparable. A change of design must change DESIGN and this line.
    assert random_conv_extractor().sha256 == "16ba969da7a299292023c16030c8ccaa8cc73522dd4dca0530429847ff4dd20d"
    assert random_conv_extractor(seed=1).sha256 != random_conv_extractor().sha256
    assert not any(parameter.requires_grad for parameter in random_conv_extractor().module.parameters())


@pytest.mark.parametrize("side", [16, 32, 50, 64])
def test_random_conv_features_are_finite_and_of_moderate_size_at_any_resolution(side):
    features = random_conv_extractor()(random_images(4, side))
    assert torch.isfinite(features).all()
    assert 0.01 < features.abs().mean() < 10


def test_random_conv_features_see_colour_contrast_and_blur():
    images = from_uint8(random_images(8, 32))
    extractor = random_conv_extractor()
    reference = extractor(images)
    tint = torch.tensor([0.2, 0.0, -0.2])[:, None, None]
    for changed in (images + tint, images * 0.5, nn.functional.avg_pool2d(images, 3, 1, 1)):
        assert (extractor(changed) - reference).norm(dim=1).min() > 0.1


def test_pooling_equals_mean_and_deviation_of_each_map():
    maps = [torch.randn(2, 3, 4, 5), torch.randn(2, 1, 2, 2)]
    expected = torch.cat([part for m in maps for part in (m.mean((2, 3)), m.std((2, 3), correction=0))], dim=1)
    torch.testing.assert_close(pool_mean_std(maps), expected)


def test_hash_depends_on_weights_and_names_only():
    torch.manual_seed(0)
    a, b = nn.Linear(2, 3), nn.Linear(2, 3)
    assert weights_sha256(a) != weights_sha256(b)
    b.load_state_dict(a.state_dict())
    assert weights_sha256(a) == weights_sha256(b)
    assert weights_sha256(a) != weights_sha256(a, design="2")
    assert weights_sha256(nn.Sequential(a)) != weights_sha256(a)
    assert weights_sha256(a.to(torch.bfloat16)) != weights_sha256(b)


def test_discriminator_features_pool_every_block(discriminator, tmp_path):
    images = random_images(5, 16)
    extractor = discriminator_extractor(discriminator)
    features = extractor(images, batch_size=2)
    with torch.no_grad():
        maps = discriminator.features(from_uint8(images))
    torch.testing.assert_close(features, pool_mean_std(maps), rtol=1e-4, atol=1e-5)
    assert features.shape[1] == extractor.feature_dim == 2 * sum(m.shape[1] for m in maps)
    discriminator.save_pretrained(tmp_path / "discriminator")
    loaded = extractor_from_spec(f"discriminator:{tmp_path}")
    assert loaded.sha256 == extractor.sha256 and loaded.metric_name("fd") == "fd_discriminator"
    with pytest.raises(InputError, match="16x16 px, got images of 32x32 px"):
        extractor(random_images(2, 32))


def test_discriminator_can_be_trained_on_after_its_features_were_used(discriminator):
    extractor = discriminator_extractor(discriminator)
    extractor(random_images(2, 16))
    discriminator(from_uint8(random_images(2, 16))).sum().backward()
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_analyzer_features_are_the_vector_before_its_heads(tmp_path):
    torch.manual_seed(0)
    analyzer = Analyzer(resolution=32, width=4, features_dim=16, embedding_dim=8).eval()
    analyzer.save_pretrained(tmp_path / "analyzer")
    extractor = extractor_from_spec(f"analyzer:{tmp_path}")
    images = random_images(5, 40)
    with torch.no_grad():
        expected = analyzer.features(from_uint8(images))
    torch.testing.assert_close(extractor(images, batch_size=2), expected, rtol=1e-4, atol=1e-5)
    assert extractor.feature_dim == 16 and extractor.metric_name("kid") == "kid_analyzer"
    assert extractor.sha256 == analyzer_extractor(analyzer).sha256 != weights_sha256(analyzer)


def test_inception_comes_from_the_users_file_and_alone_may_be_called_fid(tmp_path):
    file = save_script(ToyInception(), tmp_path / "inception.pt")
    extractor = extractor_from_spec(f"inception:{file}")
    images = random_images(3, 20)
    expected = images.float().flatten(1).mean(1, keepdim=True).expand(-1, 2048) * 2
    torch.testing.assert_close(extractor(images, batch_size=2), expected)  # 8 bits survive the way through [-1, 1]
    assert extractor.sha256 == hashlib.sha256((tmp_path / "inception.pt").read_bytes()).hexdigest()
    assert extractor.metric_name("fd") == "fid" and extractor.metric_name("kid") == "kid_inception"
    assert random_conv_extractor().metric_name("fd") == "fd_random_conv"


def test_files_that_are_not_inception_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no Inception file"):
        inception_extractor(tmp_path / "missing.pt")
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(WeightsError, match="not a TorchScript network"):
        inception_extractor(tmp_path / "text.pt")
    with pytest.raises(WeightsError, match=r"\[1, 7\].*FID needs"):
        inception_extractor(save_script(ToyInception(7), tmp_path / "narrow.pt"))


@pytest.mark.parametrize("spec", ["vgg", "random_conv:file", "discriminator", "inception:", ""])
def test_unknown_specs_are_refused(spec):
    with pytest.raises(
        ConfigError,
        match="features must be random_conv, efficientnet, discriminator:FOLDER, analyzer:FOLDER or inception:FILE",
    ):
        extractor_from_spec(spec)


@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8).long()])
def test_what_is_no_image_is_refused(images):
    with pytest.raises(InputError):
        random_conv_extractor()(images)


def test_features_of_imagenet_take_any_size_and_say_what_they_are():
    pytest.importorskip("efficientnet_lite_pytorch")
    extractor = extractor_from_spec("efficientnet")
    small = random_images(3, 48)
    features = extractor(small)
    assert features.shape == (3, extractor.feature_dim) and features.std() > 0.01
    torch.testing.assert_close(extractor(from_uint8(small)), features)
    torch.testing.assert_close(extractor(small, batch_size=1), features, atol=1e-4, rtol=1e-4)
    assert extractor.metric_name("fd") == "fd_efficientnet_lite0"
    again = extractor_from_spec("efficientnet")
    assert again.sha256 == extractor.sha256 and not any(value.requires_grad for value in again.module.parameters())


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ConfigError, match=r"gan-space\[features\]"):
        extractor_from_spec("efficientnet")
