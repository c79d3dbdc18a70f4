"""The optimizers of the small networks: AdamW, or Muon for everything that is a matrix."""

from __future__ import annotations

from itertools import chain
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

OptimizerName = Literal["adam", "muon"]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)
MIN_SIDE = 48  # a smaller matrix, or a filter of each channel alone, has too few directions to even out


class Optimizer(Protocol):
    """What a training and its checkpoints ask of an optimizer: torch's own do it, and so does `MuonWithAdamW`."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameters with their settings, which may be changed."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""

    def step(self) -> Any:
        """Move the parameters by their gradients."""

    def state_dict(self) -> dict[str, Any]:
        """Return at least "state": tensors by name, by the number of their parameter."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take back what `state_dict` returned, with the same or another "state"."""


class MuonWithAdamW:
    """Muon (Jordan et al. 2024) for the large matrices of a network and AdamW for the rest, as one optimizer.

    A step of Muon moves all directions of a matrix alike: its momentum with all singular values at about 1. The weights
    of a convolution count as the matrix [output channels, input channels times places]. Steps are as long as those of
    AdamW ("Muon is scalable for LLM training", Liu et al. 2025), so that both take the same rate and weight decay.

    Args:
        network: whose parameters are moved.
        lr: learning rate.
        weight_decay: decoupled, as in AdamW.
        betas: of AdamW.
    """

    def __init__(
        self, network: nn.Module, lr: float, *, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
    ):
        parameters = list(network.parameters())
        self._large = [one for one in parameters if is_large_matrix(one)]
        # torch's Muon takes [M, N] alone: it works on copies, 4 bytes a parameter.
        self._matrices = [nn.Parameter(one.detach().flatten(1).clone()) for one in self._large]
        rest = [one for one in parameters if not is_large_matrix(one)]
        options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
        muon = torch.optim.Muon(self._matrices, adjust_lr_fn="match_rms_adamw", **options) if self._matrices else None
        adamw = torch.optim.AdamW(rest, betas=betas, **options) if rest else None
        self._parts = [part for part in (muon, adamw) if part is not None]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both; "lr" and "weight_decay" may be changed."""
        return list(chain.from_iterable(part.param_groups for part in self._parts))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the network."""
        for part in self._parts:
            part.zero_grad(set_to_none)
        for one in self._large:
            one.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the network by its gradients."""
        for one, matrix in zip(self._large, self._matrices, strict=True):
            matrix.copy_(one.flatten(1))
            matrix.grad = None if one.grad is None else one.grad.flatten(1)
        for part in self._parts:
            part.step()
        for one, matrix in zip(self._large, self._matrices, strict=True):
            one.copy_(matrix.view(one.shape))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both by number, that of Muon first; the groups are no part of it."""
        state: dict[int, dict[str, Tensor]] = {}
        for first, part in self._numbered():
            state |= {first + number: one for number, one in part.state_dict()["state"].items()}
        return {"state": state}

    def load_state_dict(self, whole: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        for first, part in self._numbered():
            own = part.state_dict()
            size = sum(len(group["params"]) for group in part.param_groups)
            own["state"] = {n - first: one for n, one in whole["state"].items() if first <= n < first + size}
            part.load_state_dict(own)

    def _numbered(self) -> list[tuple[int, torch.optim.Optimizer]]:
        """Both parts, each with the number of its first parameter."""
        sizes = [sum(len(group["params"]) for group in part.param_groups) for part in self._parts]
        return list(zip([0, *sizes], self._parts, strict=False))


def is_large_matrix(parameter: Tensor) -> bool:
    """Tell whether Muon should move a parameter: a matrix, or a convolution as one, with MIN_SIDE rows and columns."""
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= MIN_SIDE


def make_optimizer(
    network: nn.Module,
    name: OptimizerName,
    lr: float,
    *,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Optimizer:
    """Return the optimizer of that name for all parameters of a network; "adam" is AdamW."""
    make = MuonWithAdamW if name == "muon" else _adamw
    return make(network, lr, weight_decay=weight_decay, betas=betas)


def _adamw(network: nn.Module, lr: float, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), lr=lr, **options)
