"""Packs on a network: changes of weights added together by scale, taken off again exact to the bit.

**Threads.** `attach` and `detach` write into the module's own weights, so whoever draws with that module draws with the
packs. `attached` holds a lock of the module for as long as its block runs: blocks in several threads come one after
another and each sees its own packs. Drawing outside of such a block while another thread is in one is not protected.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_space.errors import PackError, raise_all
from gan_space.packs.low_rank import LowRankDelta


@dataclass
class _Attached:
    """What hangs on a module: the packs, and the weights as they were before."""

    packs: list[tuple[LowRankDelta, float]]
    originals: dict[str, Tensor]
    versions: dict[str, int]


_attached: weakref.WeakKeyDictionary[nn.Module, _Attached] = weakref.WeakKeyDictionary()
_writes: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()  # of weights, by attach and detach
_locks: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def attach(module: nn.Module, packs: Sequence[tuple[LowRankDelta, float]]) -> None:
    """Let `module` work with weights + Σ scale · delta, in place of whatever was attached before.

    The sum is always taken from the weights as they were first, so attaching again never drifts. A copy of the module,
    or a file saved from it, keeps the packs for good: detach first.

    Args:
        module: where the names of the deltas are looked up; use the same module for every call.
        packs: (delta, scale) in any number; a scale of 0 changes nothing, 1 is the pack as tuned, others are allowed.

    Raises:
        PackError: a delta names a weight that is missing or has another shape, a scale is not finite, or the weights
            were written by someone else since packs were attached; nothing is changed then.
    """
    with _lock_of(module):
        faults = [fault for delta, _ in packs for fault in delta.faults_in(module)]
        faults += [f"{delta.name}: the scale must be finite, got {scale}" for delta, scale in packs if not _ok(scale)]
        raise_all(faults, PackError)
        detach(module)
        used = [(delta, float(scale)) for delta, scale in packs if scale != 0]
        if not used:
            return
        weights = dict(module.named_parameters())
        names = sorted({name for delta, _ in used for name in delta.names})
        # Outside of inference mode, so that the kept weights can be used anywhere later.
        with torch.inference_mode(False), torch.no_grad():
            originals = {name: weights[name].detach().clone() for name in names}
            for name in names:
                weight = weights[name]
                changes = (
                    # One pack may have it as factors and another whole.
                    scale * delta.change_of(name).reshape(weight.shape)
                    for delta, scale in used
                    if name in delta.names
                )
                changed = originals[name].float() + sum(changes).to(weight.device)
                # copy_ raises the tensor's version, by which nn.modulated.PreparedWeight sees the change.
                weight.copy_(changed)
            _writes[module] = _writes.get(module, 0) + len(names)
            versions = {name: weights[name]._version for name in names}
        _attached[module] = _Attached(list(packs), originals, versions)


def detach(module: nn.Module) -> None:
    """Give `module` its own weights back, equal to the bit; nothing happens where no pack is attached.

    Raises:
        PackError: the weights were written by someone else since packs were attached.
    """
    with _lock_of(module):
        if module not in _attached:
            return
        state = _attached[module]
        weights = dict(module.named_parameters())
        strange = [name for name, version in state.versions.items() if weights[name]._version != version]
        if strange:
            raise PackError(
                f"the weights {', '.join(strange[:4])} were loaded or trained while packs were attached, so the "
                "originals cannot be put back. Detach packs before writing weights; load the network again."
            )
        with torch.inference_mode(False), torch.no_grad():
            for name, original in state.originals.items():
                weights[name].copy_(original)
        _writes[module] = _writes.get(module, 0) + len(state.originals)
        del _attached[module]


def weights_version(module: nn.Module) -> int:
    """Count up whenever weights of `module` are written, other than by attaching and detaching packs."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor._version for tensor in tensors) - _writes.get(module, 0)


def attached_packs(module: nn.Module) -> list[tuple[LowRankDelta, float]]:
    """Say what is attached to `module` now."""
    return list(_attached[module].packs) if module in _attached else []


@contextmanager
def attached(module: nn.Module, packs: Sequence[tuple[LowRankDelta, float]]) -> Iterator[nn.Module]:
    """Attach for the length of a with-block; afterwards what was attached before is back.

    Holds the module's lock meanwhile, see the top of this file.

    Raises:
        PackError: as `attach`.
    """
    with _lock_of(module):
        before = attached_packs(module)
        attach(module, packs)
        try:
            yield module
        finally:
            attach(module, before)


def call_with(module: nn.Module, deltas: Sequence[LowRankDelta], method: str, *arguments, **options):
    """Call `module.method(…)` with weights + deltas so that gradients reach the deltas; the weights stay untouched.

    For tuning, with gradients on; to draw, use `attached`, which lets the layers keep their prepared weights.

    Args:
        module: where the names of the deltas are looked up.
        deltas: each at scale 1.
        method: name of the method, such as "forward" or "synthesis.finish".
        arguments, options: for the method.

    Raises:
        PackError: a delta names a weight that is missing or has another shape.
    """
    raise_all([fault for delta in deltas for fault in delta.faults_in(module)], PackError)
    if not torch.is_grad_enabled():
        raise RuntimeError("call_with is for gradients; under no_grad use `attached`")
    weights = dict(module.named_parameters())
    changed: dict[str, Tensor] = {}
    for delta in deltas:
        for name in delta.names:
            base = changed.get(name, weights[name].detach())
            changed[name] = base + delta.change_of(name).reshape(base.shape)
    renamed = {f"module.{name}": weight for name, weight in changed.items()}
    with _lock_of(module):  # functional_call swaps the module's weights while it runs
        return torch.func.functional_call(_Caller(module, method), renamed, arguments, options)


class _Caller(nn.Module):
    """Makes any method of a module the forward that `functional_call` wants."""

    def __init__(self, module: nn.Module, method: str):
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *arguments, **options):
        target = self.module
        for part in self.method.split("."):
            target = getattr(target, part)
        return target(*arguments, **options)


def _lock_of(module: nn.Module) -> threading.RLock:
    with _guard:
        if module not in _locks:
            _locks[module] = threading.RLock()
        return _locks[module]


def _ok(scale: float) -> bool:
    return isinstance(scale, int | float) and math.isfinite(scale)
