"""Training steps as CUDA graphs: recorded once, then launched as one.

A small network's step is thousands of kernels of some microseconds, and launching them one by one from Python takes
longer than running them. What a recording cannot hold is anything that the host decides or changes: numbers are frozen
as they were, so a phase is recorded anew when its settings change, and tensors are read where they were, so inputs are
copied there and gradients are found there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn

# Before, libraries choose their kernels and filters are compiled. More than the steps between changes of an adaptive
# augmentation, whose phases are therefore never recorded.
RUNS_BEFORE_RECORDING = 8

Phase = Callable[..., dict[str, Tensor]]


class Recorder:
    """Runs phases of a training step, each a function of tensors that leaves gradients in a network.

    Args:
        enabled: False runs every phase as it is, on any device.
    """

    def __init__(self, enabled: bool):
        self.enabled = enabled
        self._recordings: dict[str, _Recording] = {}

    def run(
        self, name: str, settings: Hashable, phase: Phase, inputs: tuple[Tensor, ...], network: nn.Module
    ) -> dict[str, Tensor]:
        """Run `phase(*inputs)`, from a recording once there is one.

        Args:
            name: of the phase; one recording is kept for each.
            settings: everything but the inputs that the phase depends on.
            phase: returns named numbers, [] each. Draws random numbers on the device and never asks it for a value.
            inputs: of the same shapes every time.
            network: has no gradients before and has those of the phase after.

        Returns:
            What the phase returns, without a graph behind it.
        """
        if not self.enabled:
            return _detached(phase(*inputs))
        recording = self._recordings.get(name)
        if recording is None or recording.settings != settings:
            recording = self._recordings[name] = _Recording(settings)
        return recording.run(phase, inputs, network)


class _Recording:
    """One phase under one set of settings."""

    def __init__(self, settings: Hashable):
        self.settings = settings
        self.runs = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def run(self, phase: Phase, inputs: tuple[Tensor, ...], network: nn.Module) -> dict[str, Tensor]:
        self.runs += 1
        if self.runs <= RUNS_BEFORE_RECORDING:
            return _detached(phase(*inputs))
        if self.graph is None:
            self._record(phase, inputs, network)
        for kept, new in zip(self.inputs, inputs, strict=True):
            kept.copy_(new)
        self.graph.replay()
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return dict(self.stats)

    def _record(self, phase: Phase, inputs: tuple[Tensor, ...], network: nn.Module) -> None:
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        self.graph = torch.cuda.CUDAGraph()
        # Only this thread may not touch the device in other ways meanwhile: one that pins memory for the loader may.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.stats = _detached(phase(*self.inputs))
        # The optimizer's zero_grad lets go of these; the graph writes to them all the same.
        self.gradients = [(p, p.grad) for p in network.parameters() if p.grad is not None]


def _detached(stats: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in stats.items()}
