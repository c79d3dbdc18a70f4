"""StyleGAN2 residual discriminator with minibatch standard deviation and label projection."""

from __future__ import annotations

import math

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.models.architecture import block_resolutions, channels_at, check_architecture
from gan_space.models.mapping import MappingNetwork
from gan_space.models.pretrained import PretrainedModel
from gan_space.nn.layers import Conv2d, FullyConnected, MinibatchStd

RESIDUAL_GAIN = math.sqrt(0.5)  # keeps the variance when two unit-variance branches are added
AMX_FAULT = 3 * 2**19


class DiscriminatorBlock(nn.Module):
    """Residual block that halves the picture: [N, I, H, W] -> [N, O, H/2, W/2]."""

    def __init__(
        self, in_channels: int, mid_channels: int, out_channels: int, *, img_channels: int, conv_clamp: float | None
    ):
        super().__init__()
        if in_channels == 0:
            self.fromrgb = Conv2d(img_channels, mid_channels, 1, conv_clamp=conv_clamp)
        self.is_first = in_channels == 0
        self.conv0 = Conv2d(mid_channels, mid_channels, 3, conv_clamp=conv_clamp)
        self.conv1 = Conv2d(mid_channels, out_channels, 3, down=2, conv_clamp=conv_clamp)
        self.skip = Conv2d(mid_channels, out_channels, 1, bias=False, activate=False, down=2)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_first:
            x = self._from_rgb(x)
        y = self.skip(x, gain=RESIDUAL_GAIN)
        return y + self.conv1(self.conv0(x), gain=RESIDUAL_GAIN)

    def _from_rgb(self, x: Tensor) -> Tensor:
        """Run the first convolution, in two halves where one would end the process.

        Its second derivative is one product over the pixels of all pictures. oneDNN (in torch 2.13) plans that product
        in bfloat16 for AMX, and on one thread divides by zero if it reads 3 * 2 ** 19 numbers: 32 pictures of 128 px.
        """
        if x.numel() == AMX_FAULT and x.dtype == torch.bfloat16 and x.device.type == "cpu":
            return torch.cat([self.fromrgb(half) for half in x.tensor_split(2)])
        return self.fromrgb(x)


class DiscriminatorEpilogue(nn.Module):
    """[N, C, 4, 4] -> logits [N, 1], or with labels the projection onto their embedding (Miyato & Koyama 2018)."""

    def __init__(self, channels: int, *, cmap_dim: int, mbstd_group_size: int, conv_clamp: float | None):
        super().__init__()
        self.cmap_dim = cmap_dim
        self.mbstd = MinibatchStd(mbstd_group_size)
        self.conv = Conv2d(channels + self.mbstd.num_channels, channels, 3, conv_clamp=conv_clamp)
        self.fc = FullyConnected(channels * 4 * 4, channels, activate=True)
        self.out = FullyConnected(channels, max(cmap_dim, 1))

    def forward(self, x: Tensor, cmap: Tensor | None) -> Tensor:
        # The statistics and the verdict are taken in the precision of the weights, whatever the convolutions ran in.
        x = self.conv(self.mbstd(x.to(self.out.weight.dtype)))
        # Values are read in the order of [N, C, 4, 4] whatever the memory format.
        x = self.out(self.fc(x.flatten(1)))
        if cmap is None:
            return x
        return (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)


class Discriminator(PretrainedModel):
    """Judges pictures: [N, img_channels, R, R] float in [-1, 1] -> logits [N, 1] float32, high for real.

    Args:
        resolution, c_dim, channel_base, channel_max, img_channels, conv_clamp: as in `Generator`.
        mbstd_group_size: pictures that are compared with each other; N must be a multiple of it, or smaller.
        num_mapping_layers: depth of the label embedding of a conditional network.

    Raises:
        ConfigError: a size that cannot be built; all faults at once.
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 256,
        c_dim: int = 0,
        channel_base: int = 32768,
        channel_max: int = 512,
        img_channels: int = 3,
        mbstd_group_size: int = 4,
        num_mapping_layers: int = 8,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        check_architecture(resolution, channel_base, channel_max, img_channels=img_channels)
        self.compute_dtype: torch.dtype = torch.float32
        self.block_resolutions = block_resolutions(resolution)[:0:-1]  # [resolution, …, 8]
        in_channels = 0
        for size in self.block_resolutions:
            mid_channels = channels_at(size, channel_base, channel_max)
            out_channels = channels_at(size // 2, channel_base, channel_max)
            block = DiscriminatorBlock(
                in_channels, mid_channels, out_channels, img_channels=img_channels, conv_clamp=conv_clamp
            )
            setattr(self, f"b{size}", block)
            in_channels = out_channels
        cmap_dim = in_channels if c_dim > 0 else 0
        if c_dim > 0:
            self.mapping = MappingNetwork(
                z_dim=0, c_dim=c_dim, w_dim=cmap_dim, num_ws=None, num_layers=num_mapping_layers
            )
        self.b4 = DiscriminatorEpilogue(
            in_channels, cmap_dim=cmap_dim, mbstd_group_size=mbstd_group_size, conv_clamp=conv_clamp
        )

    def features(self, images: Tensor, num_maps: int | None = None) -> list[Tensor]:
        """Return the feature maps after every block, from [N, C, R/2, R/2] down to [N, C, 4, 4], in the compute dtype.

        Args:
            images: [N, img_channels, R, R] in [-1, 1].
            num_maps: only so many, the finest; the blocks after them do not run. None: all.
        """
        x = images.to(self.compute_dtype, memory_format=torch.channels_last)
        maps = []
        for size in self.block_resolutions[:num_maps]:
            x = getattr(self, f"b{size}")(x)
            maps.append(x)
        return maps

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        cmap = self.mapping(None, c) if self.config.c_dim > 0 else None
        return self.b4(self.features(images)[-1], cmap)
