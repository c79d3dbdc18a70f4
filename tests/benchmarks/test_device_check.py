"""The check of a device passes on the CPU, and fails where weights change unseen."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from benchmarks import device_check
from training.config import PRESETS
from training.recording import Recorder

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """What is looked for depends neither on the size nor, on a CPU, on the steps before those that are compared."""
    monkeypatch.setattr(device_check, "RUNS_BEFORE_RECORDING", 2)
    monkeypatch.setitem(PRESETS, "tiny", dataclasses.replace(PRESETS["tiny"], resolution=16, batch_size=8))


def test_the_cpu_agrees_with_itself(printed_by):
    out = printed_by(device_check, "--device", "cpu")
    assert out.count("| ok ") == 5 and "FAILED" not in out, out


def test_hidden_writes_are_found(monkeypatch):
    """What happened on CUDA once: nobody says that the weights have changed, and nothing raises their versions."""
    monkeypatch.setattr("training.steps.weights_have_changed", lambda module: None)

    def hidden_step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data.add_(parameter.grad.sign(), alpha=-0.05)

    monkeypatch.setattr(torch.optim.Adam, "step", hidden_step)
    stale, _ = device_check.stale_after_training(torch.device("cpu"))
    assert stale > 10 * device_check.MAX_STALE


def test_random_numbers_that_a_recording_froze_are_found(monkeypatch):
    made = []

    class Frozen(Recorder):
        """Of two, the second draws the same numbers in every phase."""

        def __init__(self, enabled: bool):
            super().__init__(enabled)
            made.append(self)

        def run(self, *args):
            if len(made) == 2:
                torch.manual_seed(0)
            return super().run(*args)

    monkeypatch.setattr("training.steps.Recorder", Frozen)
    assert device_check.recorded_difference(torch.device("cpu")) > 3 * device_check.MAX_RECORDED
