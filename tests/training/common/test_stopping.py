"""Told to stop, a run ends its step and saves; what can be done again is dropped; started again it goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file

from gan_space.errors import Stopped
from training.common import stopping
from training.common.fit_network import FitConfig, Measurement, fit_network
from training.common.stopping import StopSignal


@dataclass(frozen=True, kw_only=True)
class Config(FitConfig):
    batch_size: int = 4
    total_kimg: float = 0.024
    lr: float = 0.1
    ema_halflife_kimg: float = 0.01
    checkpoint_kimg: float = 0.008
    eval_images: int = 1
    mixed_precision: str = "no"


def fit(folder, losses=lambda nimg: None, measure=lambda nimg: None):
    """Fit y = x / 2; the functions are called at every step and every measurement."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(1, 1)

    def step(nimg: int):
        losses(nimg)
        x = torch.randn(4, 1, generator=torch.Generator().manual_seed(nimg))
        return {"square": (layer(x) - x / 2).square().mean()}

    def measured(ema, nimg: int) -> Measurement:
        measure(nimg)
        return Measurement({"weight": ema.weight.item()}, "")

    optimizers = {"optimizer": torch.optim.SGD(layer.parameters(), lr=0.1)}
    return fit_network({"layer": layer}, optimizers, Config(output_dir=str(folder)), step, measured)


def record(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in ("nimg", "loss_square", "weight", "lr")} for line in lines]


def last_weights(folder) -> dict[str, list]:
    checkpoint = sorted((folder / "checkpoints").iterdir())[-1]
    return {file.stem: {k: v.tolist() for k, v in load_file(file).items()} for file in checkpoint.glob("[le]*.safe*")}


def term() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    return folder


@pytest.mark.parametrize("at", [0, 12, 20])
def test_a_stop_between_measurements_saves_the_step_it_was_in(whole, tmp_path, at):
    with pytest.raises(Stopped, match=rf"saved at {(at + 4) / 1000:.1f} kimg; the same command goes on"):
        fit(tmp_path, losses=lambda nimg: term() if nimg == at else None)
    assert (tmp_path / "checkpoints" / f"nimg-{at + 4:09d}").is_dir()
    fit(tmp_path)
    assert record(tmp_path) == record(whole) and last_weights(tmp_path) == last_weights(whole)


def test_a_stop_while_measuring_drops_the_measurement(whole, tmp_path):
    reached = []

    def measure(nimg: int) -> None:
        if nimg == 16:
            term()
            reached.append(nimg)  # the signal is handled before

    with pytest.raises(Stopped, match=r"saved at 0\.0 kimg"):
        fit(tmp_path, measure=measure)
    assert not reached and [line["nimg"] for line in record(tmp_path)] == [8]
    fit(tmp_path)
    assert record(tmp_path) == record(whole) and last_weights(tmp_path) == last_weights(whole)


def test_a_fault_while_measuring_loses_nothing(whole, tmp_path):
    def fail(nimg: int) -> None:
        if nimg == 16:
            raise ZeroDivisionError

    seen = []
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, measure=fail)
    fit(tmp_path, losses=seen.append)
    assert seen == [16, 20]
    assert record(tmp_path) == record(whole) and last_weights(tmp_path) == last_weights(whole)


def test_ctrl_c_twice_means_now_but_not_when_a_launcher_passes_it_on(monkeypatch):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert not stop.anywhere()
        for name in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):  # the terminal's, the launcher's, its end
            os.kill(os.getpid(), name)
        assert stop.anywhere()
        monkeypatch.setattr(stopping, "SAME_REQUEST_SEC", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
