"""Feature maps of frozen networks, to judge pictures by or to compare them in while something else learns."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gan_space.metrics.features import RandomConv, load_efficientnet


class EfficientNetMaps(nn.Module):
    """The last map of EfficientNet-Lite0 at each of `strides`, of [N, 3, H, W] in [-1, 1]. Frozen.

    Args:
        strides: some of 2, 4, 8, 16 and 32, ascending; what comes after the last one does not run.

    Raises:
        ConfigError: the extra `features` is not installed.
    """

    CHANNELS = (24, 40, 112, 320)  # at 4, 8, 16 and 32
    LAST_BLOCKS: ClassVar = {2: 0, 4: 2, 8: 4, 16: 10, 32: 15}  # stride -> the block whose output is its last map

    def __init__(self, strides: tuple[int, ...] = (4, 8, 16, 32)) -> None:
        super().__init__()
        network = load_efficientnet()
        for block in network._blocks:
            for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
                _fold(block, conv, norm)
        _fold(network, "_conv_stem", "_bn0")
        self.last_blocks = [self.LAST_BLOCKS[stride] for stride in strides]
        self.stem, self.activation = network._conv_stem, network._swish
        self.blocks = network._blocks[: self.last_blocks[-1] + 1]
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.activation(self.stem((images * 127.5 + 0.5) / 128))  # its own scale: (bytes - 127) / 128
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.last_blocks:
                maps.append(x)
        return maps


def _fold(owner: nn.Module, conv: str, norm: str) -> None:
    """Put a batch normalisation into the convolution before it: half of the memory traffic."""
    if hasattr(owner, conv):
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())


class RandomConvMaps(nn.Module):
    """The maps of a network that was never trained: what pretraining adds shows against these. Frozen."""

    CHANNELS = RandomConv.CHANNELS[1:]

    def __init__(self) -> None:
        super().__init__()
        self.network = RandomConv()

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.network.maps(images)[1:]


FEATURES = {"efficientnet": EfficientNetMaps, "random_conv": RandomConvMaps}
