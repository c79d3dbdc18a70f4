"""From a face to the generator's two-part code: w_plus, and a feature map from which synthesis goes on.

A code alone keeps the look and loses the person; a feature map keeps the person but cannot be steered. With both
(StyleFeatureEditor, Bobkov et al. 2024; pSp, Richardson et al. 2021 for the code) a face is redrawn faithfully, shapes
are moved by what a change of the code does to the features (`latents.editing`), and looks come in behind the features.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.generator import Generator
from gan_space.models.pretrained import PretrainedModel
from gan_space.models.synthesis import SynthesisState
from gan_space.nn.layers import LRELU_SLOPE
from gan_space.nn.precision import choose_compute_dtype
from gan_space.settings import least_faults

LAST_RESOLUTION = 4  # where the code path is flattened: where something is matters more than what it is
RESIDUAL_INIT = 0.2  # second convolutions start small, so that a network without normalisation starts calm
STATISTICS_SAMPLES = 4096  # codes behind w_avg's companion w_std
STATISTICS_DRAWN = 256  # of these, drawn up to the features


class EncoderOutput(NamedTuple):
    """The two parts of a face's code."""

    w_plus: Tensor  # [N, num_ws, w_dim] float32
    state: SynthesisState  # after block r: x [N, C, r, r] in the compute dtype, rgb [N, 3, r, r] float32


class EncoderConv(nn.Conv2d):
    """Convolution that runs in the format of its input, whatever the weights are stored in."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, gain: float = 1.0):
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2)
        nn.init.kaiming_normal_(self.weight, a=LRELU_SLOPE)
        nn.init.zeros_(self.bias)
        with torch.no_grad():
            self.weight.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.conv2d(x, weight, bias, stride=self.stride, padding=self.padding)


class ActivatedConv(EncoderConv):
    """The same with a leaky ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(super().forward(x), LRELU_SLOPE)


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity: [N, C, H, W] -> [N, C, H, W].

    No normalisation: the statistics of a whole photo are not those of a crop, and a batch may be one picture.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv0 = ActivatedConv(channels, channels)
        self.conv1 = EncoderConv(channels, channels, gain=RESIDUAL_INIT)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(x + self.conv1(self.conv0(x)), LRELU_SLOPE)


class Encoder(PretrainedModel):
    """Encode aligned faces, [N, 3, R, R] float in [-1, 1] -> `EncoderOutput`; or whole photos with `features`.

    The way to the features is convolutional throughout and sees about a third of a face to each side of a pixel at
    the default size; the code is read off further down. `generator.synthesis.finish(out.state, out.w_plus, r)` draws
    the face again. 1.4 million parameters and 0.46 billion multiplications a face at the default size.

    Args:
        resolution: R of the generator.
        feature_resolution: r, the block of the generator behind which the features stand; below `resolution`.
        num_ws: rows of w_plus of the generator.
        w_dim: length of a row.
        feature_channels: C, feature maps of the generator after block r.
        width: channels at R / 2; twice as many at r, three times as many below.
        num_blocks: residual blocks at r.
        hidden: width of the dense layer before the code.

    Raises:
        ConfigError: sizes that cannot be built; all faults at once.

    Example:
        >>> encoder = Encoder(32, 16, num_ws=8, w_dim=8, feature_channels=8, width=4, hidden=8).eval()
        >>> w_plus, state = encoder(torch.zeros(1, 3, 32, 32))
        >>> w_plus.shape, state.x.shape, encoder.features(torch.zeros(1, 3, 64, 96)).rgb.shape
        (torch.Size([1, 8, 8]), torch.Size([1, 8, 16, 16]), torch.Size([1, 3, 32, 48]))
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 128,
        feature_resolution: int = 32,
        num_ws: int = 12,
        w_dim: int = 128,
        feature_channels: int = 64,
        width: int = 32,
        num_blocks: int = 3,
        hidden: int = 192,
    ):
        super().__init__()
        _check_sizes(resolution, feature_resolution)
        sizes = {"num_ws": num_ws, "w_dim": w_dim, "feature_channels": feature_channels}
        sizes |= {"width": width, "num_blocks": num_blocks, "hidden": hidden}
        raise_all(least_faults(1, sizes), ConfigError)
        self.compute_dtype: torch.dtype | None = None  # as in Generator: None is bfloat16 at inference where native

        size, channels = resolution // 2, width if resolution // 2 > feature_resolution else 2 * width
        layers: list[nn.Module] = [ActivatedConv(4 * 3, channels)]
        while size > feature_resolution:
            layers += [ResidualBlock(channels), ActivatedConv(channels, 2 * width, stride=2)]
            size, channels = size // 2, 2 * width
        self.stem = nn.Sequential(*layers)
        # Straight from the pixels to the features: fine detail need not squeeze through the layers before.
        self.pixels = EncoderConv(3 * (resolution // feature_resolution) ** 2, channels, 1, gain=RESIDUAL_INIT)
        self.blocks = nn.Sequential(*[ResidualBlock(channels) for _ in range(num_blocks)])
        self.state_head = EncoderConv(channels, feature_channels + 3, gain=RESIDUAL_INIT)

        layers = []
        while size > LAST_RESOLUTION:
            layers.append(ActivatedConv(channels, 3 * width, stride=2))
            size, channels = size // 2, 3 * width
            if size > LAST_RESOLUTION:
                layers.append(ResidualBlock(channels))
        self.descent = nn.Sequential(*layers)
        self.dense = nn.Linear(channels * LAST_RESOLUTION**2, hidden)
        self.code_head = nn.Linear(hidden, num_ws * w_dim)
        nn.init.normal_(self.code_head.weight, std=0.01)  # starts at the average face
        nn.init.zeros_(self.code_head.bias)

        # The generator's own scale; the heads predict in units of it. Filled by `for_generator`.
        self.register_buffer("w_avg", torch.zeros(w_dim))
        self.register_buffer("w_std", torch.ones(w_dim))
        self.register_buffer("feature_mean", torch.zeros(feature_channels))
        self.register_buffer("feature_std", torch.ones(feature_channels))

    @classmethod
    def for_generator(
        cls, generator: Generator, feature_resolution: int = 32, *, width: int = 32, num_blocks: int = 3,
        hidden: int = 192, seed: int = 0,
    ) -> Encoder:  # fmt: skip
        """Build an untrained encoder that fits a generator in size and scale.

        Args:
            generator: without labels; not changed.
            feature_resolution: r; the generator has a block of that size, and at least one after it.
            width, num_blocks, hidden: see the class.
            seed: of the samples behind the scale; the weights come from torch's own random state.

        Raises:
            ConfigError: no such block, or a generator with labels or other than 3 colours.
        """
        config, synthesis = generator.config, generator.synthesis
        faults = []
        if config.c_dim:
            faults.append(f"the encoder fits generators without labels, this one has c_dim {config.c_dim}")
        if config.img_channels != 3:
            faults.append(f"the encoder fits generators of 3 colours, this one has {config.img_channels}")
        if feature_resolution not in synthesis.block_resolutions[:-1]:
            faults.append(f"feature_resolution must be one of {synthesis.block_resolutions[:-1]}, "
                          f"got {feature_resolution}")  # fmt: skip
        raise_all(faults, ConfigError)
        device = next(generator.parameters()).device
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            z = torch.randn(STATISTICS_SAMPLES, config.z_dim, generator=random).to(device)
            codes = generator.mapping(z)  # [4096, num_ws, w_dim]
            drawn = [
                synthesis.features(part, feature_resolution).x.float() for part in codes[:STATISTICS_DRAWN].split(32)
            ]
            features = torch.cat(drawn).transpose(0, 1).flatten(1)  # [C, 256 r r]
            encoder = cls(
                config.resolution, feature_resolution, generator.num_ws, config.w_dim, len(features),
                width=width, num_blocks=num_blocks, hidden=hidden,
            ).to(device)  # fmt: skip
            encoder.w_avg.copy_(generator.mapping.w_avg)
            # A network may leave a dimension or a channel idle: keep every unit well away from zero.
            for unit, values in ((encoder.w_std, codes[:, 0].T), (encoder.feature_std, features)):
                std = values.std(dim=1)
                unit.copy_(std.clamp(min=1e-3 * std.max().item() + 1e-8))
            encoder.feature_mean.copy_(features.mean(dim=1))
        return encoder

    @property
    def resolution(self) -> int:
        """R, width and height of a face in px."""
        return self.config.resolution

    @property
    def feature_resolution(self) -> int:
        """r, the generator's block behind which the features stand."""
        return self.config.feature_resolution

    def forward(self, images: Tensor) -> EncoderOutput:
        """Encode aligned faces.

        Args:
            images: [N, 3, R, R] in [-1, 1].

        Raises:
            InputError: another shape.
        """
        if images.ndim != 4 or images.shape[1:] != (3, self.resolution, self.resolution):
            raise InputError(
                f"the encoder takes faces [N, 3, {self.resolution}, {self.resolution}], got {list(images.shape)}: "
                "align and crop first, or use encoder.features for a whole photo"
            )
        x = self._trunk(images)
        return EncoderOutput(self._code(x), self._state(x, images))

    def features(self, images: Tensor) -> SynthesisState:
        """Return features alone, of faces or of whole photos at the faces' scale.

        Args:
            images: [N, 3, H, W] in [-1, 1]; H and W multiples of R / r.

        Returns:
            State after block r of the generator: x [N, C, H r / R, W r / R], rgb with 3 channels.

        Raises:
            InputError: another shape.
        """
        step = self.resolution // self.feature_resolution
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % step or images.shape[3] % step:
            raise InputError(
                f"expected photos [N, 3, H, W] with H and W multiples of {step}, got {list(images.shape)}: pad first"
            )
        return self._state(self._trunk(images), images)

    def _trunk(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 2 width, H r / R, W r / R]."""
        dtype = choose_compute_dtype(self.compute_dtype, images.device)
        images = images.to(dtype)
        halves = F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)
        x = self.stem(halves)
        blocks_of_pixels = F.pixel_unshuffle(images, self.resolution // self.feature_resolution)
        x = x + self.pixels(blocks_of_pixels.contiguous(memory_format=torch.channels_last))
        return self.blocks(x)

    def _state(self, x: Tensor, images: Tensor) -> SynthesisState:
        head = self.state_head(x)
        features, rgb = head.split([self.config.feature_channels, 3], dim=1)
        mean, std = (part.to(x.dtype)[:, None, None] for part in (self.feature_mean, self.feature_std))
        # The picture so far is nearly the face made small; only the difference has to be learned.
        small = F.avg_pool2d(images.float(), self.resolution // self.feature_resolution)
        return SynthesisState(torch.addcmul(mean, features, std), small + rgb.float())

    def _code(self, x: Tensor) -> Tensor:
        x = self.descent(x).flatten(1).float()  # order [N, C, H, W] in any memory format
        x = F.leaky_relu_(self.dense(x), LRELU_SLOPE)
        offsets = self.code_head(x).unflatten(1, (self.config.num_ws, self.config.w_dim))
        return self.w_avg + self.w_std * offsets


def _check_sizes(resolution: int, feature_resolution: int) -> None:
    faults = []
    if resolution not in [2**octave for octave in range(4, 11)]:
        faults.append(f"resolution must be a power of two from 16 to 1024, got {resolution}")
    powers = [2**octave for octave in range(2, max(int(math.log2(max(resolution, 1))), 2))]
    if feature_resolution not in powers:
        faults.append(
            f"feature_resolution must be a power of two from 4 to half the resolution, got {feature_resolution}"
        )
    raise_all(faults, ConfigError)
