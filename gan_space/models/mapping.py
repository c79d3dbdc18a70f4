"""Mapping network: from a latent and a label to the intermediate latent space W (StyleGAN, Karras et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_space.nn.layers import FullyConnected, normalize_2nd_moment

W_AVG_BETA = 0.995  # how slowly w_avg follows the w of training batches


class MappingNetwork(nn.Module):
    """z [N, z_dim] and label c [N, c_dim] -> w_plus [N, num_ws, w_dim]; with num_ws None, w [N, w_dim].

    With `z_dim` 0 it embeds labels alone, as the discriminator's projection needs it (then it keeps no `w_avg`).
    """

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        lr_multiplier: float = 0.01,
    ):
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.num_ws, self.num_layers = num_ws, num_layers
        if c_dim > 0:
            self.embed = FullyConnected(c_dim, w_dim)
        features = z_dim + (w_dim if c_dim > 0 else 0)
        for index in range(num_layers):
            layer = FullyConnected(features, w_dim, activate=True, lr_multiplier=lr_multiplier)
            setattr(self, f"fc{index}", layer)
            features = w_dim
        if num_ws is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool = False,
    ) -> Tensor:
        """Map latents to W.

        Args:
            z: [N, z_dim]; None if z_dim is 0.
            c: [N, c_dim] one-hot or real-valued labels; None if c_dim is 0.
            truncation_psi: 1 leaves w as it is, 0 is the average face; towards 0, more typical and less varied.
            truncation_cutoff: truncate only the first so many of the num_ws layers; None: all.
            update_w_avg: move `w_avg` towards the mean of this batch (training only).

        Raises:
            ValueError: z or c has another width than the network.
        """
        parts = []
        if self.z_dim > 0:
            if z is None or z.ndim != 2 or z.shape[1] != self.z_dim:
                raise ValueError(f"expected z of shape [N, {self.z_dim}], got {None if z is None else list(z.shape)}")
            parts.append(normalize_2nd_moment(z.float()))
        if self.c_dim > 0:
            if c is None or c.ndim != 2 or c.shape[1] != self.c_dim:
                raise ValueError(f"expected c of shape [N, {self.c_dim}], got {None if c is None else list(c.shape)}")
            parts.append(normalize_2nd_moment(self.embed(c.float())))
        w = torch.cat(parts, dim=1)
        for index in range(self.num_layers):
            w = getattr(self, f"fc{index}")(w)  # [N, w_dim]
        if self.num_ws is None:
            return w
        if update_w_avg:
            self.w_avg.lerp_(w.detach().mean(dim=0), 1 - W_AVG_BETA)
        w_plus = w[:, None].repeat(1, self.num_ws, 1)  # [N, num_ws, w_dim]
        if truncation_psi != 1:
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            w_plus[:, :cutoff] = self.w_avg.lerp(w_plus[:, :cutoff], truncation_psi)
        return w_plus
