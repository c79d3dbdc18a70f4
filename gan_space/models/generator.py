"""The StyleGAN2 generator (Karras et al. 2020): mapping and synthesis network in one model."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from gan_space.models.architecture import check_architecture
from gan_space.models.mapping import MappingNetwork
from gan_space.models.pretrained import PretrainedModel
from gan_space.models.synthesis import SynthesisNetwork


class Generator(PretrainedModel):
    """Mapping and synthesis network in one model that saves to and loads from a folder or the Hub.

    Args:
        resolution: width and height of the pictures, a power of two from 16 to 1024.
        z_dim: length of the input latent z.
        c_dim: length of the label vector; 0 for an unconditional network.
        w_dim: length of the intermediate latent w.
        channel_base: feature maps at resolution r are min(channel_base / r, channel_max).
        channel_max: see `channel_base`.
        num_mapping_layers: depth of the mapping network.
        img_channels: colours of a picture.
        use_noise: give every convolution a noise input; without, all detail has to come from w.
        conv_clamp: clip the output of every convolution to ± this; None: do not.

    Raises:
        ConfigError: a size that cannot be built; all faults at once.

    Example:
        >>> generator = Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64, num_mapping_layers=2)
        >>> w_plus = generator.mapping(torch.randn(2, 8), truncation_psi=0.7)
        >>> generator.synthesis(w_plus, noise_mode="const").shape
        torch.Size([2, 3, 16, 16])
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 256,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_mapping_layers: int = 8,
        img_channels: int = 3,
        use_noise: bool = True,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        check_architecture(
            resolution,
            channel_base,
            channel_max,
            z_dim=z_dim,
            w_dim=w_dim,
            num_mapping_layers=num_mapping_layers,
            img_channels=img_channels,
        )
        self.synthesis = SynthesisNetwork(
            w_dim=w_dim,
            resolution=resolution,
            img_channels=img_channels,
            channel_base=channel_base,
            channel_max=channel_max,
            use_noise=use_noise,
            conv_clamp=conv_clamp,
        )
        self.mapping = MappingNetwork(
            z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_ws=self.num_ws, num_layers=num_mapping_layers
        )

    @property
    def num_ws(self) -> int:
        """Rows of w_plus: one a convolution, and one for the last to_rgb."""
        return self.synthesis.num_ws

    @property
    def compute_dtype(self) -> torch.dtype | None:
        """Format of the convolutions: torch.float32, torch.bfloat16, or None for "bfloat16 at inference where native".

        Weights, styles and the picture itself always stay float32.
        """
        return self.synthesis.compute_dtype

    @compute_dtype.setter
    def compute_dtype(self, dtype: torch.dtype | None) -> None:
        self.synthesis.compute_dtype = dtype

    @property
    def exact(self) -> bool:
        """True: no Winograd convolutions (`nn.winograd`), which are faster on a CPU and round differently.

        The difference is about 1e-6 of the values in float32, and some decibels more noise in bfloat16.
        """
        return self.synthesis.exact

    @exact.setter
    def exact(self, exact: bool) -> None:
        self.synthesis.exact = exact

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "random",
    ) -> Tensor:
        """Draw z [N, z_dim], c [N, c_dim] -> images [N, img_channels, R, R], float32, about [-1, 1]."""
        w_plus = self.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
        return self.synthesis(w_plus, noise_mode=noise_mode)
