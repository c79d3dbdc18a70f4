"""A small network that finds eyes and mouth in a rough crop of a face, and says how sure it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.pretrained import PretrainedModel
from gan_space.settings import least_faults, multiple_faults

NUM_POINTS = 3  # left eye, right eye, mouth, as they stand in the picture
# Where the three points are in a crop that needs no correction; the network predicts the offset from here.
MEAN_POINTS = ((0.305, 0.309), (0.695, 0.309), (0.500, 0.703))
BOTTLENECK_CHANNELS = 32
HIDDEN = 48
TOTAL_STRIDE_PX = 8  # of the convolutions
MIN_ERROR, MAX_ERROR = 0.002, 2.0  # bounds of the error estimate, in eye distances


class AlignerOutput(NamedTuple):
    """What `Aligner` says about N crops; all float32."""

    points: Tensor  # [N, 3, 2], x and y as fractions of the crop's width, (0, 0) its top left corner; may lie outside
    face_logit: Tensor  # [N], high where the crop shows a face
    log_error: Tensor  # [N], logarithm of the expected error of a point, in eye distances
    yaw: Tensor  # [N], sideways offset of the nose tip from the middle of the eyes, over the eye distance; 0: frontal

    @property
    def score(self) -> Tensor:
        """Probability that the crop shows a face, [N] in [0, 1]."""
        return self.face_logit.sigmoid()

    @property
    def error(self) -> Tensor:
        """Expected error of a point, [N], as a fraction of the eye distance."""
        return self.log_error.exp()


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU: [N, I, H, W] -> [N, O, H / stride, W / stride]."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels)
        self._prepared = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return F.relu(self.norm(self.conv(x)))
        weight, bias = self._folded(x.dtype)
        return F.relu(F.conv2d(x, weight, bias, self.conv.stride, self.conv.padding), inplace=True)

    def _folded(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Convolution and norm in one, which takes two thirds of the time: weight [O, I, k, k] and bias [O].

        Kept between calls while no gradient is needed and no part has another version, see `PreparedWeight`.
        """
        norm = self.norm
        parts = (self.conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and any(part.requires_grad for part in parts)):
            return self._fold(dtype)
        key = [dtype, *((part._version, part.data_ptr(), part.dtype) for part in parts)]
        if self._prepared is None or self._prepared[0] != key:
            with torch.inference_mode(False), torch.no_grad():
                # While `parts` are held, nothing else gets their address.
                self._prepared = (key, parts, self._fold(dtype))
        return self._prepared[2]

    def _fold(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        scale = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()  # [O]
        weight = self.conv.weight * scale[:, None, None, None]
        bias = self.norm.bias - self.norm.running_mean * scale
        return weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype)


class Residual(nn.Module):
    """x + ReLU(norm(conv(x))): [N, C, H, W] -> the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Aligner(PretrainedModel):
    """Find eyes and mouth in rough crops: [N, 3, R, R] float in [-1, 1] -> `AlignerOutput`.

    The features are flattened, not pooled: where something is matters more than what it is. 0.2 million parameters and
    14 million multiplications a crop at the default size.

    Args:
        resolution: R, width and height of a crop in px; a multiple of 8.
        width: channels of the first layer; later ones have two and three times as many.

    Raises:
        ConfigError: a size that cannot be built.

    Example:
        >>> Aligner().eval()(torch.zeros(1, 3, 64, 64)).points.shape
        torch.Size([1, 3, 2])
    """

    @register_to_config
    def __init__(self, resolution: int = 64, width: int = 24):
        super().__init__()
        raise_all(multiple_faults("resolution", resolution, 8) + least_faults(1, {"width": width}), ConfigError)
        self.stem = nn.Sequential(ConvNorm(3, width, 5, stride=2), ConvNorm(width, 2 * width, stride=2))
        self.block16 = ConvNorm(2 * width, 2 * width)
        self.down = ConvNorm(2 * width, 3 * width, stride=2)
        self.block8 = ConvNorm(3 * width, 3 * width)
        self.bottleneck = ConvNorm(3 * width, BOTTLENECK_CHANNELS, 1)
        self.hidden = nn.Linear(BOTTLENECK_CHANNELS * (resolution // 8) ** 2, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2 * NUM_POINTS + 3)
        nn.init.normal_(self.out.weight, std=0.01)  # starts at the mean points
        nn.init.zeros_(self.out.bias)

    @property
    def resolution(self) -> int:
        """Width and height of the crops that the network takes, in px."""
        return self.config.resolution

    def forward(self, images: Tensor) -> AlignerOutput:
        if images.ndim != 4 or images.shape[1:] != (3, self.resolution, self.resolution):
            raise InputError(
                f"the aligner takes [N, 3, {self.resolution}, {self.resolution}], got {list(images.shape)}: crop first"
            )
        x = self._features(images).flatten(1)  # order [N, C, H, W] in any memory format
        return self._output(F.relu(self.hidden(x)))

    def scan(self, picture: Tensor, stride_px: int) -> tuple[AlignerOutput, int]:
        """Look at all windows of R px of one picture, `stride_px` apart, at a tenth of the cost of as many crops.

        The convolutions run over the picture once. They see a window's surroundings, where those of a crop see zeros,
        so what they say is a first guess (40 portraits: logits correlate by 0.99, points are off by 6 % of an
        eye distance).

        Args:
            picture: [1, 3, H, W] float in [-1, 1]; H and W multiples of 8, R or more.
            stride_px: a multiple of 8.

        Returns:
            The output for [Y X] windows, row after row, and X.
        """
        x = self._features(picture)  # [1, C, H/8, W/8]
        cells = self.resolution // TOTAL_STRIDE_PX
        step = stride_px // TOTAL_STRIDE_PX
        windows = x[0].unfold(1, cells, step).unfold(2, cells, step)  # [C, Y, X, cells, cells]
        flat = windows.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)  # [Y X, C cells cells]
        return self._output(F.relu(self.hidden(flat))), windows.shape[2]

    def _features(self, images: Tensor) -> Tensor:
        # A photo stays on the CPU, wherever the networks are.
        x = self.stem(images.to(self.hidden.weight.device))  # [N, 2 width, H/4, W/4]
        x = x + self.block16(x)
        x = self.down(x)  # [N, 3 width, H/8, W/8]
        x = x + self.block8(x)
        return self.bottleneck(x).float()  # [N, C, H/8, W/8]

    def _output(self, hidden: Tensor) -> AlignerOutput:
        offsets, face_logit, log_error, yaw = self.out(hidden).split([2 * NUM_POINTS, 1, 1, 1], dim=1)
        points = offsets.unflatten(1, (NUM_POINTS, 2)) + offsets.new_tensor(MEAN_POINTS)
        # The logarithms of the bounds; a plain clamp would kill the gradient at the start of training.
        low, high = torch.tensor([MIN_ERROR, MAX_ERROR]).log().tolist()
        log_error = low + (high - low) * torch.sigmoid(log_error[:, 0])
        return AlignerOutput(points, face_logit[:, 0], log_error, yaw[:, 0])
