"""What networks made of a photo, kept as long as photo and weights are the same."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from torch import nn

from gan_space.packs.attaching import weights_version

T = TypeVar("T")


class Memory:
    """Values by name, each valid for the very networks that it was computed with.

    A network counts as changed when its weights were written, moved or cast; packs that were attached and taken off
    again do not count. Copies to other processes start empty.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[list[weakref.ref], list[tuple], Any]] = {}

    def get(self, name: Hashable, networks: Sequence[nn.Module], make: Callable[[], T]) -> T:
        """Return what `make` returned when it was asked first with these networks."""
        states = [_state_of(network) for network in networks]
        if name in self._values:
            references, known, value = self._values[name]
            if known == states and all(one() is two for one, two in zip(references, networks, strict=True)):
                return value
        value = make()
        self._values[name] = ([weakref.ref(network) for network in networks], states, value)
        return value

    def __getstate__(self) -> dict:
        return {"_values": {}}  # weak references belong to one process


def _state_of(network: nn.Module) -> tuple:
    first = next(network.parameters(), None)
    where = () if first is None else (first.dtype, first.device)
    return (*where, getattr(network, "compute_dtype", None), weights_version(network))
