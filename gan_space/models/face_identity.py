"""A small network that turns an aligned face into a vector by which people can be told apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, raise_all
from gan_space.images import resize_faces
from gan_space.models.aligner import ConvNorm, Residual
from gan_space.models.pretrained import PretrainedModel
from gan_space.settings import least_faults, multiple_faults

PATCH_PX = 4
BOTTLENECK_CHANNELS = 64


class FaceIdentity(PretrainedModel):
    """Say who faces in the tight frame show: [N, 3, S, S] float in [-1, 1], any S from 16 up -> [N, embedding_dim].

    The vectors have unit length and float32, and are the same for a mirrored face. The cosine of two tells how likely
    they show one person; `metrics.json` beside the weights has the limit and its error. It was taught by another
    network's vectors and by no names, see docs/identity.md. 1.4 million parameters and 0.2 billion multiplications a
    face at the default size.

    Args:
        resolution: side in px that faces are resized to; a multiple of 16.
        width: channels of the first layer; later ones have two and three times as many.
        embedding_dim: length of the vectors.

    Raises:
        ConfigError: a size that cannot be built; all faults at once.

    Example:
        >>> FaceIdentity().eval()(torch.zeros(2, 3, 128, 128)).shape
        torch.Size([2, 128])
    """

    @register_to_config
    def __init__(self, resolution: int = 80, width: int = 64, embedding_dim: int = 128):
        super().__init__()
        sizes = {"width": width, "embedding_dim": embedding_dim}
        faults = least_faults(1, sizes)
        faults += multiple_faults("resolution", resolution, 16)
        raise_all(faults, ConfigError)
        # Squares of 4 x 4 px become channels at once: layers at higher resolutions took two fifths of the time.
        self.trunk = nn.Sequential(
            nn.PixelUnshuffle(PATCH_PX),  # [N, 48, R/4, R/4]
            ConvNorm(3 * PATCH_PX**2, width),
            Residual(width),
            Residual(width),
            ConvNorm(width, 2 * width, stride=2),  # [N, 2 width, R/8, R/8]
            Residual(2 * width),
            Residual(2 * width),
            Residual(2 * width),
            ConvNorm(2 * width, 3 * width, stride=2),  # [N, 3 width, R/16, R/16]
            Residual(3 * width),
            ConvNorm(3 * width, BOTTLENECK_CHANNELS, 1),
        )
        # Flattened, not pooled: faces come in one frame, so where something is says what it is.
        self.to_embedding = nn.Linear(BOTTLENECK_CHANNELS * (resolution // 16) ** 2, embedding_dim)

    @property
    def resolution(self) -> int:
        """Side in px that faces are resized to before they are looked at."""
        return self.config.resolution

    def project(self, features: Tensor) -> Tensor:
        """Return the vectors [N, embedding_dim] of unit length that one look gives, from what the trunk gives."""
        flat = features.float().flatten(1)  # order [N, C, H, W] in any memory format
        return F.normalize(self.to_embedding(flat), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        images = resize_faces(images, self.resolution)
        # A face and its mirror image show one person, and two looks err less than one.
        both = self.project(self.trunk(torch.cat([images, images.flip(3)])))
        return F.normalize(both.unflatten(0, (2, len(images))).sum(dim=0), dim=1)
