"""A small network that doubles a picture: what the generator draws at its own size returns to a large photo.

All of it is computed at half the size of the picture that comes in, and the pixels are shuffled apart at the very end
(sub-pixel convolution, Shi et al. 2016). The network only adds what plain enlarging leaves out (as VDSR does, Kim et
al. 2016), in residual blocks without normalisation (EDSR, Lim et al. 2017).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.encoder import ActivatedConv, EncoderConv, ResidualBlock
from gan_space.models.pretrained import PretrainedModel
from gan_space.nn.precision import choose_compute_dtype

FACTOR = 2  # of one pass
FOLD = 2  # the network runs at the picture's size over this
STRIP_PX = 1 << 18  # pixels of the input in one strip; bounds the memory, whatever the size of the picture


class Upscaler(PretrainedModel):
    """Double pictures: [N, 3, H, W] float in [-1, 1] -> [N, 3, 2 H, 2 W] float32, any H and W; twice makes four times.

    Before training it is `enlarge_plain` to the bit. Convolutional throughout, so a face, and a whole photo at the
    face's scale, go through the same weights. 0.11 million parameters and 27 thousand multiplications for a pixel of
    the input at the default size. Values may leave [-1, 1] a little, as with any sharp filter: clamp before showing.

    Args:
        width: channels of all layers.
        num_blocks: residual blocks, two convolutions each; a pixel sees 4 pixels further for each convolution.

    Raises:
        ConfigError: sizes that cannot be built; all faults at once.

    Example:
        >>> Upscaler(width=4, num_blocks=1).eval()(torch.zeros(1, 3, 24, 31)).shape
        torch.Size([1, 3, 48, 62])
    """

    @register_to_config
    def __init__(self, width: int = 32, num_blocks: int = 5):
        super().__init__()
        sizes = {"width": width, "num_blocks": num_blocks}
        raise_all([f"{name} must be 1 or more, got {value}" for name, value in sizes.items() if value < 1], ConfigError)
        self.compute_dtype: torch.dtype | None = None  # as in Generator: None is bfloat16 at inference where native
        self.stem = ActivatedConv(3 * FOLD**2, width)
        self.blocks = nn.Sequential(*[ResidualBlock(width) for _ in range(num_blocks)])
        self.head = EncoderConv(width, 3 * (FOLD * FACTOR) ** 2)
        nn.init.zeros_(self.head.weight)  # starts as the plain enlargement

    @property
    def factor(self) -> int:
        """How many times wider and higher the picture becomes in one pass."""
        return FACTOR

    @property
    def reach(self) -> int:
        """How far a pixel of the input is felt, in px of the input; a multiple of the fold."""
        return FOLD * (2 * self.config.num_blocks + 2)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 1:
            raise InputError(f"the upscaler takes pictures [N, 3, H, W], got {list(images.shape)}")
        images = images.float()
        return enlarge_plain(images) + self._missing(images)

    def enlarge(self, images: Tensor) -> Tensor:
        """The same as calling it, for pictures of any size without gradients: in strips, so that memory stays small.

        Args:
            images: [N, 3, H, W] in [-1, 1].

        Returns:
            [N, 3, 2 H, 2 W] float32 on the device of `images`.
        """
        height, width = images.shape[2:]
        rows = max(FOLD, STRIP_PX // max(1, len(images) * width) // FOLD * FOLD)
        if height <= rows:
            return self(images)
        parts = []
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            # Strips start at even rows, so that pixels are folded in the same pairs as in the whole picture.
            first, last = max(0, top - self.reach), min(height, bottom + self.reach)
            strip = self(images[:, :, first:last])
            parts.append(strip[:, :, FACTOR * (top - first) : FACTOR * (bottom - first)])
        return torch.cat(parts, dim=2)

    def _missing(self, images: Tensor) -> Tensor:
        """What the plain enlargement leaves out, [N, 3, 2 H, 2 W] float32."""
        height, width = images.shape[2:]
        odd = (0, width % FOLD, 0, height % FOLD)
        padded = F.pad(images, odd, mode="replicate") if any(odd) else images
        dtype = choose_compute_dtype(self.compute_dtype, images.device)
        x = F.pixel_unshuffle(padded, FOLD).to(dtype).contiguous(memory_format=torch.channels_last)
        x = self.head(self.blocks(self.stem(x)))  # [N, 48, H/2, W/2]
        return F.pixel_shuffle(x.float(), FOLD * FACTOR)[:, :, : FACTOR * height, : FACTOR * width]


def enlarge_plain(images: Tensor, factor: int = FACTOR) -> Tensor:
    """Bicubic enlargement (Keys 1981, a = -0.5, as Pillow has it): [N, C, H, W] -> [N, C, factor H, factor W]."""
    size = [factor * side for side in images.shape[2:]]
    # With `antialias`, torch takes Pillow's cubic instead of one with a = -0.75, which rings more.
    return F.interpolate(images, size=size, mode="bicubic", antialias=True, align_corners=False)
