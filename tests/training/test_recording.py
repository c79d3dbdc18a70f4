"""Recording of steps, with a stand-in for the GPU's graph: what is copied where, and when a recording is made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from torch import nn

from training.recording import RUNS_BEFORE_RECORDING, Recorder


class Double:
    """A phase, loss = sum(factor * weight * x), that counts how often Python runs it."""

    def __init__(self, network: nn.Module, factor: float = 1.0):
        self.network, self.factor, self.runs = network, factor, 0

    def __call__(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.runs += 1
        loss = (self.factor * self.network.weight * x).sum()
        loss.backward()
        return {"loss": loss}


class Graph:
    """Does on a CPU what `torch.cuda.CUDAGraph` does: writes the results of the same work into the same tensors."""

    made: ClassVar[list[Graph]] = []

    def __init__(self):
        self.made.append(self)
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        (x,) = self.recording.inputs
        ((weight, gradient),) = self.recording.gradients
        gradient.copy_(self.factor * x)
        with torch.no_grad():
            self.recording.stats["loss"].copy_((self.factor * weight * x).sum())


@pytest.fixture
def graphs(monkeypatch):
    @contextmanager
    def graph(one, **options):
        yield

    monkeypatch.setattr(Graph, "made", [])
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    return Graph.made


@pytest.fixture
def network():
    return nn.Linear(3, 1, bias=False)


def run(recorder: Recorder, network: nn.Module, phase: Double, x: torch.Tensor, settings=0) -> torch.Tensor:
    """One phase as a step has it; returns the gradient that the optimizer sees."""
    stats = recorder.run("phase", settings, phase, (x,), network)
    gradient = network.weight.grad.clone()
    assert not stats["loss"].requires_grad
    assert torch.allclose(stats["loss"], (phase.factor * network.weight * x).sum())
    network.zero_grad(set_to_none=True)
    return gradient


def run_until_recorded(recorder: Recorder, network: nn.Module, phase: Double, monkeypatch, settings=0) -> None:
    """Run a phase so often that the next run records it."""
    for _ in range(RUNS_BEFORE_RECORDING):
        run(recorder, network, phase, torch.ones(3), settings)
    recording = recorder._recordings["phase"]
    assert recording.graph is None
    monkeypatch.setattr(Graph, "recording", recording, raising=False)
    monkeypatch.setattr(Graph, "factor", phase.factor, raising=False)


def test_a_disabled_recorder_runs_the_phase_each_time(graphs, network):
    phase = Double(network)
    for _ in range(RUNS_BEFORE_RECORDING + 3):
        assert torch.equal(run(Recorder(False), network, phase, torch.ones(3)), torch.ones(1, 3))
    assert phase.runs == RUNS_BEFORE_RECORDING + 3
    assert not graphs


def test_a_recorded_phase_reads_new_inputs_and_leaves_new_gradients(graphs, network, monkeypatch):
    recorder, phase = Recorder(True), Double(network, factor=2.0)
    run_until_recorded(recorder, network, phase, monkeypatch)
    runs = phase.runs
    for number in range(1, 4):
        x = torch.full([3], float(number))
        assert torch.equal(run(recorder, network, phase, x), 2.0 * x[None])
        assert torch.equal(x, torch.full([3], float(number))), "the caller's tensor is only read"
    assert phase.runs == runs + 1, "Python runs the phase once to record it, and never again"
    assert len(graphs) == 1 and graphs[0].replays == 3


def test_other_settings_make_another_recording(graphs, network, monkeypatch):
    recorder = Recorder(True)
    first, second = Double(network, factor=2.0), Double(network, factor=3.0)
    run_until_recorded(recorder, network, first, monkeypatch, settings="two")
    run(recorder, network, first, torch.ones(3), settings="two")
    run_until_recorded(recorder, network, second, monkeypatch, settings="three")
    assert torch.equal(run(recorder, network, second, torch.ones(3), settings="three"), torch.full([1, 3], 3.0))
    assert len(graphs) == 2


def test_settings_that_keep_changing_are_never_recorded(graphs, network):
    recorder, phase = Recorder(True), Double(network)
    for step in range(4 * RUNS_BEFORE_RECORDING):
        run(recorder, network, phase, torch.ones(3), settings=step // 4)  # as an adaptive augmentation changes
    assert not graphs
