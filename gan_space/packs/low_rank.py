"""Low-rank changes of named weights, and their files.

A weight W [O, I, kh, kw], read as a matrix [O, I·kh·kw], becomes W + scale · up @ down with up [O, r] and down
[r, I·kh·kw] (Hu et al. 2021, LoRA). Where the two factors would be no smaller than the matrix, and for biases, the
change is stored whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from gan_space.errors import ConfigError, PackError, raise_all
from gan_space.foreign_files import check_is_itself, value_faults

DOWN, UP, FULL = ".down", ".up", ".full"


class LowRankDelta:
    """A change of some weights of a module, by their names in `module.named_parameters()`.

    Args:
        factors: name -> (down [r, I·kh·kw], up [O, r]).
        full: name -> change in the shape of the weight.
        name: of the pack, for error messages.

    Example:
        >>> layer = nn.Conv2d(8, 8, 3)
        >>> delta = LowRankDelta.create(layer, ["weight", "bias"], rank=2)
        >>> delta.factors["weight"][0].shape, delta.full["bias"].shape
        (torch.Size([2, 72]), torch.Size([8]))
        >>> with attached(layer, [(delta, 0.7)]):
        ...     images = layer(torch.zeros(1, 8, 4, 4))
    """

    def __init__(
        self, factors: Mapping[str, tuple[Tensor, Tensor]], full: Mapping[str, Tensor], name: str = "unnamed pack"
    ):
        self.factors = dict(factors)
        self.full = dict(full)
        self.name = name

    @classmethod
    def create(
        cls, module: nn.Module, names: Sequence[str], rank: int, seed: int = 0, name: str = "unnamed pack"
    ) -> LowRankDelta:
        """Return a change that starts at exactly zero: up = 0, down random with the spread of the weight itself.

        The numbers in `up` are then relative to the weight: one learning rate suits all of them.

        Args:
            module: where the weights are.
            names: of the weights to change; biases and other one-dimensional ones are stored whole.
            rank: of the change of every matrix, 1 or more.
            seed: of the random factors; each name draws its own numbers, whatever the other names are.

        Raises:
            ConfigError: a rank below 1, no name, or a name that the module does not have; all faults at once.
        """
        weights = dict(module.named_parameters())
        faults = [f"the module has no weight {name!r}" for name in names if name not in weights]
        faults += [f"rank must be 1 or more, got {rank}"] if rank < 1 else []
        faults += [] if names else ["a change needs one name of a weight or more, got none"]
        raise_all(faults, ConfigError)
        factors, full = {}, {}
        for key in names:
            weight = weights[key]
            rows, columns = matrix_shape(weight.shape)
            if weight.ndim < 2 or rank * (rows + columns) >= rows * columns:
                full[key] = torch.zeros_like(weight, dtype=torch.float32, memory_format=torch.contiguous_format)
                continue
            generator = torch.Generator().manual_seed(_seed_of(key, seed))
            spread = weight.detach().float().std().item() or 1.0
            down = torch.randn(rank, columns, generator=generator) * spread
            factors[key] = (down.to(weight.device), torch.zeros(rows, rank, device=weight.device))
        return cls(factors, full, name)

    @property
    def names(self) -> list[str]:
        """Of the weights that change, sorted."""
        return sorted([*self.factors, *self.full])

    @property
    def rank(self) -> int:
        """The highest rank of a factored weight; 0 where all are stored whole."""
        return max((len(down) for down, _ in self.factors.values()), default=0)

    def parameters(self) -> list[Tensor]:
        """Return the stored tensors, for an optimizer; call `requires_grad_` first."""
        return list(self.to_tensors().values())

    def requires_grad_(self, on: bool = True) -> LowRankDelta:
        """Let gradients flow into the stored tensors, or not."""
        for tensor in self.parameters():
            tensor.requires_grad_(on)
        return self

    def to(self, target: torch.dtype | torch.device | str) -> LowRankDelta:
        """Return a detached copy in another dtype or on another device."""
        tensors = {key: tensor.detach().clone().to(target) for key, tensor in self.to_tensors().items()}
        return LowRankDelta.from_tensors(tensors, self.name)

    def change_of(self, name: str) -> Tensor:
        """Give the change of a weight in float32: [O, I·kh·kw] if factored, else as the weight; differentiable."""
        if name in self.full:
            return self.full[name].float()
        down, up = self.factors[name]
        return up.float() @ down.float()

    def to_tensors(self) -> dict[str, Tensor]:
        """Return flat names and the stored tensors: "<weight>.down", "<weight>.up", "<weight>.full"."""
        tensors = {}
        for name in self.names:
            if name in self.full:
                tensors[name + FULL] = self.full[name]
            else:
                tensors[name + DOWN], tensors[name + UP] = self.factors[name]
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], name: str = "unnamed pack") -> LowRankDelta:
        """Return the inverse of `to_tensors`.

        Raises:
            PackError: half a pair, factors that do not fit each other, an unknown ending, or nothing; all at once.
        """
        faults, factors, full = [], {}, {}
        for key, tensor in tensors.items():
            if key.endswith(FULL):
                full[key.removesuffix(FULL)] = tensor
            elif key.endswith(DOWN):
                weight = key.removesuffix(DOWN)
                up = tensors.get(weight + UP)
                if up is None:
                    faults.append(f"{key} stands without {weight + UP}")
                elif tensor.ndim != 2 or up.ndim != 2 or tensor.shape[0] != up.shape[1]:
                    faults.append(f"{key} {list(tensor.shape)} and {weight + UP} {list(up.shape)} do not fit")
                else:
                    factors[weight] = (tensor, up)
            elif not key.endswith(UP):
                faults.append(f"{key} is unknown, expected a name that ends in {DOWN}, {UP} or {FULL}")
            elif key.removesuffix(UP) + DOWN not in tensors:
                faults.append(f"{key} stands without {key.removesuffix(UP) + DOWN}")
        faults += [f"{weight} is there twice, as factors and whole" for weight in factors if weight in full]
        faults += [] if tensors else ["there is no tensor at all"]
        raise_all([f"{name}: {fault}" for fault in faults], PackError)
        return cls(factors, full, name)

    def save(self, file: str | Path) -> None:
        """Write a safetensors file."""
        save_file({key: tensor.detach().contiguous().cpu() for key, tensor in self.to_tensors().items()}, str(file))

    @classmethod
    def load(cls, file: str | Path, name: str | None = None) -> LowRankDelta:
        """Read what `save` wrote.

        Raises:
            PackError: the file is missing, cut short, holds other tensors, or values that are not finite.
        """
        return cls.from_tensors(read_tensors(file), name or str(file))

    def faults_in(self, module: nn.Module) -> list[str]:
        """Return what does not fit the weights of `module`, one line each; empty if all does."""
        weights = dict(module.named_parameters())
        faults = []
        for name in self.names:
            if name not in weights:
                faults.append(f"{self.name} changes {name!r}, which the network does not have")
                continue
            shape = weights[name].shape
            expected = shape if name in self.full else matrix_shape(shape)
            got = self.full[name].shape if name in self.full else (len(self.factors[name][1]), *self._columns(name))
            if tuple(expected) != tuple(got):
                faults.append(f"{self.name} changes {name!r} as {list(got)}, expected {list(expected)}")
        return faults

    def _columns(self, name: str) -> tuple[int]:
        return (self.factors[name][0].shape[1],)


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return (O, I·kh·kw) of a weight of `shape`; (1, n) of a bias and (1, 1) of a number."""
    rows = shape[0] if len(shape) > 1 else 1
    return rows, math.prod(shape) // rows


def read_tensors(file: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file whole, on the CPU.

    Raises:
        PackError: missing, cut short, another format, a dtype that is no float, or values that are not finite.
    """
    check_is_itself(Path(file), PackError)
    try:
        with safe_open(str(file), framework="pt", device="cpu") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118, a handle, not a dict
    except (OSError, SafetensorError) as error:
        raise PackError(
            f"cannot read {file}: {error}. Expected a whole safetensors file; copy or download it again."
        ) from error
    faults = [
        f"{file}: {key} is {tensor.dtype}, expected floats" for key, tensor in tensors.items() if not _is_float(tensor)
    ]
    faults += [f"{file}: {fault}" for fault in value_faults(tensors)]
    raise_all(faults, PackError)
    return tensors


def _seed_of(name: str, seed: int) -> int:
    """A seed for one weight, the same in every process (Python's own hash is not)."""
    number = seed
    for character in name.encode():
        number = (number * 1_000_003 + character) % (2**61 - 1)
    return number


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_floating_point()
