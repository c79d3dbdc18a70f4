"""StyleGAN2 synthesis network with skip connections (Karras et al. 2020), in the static form of `nn.modulated`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_space.models.architecture import block_resolutions, channels_at
from gan_space.nn.fir import make_filter, upsample2d
from gan_space.nn.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected
from gan_space.nn.modulated import (
    PreparedWeight,
    add_noise_,
    demodulation,
    has_more_pixels_than_weights,
    modulated_conv2d,
    scale_and_add_,
    scaled_conv2d,
)
from gan_space.nn.precision import choose_compute_dtype, is_plain_inference
from gan_space.nn.winograd import winograd_conv2d, winograd_tile

NOISE_MODES = ("const", "random", "none")


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution (optionally ×2), noise, bias, leaky ReLU: [N, I, H, W] -> [N, O, H, W] or twice."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        up: bool = False,
        use_noise: bool = True,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.resolution = resolution
        self.up = up
        self.use_noise = use_noise
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        if use_noise:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("resample_filter", make_filter())
        self.exact = False  # see Generator.exact
        self._prepared = PreparedWeight()

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: str = "random", generator: torch.Generator | None = None
    ) -> Tensor:
        styles = self.affine(w)  # [N, I]
        if is_plain_inference(x):
            return self._draw(x, styles, noise_mode, generator)
        weight, squared_weight = self._prepared.get(self.weight, x.dtype, transpose=self.up)
        x = modulated_conv2d(x, weight, styles, up_filter=self.resample_filter if self.up else None)
        # A leaky ReLU commutes with a positive gain, so sqrt(2) is folded into the demodulation, noise and bias.
        scale = (demodulation(styles, squared_weight) * LRELU_GAIN).to(x.dtype)[:, :, None, None]
        shift = (self.bias * LRELU_GAIN)[None, :, None, None].to(x.dtype)
        noise = self._noise(x, noise_mode, generator)
        if torch.is_grad_enabled() and (x.requires_grad or scale.requires_grad):
            x = torch.addcmul(shift, x, scale)
            x = x if noise is None else x + noise
        else:
            x = x.mul_(scale).add_(shift)
            x = x if noise is None else x.add_(noise)
        x = F.leaky_relu_(x, LRELU_SLOPE)
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)

    def _draw(self, x: Tensor, styles: Tensor, noise_mode: str, generator: torch.Generator | None) -> Tensor:
        """`forward` for inference on a CPU, in the form that is fastest for this size."""
        bias = (self.bias * LRELU_GAIN).to(x.dtype)
        m = None if self.up or self.exact else winograd_tile(x, self.weight)
        if m is not None:
            matrices, squared_weight = self._prepared.get_winograd(self.weight, x.dtype, m)
            scale = demodulation(styles, squared_weight) * LRELU_GAIN
            noise = self._noise(x, noise_mode, generator)

            def finish(rows: Tensor, pictures: slice, h: slice) -> None:
                scale_and_add_(rows, scale[pictures], bias)
                self._activate_(rows, None if noise is None else noise.expand(len(x), -1, -1, -1)[pictures, :, h])

            return winograd_conv2d(x, matrices, in_scale=styles, finish=finish)
        weight, squared_weight = self._prepared.get(self.weight, x.dtype, transpose=self.up)
        scale = demodulation(styles, squared_weight) * LRELU_GAIN
        up_filter = self.resample_filter if self.up else None
        if has_more_pixels_than_weights(x, self.weight):
            x = scaled_conv2d(x, self.weight, styles, scale, bias=bias, up_filter=up_filter)
        else:
            x = modulated_conv2d(x, weight, styles, up_filter=up_filter)
            scale_and_add_(x, scale, bias)
        self._activate_(x, self._noise(x, noise_mode, generator))
        return x

    def _activate_(self, x: Tensor, noise: Tensor | None) -> None:
        """Noise, leaky ReLU and clamp in place; for inference."""
        if noise is not None:
            add_noise_(x, noise)
        F.leaky_relu_(x, LRELU_SLOPE)
        if self.conv_clamp is not None:
            x.clamp_(-self.conv_clamp, self.conv_clamp)

    def _noise(self, x: Tensor, noise_mode: str, generator: torch.Generator | None) -> Tensor | None:
        """Return [N or 1, 1, H, W], already times the gain of the activation; None for none."""
        if noise_mode == "none" or not self.use_noise:
            return None
        if noise_mode == "const":
            noise = self.noise_const[None, None]
        else:
            source = x.device if generator is None else generator.device
            noise = torch.randn([len(x), 1, *x.shape[2:]], generator=generator, device=source).to(x.device)
        return (noise * (self.noise_strength * LRELU_GAIN)).to(x.dtype)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colours, without demodulation: [N, I, H, W] -> [N, img_channels, H, W] float32."""

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None):
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain  # [N, I]
        N, I, H, W = x.shape
        # Scaling the tiny 1x1 weight per picture is cheaper than scaling the large x, so here the paper's form wins.
        weight = (self.weight.flatten(1)[None] * styles[:, None]).to(x.dtype)  # [N, 3, I]
        pixels = x.permute(0, 2, 3, 1).reshape(N, H * W, I)  # no copy in channels_last
        rgb = torch.bmm(pixels, weight.transpose(1, 2)).float() + self.bias  # [N, H*W, 3]
        rgb = rgb.reshape(N, H, W, len(self.weight)).permute(0, 3, 1, 2)
        return rgb if self.conv_clamp is None else rgb.clamp(-self.conv_clamp, self.conv_clamp)


class SynthesisBlock(nn.Module):
    """One octave: conv0 (×2, absent at 4 px), conv1, to_rgb added to the upsampled picture so far."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        img_channels: int,
        use_noise: bool = True,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.is_first = in_channels == 0
        layer = {"w_dim": w_dim, "resolution": resolution, "use_noise": use_noise, "conv_clamp": conv_clamp}
        if self.is_first:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, up=True, **layer)
        self.conv1 = SynthesisLayer(out_channels, out_channels, **layer)
        self.torgb = ToRGB(out_channels, img_channels, w_dim=w_dim, conv_clamp=conv_clamp)
        self.register_buffer("resample_filter", make_filter())
        self.num_conv = 1 if self.is_first else 2

    def forward(
        self,
        x: Tensor | None,
        rgb: Tensor | None,
        ws: Tensor,
        *,
        dtype: torch.dtype,
        noise_mode: str,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Run the block; `ws` is [N, num_conv + 1, w_dim]: one row a convolution and one for to_rgb."""
        rows = iter(ws.unbind(dim=1))
        if self.is_first:
            x = self.const.to(dtype)[None].expand(ws.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        else:
            x = self.conv0(x, next(rows), noise_mode, generator)
        x = self.conv1(x, next(rows), noise_mode, generator)
        y = self.torgb(x, next(rows))
        return x, y if rgb is None else upsample2d(rgb, self.resample_filter) + y


class SynthesisState(NamedTuple):
    """Where synthesis stands after one block, see `SynthesisNetwork.features`."""

    x: Tensor  # [N, C, h, w] in the compute dtype
    rgb: Tensor  # [N, img_channels, h, w] float32


class SynthesisNetwork(nn.Module):
    """w_plus [N, num_ws, w_dim] -> images [N, img_channels, R, R], float32, about [-1, 1]."""

    def __init__(
        self,
        *,
        w_dim: int,
        resolution: int,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        use_noise: bool = True,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.w_dim = w_dim
        self.resolution = resolution
        self.block_resolutions = block_resolutions(resolution)
        self.compute_dtype: torch.dtype | None = None  # see Generator.compute_dtype
        in_channels = 0
        for size in self.block_resolutions:
            out_channels = channels_at(size, channel_base, channel_max)
            block = SynthesisBlock(
                in_channels,
                out_channels,
                w_dim=w_dim,
                resolution=size,
                img_channels=img_channels,
                use_noise=use_noise,
                conv_clamp=conv_clamp,
            )
            setattr(self, f"b{size}", block)
            in_channels = out_channels
        # The last convolution of a block and its to_rgb share a row with the next block's first convolution.
        self.num_ws = sum(self.block(size).num_conv for size in self.block_resolutions) + 1

    @property
    def exact(self) -> bool:
        """See `Generator.exact`."""
        return all(layer.exact for layer in self._layers())

    @exact.setter
    def exact(self, exact: bool) -> None:
        for layer in self._layers():
            layer.exact = exact

    def _layers(self) -> list[SynthesisLayer]:
        return [layer for layer in self.modules() if isinstance(layer, SynthesisLayer)]

    def block(self, resolution: int) -> SynthesisBlock:
        """Return the block that works at `resolution`."""
        return getattr(self, f"b{resolution}")

    def forward(self, w_plus: Tensor, noise_mode: str = "random", generator: torch.Generator | None = None) -> Tensor:
        """Draw pictures.

        Args:
            w_plus: [N, num_ws, w_dim].
            noise_mode: "const" (same grain every time), "random", or "none".
            generator: where random noise is drawn from; None: torch's own of the device. One on the CPU gives the
                same noise on every device.

        Raises:
            ValueError: wrong shape or noise mode.
        """
        _, rgb = self._run(None, None, w_plus, self.block_resolutions, noise_mode, generator)
        return rgb

    def features(self, w_plus: Tensor, resolution: int, noise_mode: str = "const") -> SynthesisState:
        """Draw only up to the block of `resolution`; `finish` goes on from there.

        Args:
            w_plus: [N, num_ws, w_dim].
            resolution: one of `block_resolutions`.
            noise_mode: see `forward`.
        """
        blocks = self.block_resolutions[: self._index(resolution) + 1]
        return SynthesisState(*self._run(None, None, w_plus, blocks, noise_mode, None))

    def finish(self, state: SynthesisState, w_plus: Tensor, resolution: int, noise_mode: str = "const") -> Tensor:
        """Go on from a feature map after the block of `resolution` to the picture.

        All layers from here on are convolutions, so the map may have any height and width: h x w features become a
        picture of h * R / resolution by w * R / resolution, if the network has no noise inputs or `noise_mode` is not
        "const".

        Args:
            state: features and picture so far, from `features` or an encoder; not changed.
            w_plus: [N, num_ws, w_dim]; only the rows of the later blocks are read.
            resolution: of the block that the state stands after.
            noise_mode: see `forward`.
        """
        blocks = self.block_resolutions[self._index(resolution) + 1 :]
        return self._run(state.x, state.rgb.float(), w_plus, blocks, noise_mode, None)[1]

    def first_row(self, resolution: int) -> int:
        """Return the row of w_plus that the first convolution of the block of `resolution` reads."""
        return sum(self.block(size).num_conv for size in self.block_resolutions[: self._index(resolution)])

    def _index(self, resolution: int) -> int:
        if resolution not in self.block_resolutions:
            raise ValueError(f"resolution must be one of {self.block_resolutions}, got {resolution}")
        return self.block_resolutions.index(resolution)

    def _run(
        self,
        x: Tensor | None,
        rgb: Tensor | None,
        w_plus: Tensor,
        resolutions: list[int],
        noise_mode: str,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        if w_plus.ndim != 3 or w_plus.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"expected w_plus of shape [N, {self.num_ws}, {self.w_dim}], got {list(w_plus.shape)}")
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode must be one of {NOISE_MODES}, got {noise_mode!r}")
        dtype = choose_compute_dtype(self.compute_dtype, w_plus.device)
        if x is not None:
            x = x.to(dtype, memory_format=torch.channels_last)
        w_plus = w_plus.float()
        row = self.first_row(resolutions[0]) if resolutions else 0
        for size in resolutions:
            block = self.block(size)
            rows = w_plus[:, row : row + block.num_conv + 1]
            x, rgb = block(x, rgb, rows, dtype=dtype, noise_mode=noise_mode, generator=generator)
            row += block.num_conv
        return x, rgb
