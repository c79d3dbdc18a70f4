"""A small network that doubles a drawing beside its photo: colours from the drawing, structure from the photo.

What a generator draws small has blots for eyes and worms for hair, and no filter can know better. The photo does, as in
image analogies (Hertzmann et al. 2001): as the drawing is to what was drawn from, so shall the large drawing be to the
large photo. Each new pixel is a mean of the 3 x 3 pixels of the drawing around it, with weights that a network predicts
from all three pictures (kernel prediction, Bako et al. 2017; joint upsampling, Kopf et al. 2007, with a learned range
kernel), plus what no mean can give, such as lines that are finer than a pixel of the drawing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.encoder import ActivatedConv, EncoderConv, ResidualBlock
from gan_space.models.pretrained import PretrainedModel
from gan_space.nn.layers import LRELU_SLOPE
from gan_space.nn.precision import choose_compute_dtype
from gan_space.settings import least_faults

FACTOR = 2  # of one pass
FOLD = 2  # the deep layers run at the drawing's size over this
TAPS = 3  # side of the neighbourhood that a new pixel is mixed from
STRIP_PX = 1 << 17  # pixels of the drawing in one strip; bounds the memory, whatever the size of the picture
INPUTS = 3 + 3 + 3 * FACTOR**2  # the drawing, what was drawn from, and what the photo has more than that
FAR = -6.0  # logit of a pixel that plain bilinear enlargement does not use


class GuidedUpscaler(PretrainedModel):
    """Double drawings: [N, 3, H, W] and the photo [N, 3, 2 H, 2 W] in [-1, 1] -> [N, 3, 2 H, 2 W] float32.

    What was drawn from may be given as a third picture [N, 3, H, W], such as the generator's own redrawing of the photo
    without any look: then what that lost is not taken for a part of the look. Otherwise it is the photo made smaller.

    Before training it is about the bilinear enlargement. Convolutional throughout, so a face, and a whole photo at the
    face's scale, go through the same weights; twice makes four times. Values may leave [-1, 1] a little: clamp before
    showing.

    Args:
        width: channels at the drawing's size.
        num_blocks: residual blocks there, two convolutions each.
        deep_width: channels at half of that size.
        num_deep_blocks: residual blocks there, which see further and cost a quarter for each weight.

    Raises:
        ConfigError: sizes that cannot be built; all faults at once.

    Example:
        >>> guided = GuidedUpscaler(width=4, num_blocks=1, deep_width=4, num_deep_blocks=1).eval()
        >>> guided(torch.zeros(1, 3, 24, 31), torch.zeros(1, 3, 48, 62)).shape
        torch.Size([1, 3, 48, 62])
    """

    @register_to_config
    def __init__(self, width: int = 32, num_blocks: int = 2, deep_width: int = 64, num_deep_blocks: int = 2):
        super().__init__()
        sizes = {"width": width, "num_blocks": num_blocks}
        sizes |= {"deep_width": deep_width, "num_deep_blocks": num_deep_blocks}
        raise_all(least_faults(1, sizes), ConfigError)
        self.compute_dtype: torch.dtype | None = None  # as in Generator: None is bfloat16 at inference where native
        self.stem = ActivatedConv(INPUTS, width)
        self.down = ActivatedConv(width, deep_width, stride=FOLD)
        self.deep = nn.Sequential(*[ResidualBlock(deep_width) for _ in range(num_deep_blocks)])
        self.up = EncoderConv(deep_width, width, kernel_size=1, gain=0.5)
        self.blocks = nn.Sequential(*[ResidualBlock(width) for _ in range(num_blocks)])
        self.head = EncoderConv(width, (TAPS**2 + 3) * FACTOR**2, gain=0.1)
        with torch.no_grad():
            self.head.bias[: TAPS**2 * FACTOR**2] = _bilinear_logits().flatten()

    @property
    def factor(self) -> int:
        """How many times wider and higher the drawing becomes in one pass."""
        return FACTOR

    @property
    def reach(self) -> int:
        """How far a pixel of the drawing is felt, in px of the drawing; a multiple of the fold."""
        deep = FOLD * (2 * self.config.num_deep_blocks + 1)
        return deep + FOLD * (2 * self.config.num_blocks // FOLD + 2)

    def forward(self, drawn: Tensor, photo: Tensor, source: Tensor | None = None) -> Tensor:
        _check(drawn, photo, source)
        height, width = drawn.shape[2:]
        drawn, photo = drawn.float(), photo.float()
        source = F.avg_pool2d(photo, FACTOR) if source is None else source.float()
        odd = (0, width % FOLD, 0, height % FOLD)
        if any(odd):
            drawn, source = (F.pad(part, odd, mode="replicate") for part in (drawn, source))
            photo = F.pad(photo, [FACTOR * side for side in odd], mode="replicate")
        logits, added = self._predict(drawn, photo, source)
        large = F.pixel_shuffle(_mix(drawn, logits) + added, FACTOR)
        return large[:, :, : FACTOR * height, : FACTOR * width]

    def enlarge(self, drawn: Tensor, photo: Tensor, source: Tensor | None = None) -> Tensor:
        """Do the same as calling it, for pictures of any size without gradients: in strips, so that memory stays small.

        Args:
            drawn: [N, 3, H, W] in [-1, 1].
            photo: [N, 3, 2 H, 2 W], on the same device.
            source: [N, 3, H, W], what was drawn from; None: the photo.

        Returns:
            [N, 3, 2 H, 2 W] float32 on the device of `drawn`.
        """
        _check(drawn, photo, source)
        height, width = drawn.shape[2:]
        rows = max(FOLD, STRIP_PX // max(1, len(drawn) * width) // FOLD * FOLD)
        if height <= rows:
            return self(drawn, photo, source)
        parts = []
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            # Strips start at even rows, so that pixels are folded in the same pairs as in the whole picture.
            first, last = max(0, top - self.reach), min(height, bottom + self.reach)
            part = None if source is None else source[:, :, first:last]
            strip = self(drawn[:, :, first:last], photo[:, :, FACTOR * first : FACTOR * last], part)
            parts.append(strip[:, :, FACTOR * (top - first) : FACTOR * (bottom - first)])
        return torch.cat(parts, dim=2)

    def _predict(self, drawn: Tensor, photo: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the taps for each new pixel, [N, 9, 4, H, W], and what is added to it, [N, 12, H, W]; float32."""
        more = F.pixel_unshuffle(photo, FACTOR) - source.repeat_interleave(FACTOR**2, dim=1)
        dtype = choose_compute_dtype(self.compute_dtype, drawn.device)
        x = torch.cat([drawn, source, 2 * more], dim=1).to(dtype, memory_format=torch.channels_last)
        x = self.stem(x)
        deep = self.up(self.deep(self.down(x)))
        x = F.leaky_relu_(x + F.interpolate(deep, scale_factor=FOLD, mode="nearest"), LRELU_SLOPE)
        x = _planes(self.head(self.blocks(x))).float()
        logits, added = x.split([TAPS**2 * FACTOR**2, 3 * FACTOR**2], dim=1)
        return logits.unflatten(1, (TAPS**2, FACTOR**2)), added


def _check(drawn: Tensor, photo: Tensor, source: Tensor | None) -> None:
    if drawn.ndim != 4 or drawn.shape[1] != 3 or min(drawn.shape[2:]) < 1:
        raise InputError(f"the guided upscaler takes drawings [N, 3, H, W], got {list(drawn.shape)}")
    expected = [len(drawn), 3, *(FACTOR * side for side in drawn.shape[2:])]
    if list(photo.shape) != expected:
        raise InputError(
            f"the photo beside a drawing {list(drawn.shape)} must be {expected}, got {list(photo.shape)}: resize it"
        )
    if source is not None and source.shape != drawn.shape:
        raise InputError(f"what was drawn from must be {list(drawn.shape)} as the drawing, got {list(source.shape)}")


def _planes(x: Tensor) -> Tensor:
    """[N, C, H, W] with the channels of a pixel side by side -> the same with whole planes."""
    if len(x) > 1:
        return x.contiguous(memory_format=torch.contiguous_format)
    # As a matrix: for that torch has a transposition by blocks, three times as fast as its copy.
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).t().contiguous().view(x.shape)


def _mix(drawn: Tensor, logits: Tensor) -> Tensor:
    """Means of the pixels around each pixel: [N, 3, H, W] by [N, 9, 4, H, W] -> [N, 12, H, W], colours outermost."""
    num, _, height, width = drawn.shape
    around = F.pad(drawn, (TAPS // 2,) * 4, mode="replicate")
    weights = logits.softmax(dim=1)
    mixed = drawn.new_zeros(num, 3, FACTOR**2, height, width)
    for tap in range(TAPS**2):
        top, left = divmod(tap, TAPS)
        pixels = around[:, :, None, top : top + height, left : left + width]  # [N, 3, 1, H, W]
        mixed.addcmul_(pixels, weights[:, None, tap])
    return mixed.flatten(1, 2)


def _bilinear_logits() -> Tensor:
    """Logits of bilinear enlargement for the new pixels of one old one: [9, 4]."""
    # A new pixel lies a quarter of a pixel off: 3/4 of its own row, 1/4 of the row on its side.
    line = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])  # [side, tap]
    weights = torch.einsum("ay,bx->yxab", line, line).reshape(TAPS**2, FACTOR**2)
    return weights.log().clamp(min=FAR)
