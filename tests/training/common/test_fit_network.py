"""The loop of all small networks, on a toy: stopped, killed, failed or refused, it ends in the same weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gan_space.errors import ConfigError, Stopped, TrainingError
from training.common import stopping
from training.common.fit_network import FitConfig, Measurement, fit_network
from training.common.schedules import learning_rate
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


def fit(folder, losses=lambda nimg: None, measure=lambda nimg: None, **settings):
    """Fit y = x / 2; the functions are called at every step and every measurement."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(1, 1)
    config = Config(output_dir=str(folder), **settings)

    def step(nimg: int):
        losses(nimg)
        x = torch.randn(4, 1, generator=torch.Generator().manual_seed(nimg))
        return {"square": (layer(x) - x / 2).square().mean()}

    def measured(ema, nimg: int) -> Measurement:
        measure(nimg)
        return Measurement({"weight": ema.weight.item()}, "")

    optimizers = {"optimizer": torch.optim.SGD(layer.parameters(), lr=0.1)}
    return fit_network({"layer": layer}, optimizers, config, step, measured)


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


def test_other_settings_are_refused_and_what_may_change_may(whole, tmp_path):
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    with pytest.raises(ConfigError, match=r"(?s)--batch_size: 4 -> 8.*--seed: 0 -> 3"):
        fit(folder, batch_size=8, seed=3)
    assert record(folder) == record(whole)
    assert fit(folder, total_kimg=0.032).nimg == 32


@pytest.mark.parametrize("name", ["lr", "total_kimg", "ema_halflife_kimg", "checkpoint_kimg"])
@pytest.mark.parametrize("number", [0, -1, float("nan"), float("inf")])
def test_a_setting_that_counts_is_a_finite_number_above_zero(name, number, tmp_path):
    with pytest.raises(ConfigError, match=f"--{name} must be a finite number of more than 0, got {number}"):
        Config(output_dir=str(tmp_path), **{name: number}).check()


def test_a_finished_run_started_again_takes_no_step_and_gives_the_same_numbers(whole, tmp_path):
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    fitted = fit(folder, losses=lambda nimg: 1 / 0)
    assert (fitted.nimg, fitted.numbers) == (24, {"weight": record(whole)[-1]["weight"]})
    assert record(folder) == record(whole)


def test_the_learning_rate_warms_up_and_ends_near_zero(whole):
    rates = [line["lr"] for line in record(whole)]
    # Of the steps that began at 4, 12 and 20 of 24 pictures, with 2000 to warm up over.
    assert rates == pytest.approx([learning_rate(nimg, 0.1, 2.0, 0.024, 0.024) for nimg in (4, 12, 20)])


def test_a_loss_that_is_not_finite_names_the_last_good_checkpoint(tmp_path):
    def fail(nimg: int) -> None:
        if nimg == 12:
            layer_loss["factor"] = float("nan")

    layer_loss = {"factor": 1.0}
    torch.manual_seed(0)
    layer = torch.nn.Linear(1, 1)

    def step(nimg: int):
        fail(nimg)
        return {"square": layer_loss["factor"] * (layer(torch.ones(4, 1)) - 0.5).square().mean()}

    optimizers = {"optimizer": torch.optim.SGD(layer.parameters(), lr=0.1)}
    with pytest.raises(TrainingError, match=r"not finite at 0\.0 kimg.*nimg-000000008"):
        fit_network(
            {"layer": layer}, optimizers, Config(output_dir=str(tmp_path)), step, lambda ema, nimg: Measurement({}, "")
        )


@pytest.mark.parametrize(("weight", "moved"), [(0.5, 0.075), (2.0, 0.1)])
def test_weights_of_terms_and_the_length_of_gradients(tmp_path, weight, moved):
    """A term of weight 0 moves nothing; a gradient of length 3 is cut to 1."""
    layer = torch.nn.Linear(1, 1, bias=False)
    start = layer.weight.item()

    def step(nimg: int):
        return {"wanted": 1.5 * layer.weight.sum(), "not": 100 * layer.weight.square().sum()}

    config = Config(output_dir=str(tmp_path), total_kimg=0.004, checkpoint_kimg=0.004)
    fit_network(
        {"layer": layer}, {"optimizer": torch.optim.SGD(layer.parameters(), lr=0.1)}, config, step,
        lambda ema, nimg: Measurement({}, ""), weights={"wanted": weight, "not": 0.0}, warmup_kimg=0.0,
        max_grad_norm=1.0,
    )  # fmt: skip
    assert layer.weight.item() == pytest.approx(start - moved, abs=1e-5)


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


def test_a_closed_terminal_stops_a_run_unless_it_was_started_with_nohup():
    before = signal.getsignal(signal.SIGHUP)
    try:
        for handler, stops in ((signal.SIG_DFL, True), (signal.SIG_IGN, False)):
            signal.signal(signal.SIGHUP, handler)
            with StopSignal() as stop:
                os.kill(os.getpid(), signal.SIGHUP)
                assert stop.anywhere() is stops
            assert signal.getsignal(signal.SIGHUP) == handler
    finally:
        signal.signal(signal.SIGHUP, before)
