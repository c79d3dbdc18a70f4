"""A small network that finds 468 places of a face in a crop, and says how far off each may be."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.aligner import ConvNorm, Residual
from gan_space.models.pretrained import PretrainedModel
from gan_space.nn.precision import choose_compute_dtype
from gan_space.settings import least_faults, multiple_faults

NUM_LANDMARKS = 468  # of the published face mesh
NUM_COVERS = 3  # left eye, right eye, mouth, as they stand in the picture
VIEW = 1.15  # side of the crop in widths of the tight frame, both with the same middle: chin and forehead are inside
ERROR_RANK = 16  # errors of neighbouring places are large together
MIN_ERROR, MAX_ERROR = 0.002, 2.0  # bounds of the error estimate, in eye distances


class LandmarkerOutput(NamedTuple):
    """What `Landmarker` says about N crops; all float32."""

    points: Tensor  # [N, 468, 2], x and y as fractions of the crop's width, (0, 0) its top left corner; may lie outside
    log_error: Tensor  # [N, 468], logarithm of the expected error of a point, in eye distances of the crop's frame
    face_logit: Tensor  # [N], high where the crop shows a face
    cover_logit: Tensor  # [N, 3], high where something covers the left eye, the right eye, the mouth

    @property
    def error(self) -> Tensor:
        """Expected error of each point, [N, 468], in eye distances."""
        return self.log_error.exp()

    @property
    def presence(self) -> Tensor:
        """Probability that the crop shows a face, [N] in [0, 1]."""
        return self.face_logit.sigmoid()

    @property
    def covered(self) -> Tensor:
        """Probability that left eye, right eye and mouth are covered, [N, 3] in [0, 1]."""
        return self.cover_logit.sigmoid()


class Landmarker(PretrainedModel):
    """Find the places of the face mesh in crops: [N, 3, R, R] float in [-1, 1] -> `LandmarkerOutput`.

    A shape is a mean and a weighted sum of `rank` basic shapes: places that cannot be seen follow those that can.
    0.9 million parameters and 62 million multiplications a crop at the default size.

    Args:
        resolution: R, width and height of a crop in px; a multiple of 16.
        width: channels after the first stage; later stages have twice as many.
        bottleneck: channels that are flattened, so that where something is stays known.
        hidden: width of the layer after it.
        rank: number of basic shapes.

    Raises:
        ConfigError: a size that cannot be built.

    Example:
        >>> Landmarker().eval()(torch.zeros(1, 3, 80, 80)).points.shape
        torch.Size([1, 468, 2])
    """

    @register_to_config
    def __init__(self, resolution: int = 80, width: int = 64, bottleneck: int = 32, hidden: int = 128, rank: int = 64):
        super().__init__()
        faults = multiple_faults("resolution", resolution, 16)
        sizes = {"width": width, "bottleneck": bottleneck, "hidden": hidden, "rank": rank}
        faults += least_faults(1, sizes)
        raise_all(faults, ConfigError)
        self.trunk = nn.Sequential(
            nn.PixelUnshuffle(2),
            ConvNorm(12, width, stride=2),  # [N, width, R/4, R/4]
            Residual(width),
            ConvNorm(width, 2 * width, stride=2),  # [N, 2 width, R/8, R/8]
            Residual(2 * width),
            Residual(2 * width),
            ConvNorm(2 * width, 2 * width, stride=2),  # [N, 2 width, R/16, R/16]
            Residual(2 * width),
            ConvNorm(2 * width, bottleneck, 1),
        )
        self.dense = nn.Linear(bottleneck * (resolution // 16) ** 2, hidden)
        self.shape_weights = nn.Linear(hidden, rank)
        self.shapes = nn.Linear(rank, 2 * NUM_LANDMARKS)
        self.error_weights = nn.Linear(hidden, ERROR_RANK)
        self.errors = nn.Linear(ERROR_RANK, NUM_LANDMARKS)
        self.judgements = nn.Linear(hidden, 1 + NUM_COVERS)
        nn.init.normal_(self.shape_weights.weight, std=0.01)  # starts near the mean shape
        nn.init.zeros_(self.shape_weights.bias)

    @property
    def resolution(self) -> int:
        """Width and height of the crops that the network takes, in px."""
        return self.config.resolution

    @property
    def view(self) -> float:
        """Side of the crops in widths of the tight frame, whose middle they share."""
        return VIEW

    @torch.no_grad()
    def set_shapes(self, mean: Tensor, basis: Tensor) -> None:
        """Start from known shapes.

        Args:
            mean: [468, 2], fractions of the crop.
            basis: [rank, 468, 2], each as long as it is common.
        """
        self.shapes.bias.copy_(mean.reshape(-1))
        self.shapes.weight.copy_(basis.flatten(1).T)

    def forward(self, images: Tensor) -> LandmarkerOutput:
        if images.ndim != 4 or images.shape[1:] != (3, self.resolution, self.resolution):
            wanted = f"[N, 3, {self.resolution}, {self.resolution}]"
            raise InputError(f"the landmarker takes {wanted}, got {list(images.shape)}: crop first")
        # In bfloat16, where it is native, a crop takes half the time and places move by 0.02 % of the eye distance.
        device = self.dense.weight.device  # a photo stays on the CPU, wherever the networks are
        dtype = images.dtype if self.training else choose_compute_dtype(None, device)
        x = self.trunk(images.to(device, dtype, memory_format=torch.channels_last))  # [N, bottleneck, R/16, R/16]
        with torch.autocast(x.device.type, enabled=False):  # places need more digits than bfloat16 has
            x = F.relu(self.dense(x.flatten(1).float()))  # order [N, C, H, W] in any memory format
            points = self.shapes(self.shape_weights(x)).unflatten(1, (NUM_LANDMARKS, 2))
            # The logarithms of the bounds; a plain clamp would kill the gradient at the start of training.
            low, high = math.log(MIN_ERROR), math.log(MAX_ERROR)
            log_error = low + (high - low) * torch.sigmoid(self.errors(self.error_weights(x)))
            face_logit, cover_logit = self.judgements(x).split([1, NUM_COVERS], dim=1)
        return LandmarkerOutput(points, log_error, face_logit[:, 0], cover_logit)
