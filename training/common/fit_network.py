"""The training loop of all small networks: step, average, and now and then a checkpoint and a measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from gan_space.errors import ConfigError, Stopped, TrainingError, raise_all
from gan_space.settings import positive_faults, values_of
from training.common.checkpoint import CheckpointStore
from training.common.claim import claim_run
from training.common.distributed import check_num_processes
from training.common.ema import make_ema, update_ema
from training.common.optimizers import OPTIMIZERS, Optimizer, OptimizerName
from training.common.precision import MIXED_PRECISIONS, precision_remark
from training.common.runlog import RunLog
from training.common.schedules import ema_decay, learning_rate
from training.common.stopping import StopSignal, saved_at

EMA_RAMPUP = 0.1
B = TypeVar("B", bound=tuple[Tensor, ...])


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings that the trainings of all small networks have."""

    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("output_dir", "total_kimg", "checkpoint_kimg", "eval_images")
    DONE_BEFORE: ClassVar[dict[str, str]] = {"optimizer": "adam"}  # before there was a choice

    output_dir: str
    """Folder of the run; an existing one is resumed."""
    batch_size: int
    """Pictures a step; these are what kimg count."""
    total_kimg: float
    """When to stop, in thousand pictures."""
    lr: float
    """Learning rate; warmed up, then a cosine to zero."""
    ema_halflife_kimg: float
    """Half-life of the weight average, which is what gets measured and saved."""
    checkpoint_kimg: float
    """Thousand pictures between checkpoints, each with a measurement."""
    eval_images: int
    """Faces in a measurement."""
    optimizer: OptimizerName = "adam"
    """adam, or muon, which gives the directions of a large matrix steps of the same length."""
    mixed_precision: str = "bf16"
    """bf16 runs the convolutions of the training steps in bfloat16; "no" does not."""
    seed: int = 0
    """Of weights, order and all that is drawn at random."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        raise_all(self.faults(), ConfigError)

    def faults(self, positive: Sequence[str] = (), shares: Sequence[str] = ()) -> list[str]:
        """Return what is wrong with the settings, a message for each.

        Args:
            positive: names of more settings that must be more than 0.
            shares: names of those that must be from 0 to 1.
        """
        common = ("batch_size", "total_kimg", "lr", "ema_halflife_kimg", "checkpoint_kimg", "eval_images")
        faults = positive_faults(values_of(self, *common, *positive), "--")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                faults.append(f"--{name} must be from 0 to 1, got {getattr(self, name)}")
        weights = vars(self.weights) if hasattr(self, "weights") else {}
        negative = [name for name, value in weights.items() if value < 0 or not math.isfinite(value)]
        if negative:
            faults.append(f"--weights.{', --weights.'.join(negative)} must be 0 or more")
        if self.optimizer not in OPTIMIZERS:
            faults.append(f"--optimizer must be {' or '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.mixed_precision not in MIXED_PRECISIONS:
            faults.append(f"--mixed_precision must be no or bf16, got {self.mixed_precision!r}")
        if not 0 <= self.seed < 2**31:
            faults.append(f"--seed must be from 0 to 2**31 - 1, got {self.seed}")
        return faults


@dataclass(frozen=True, kw_only=True)
class HeldOutFitConfig(FitConfig):
    """Of those that learn from one split of a data set and are measured on another."""

    train_split: str = "train"
    """Split to train on."""
    eval_split: str = "test"
    """Split to measure on; never trained on."""


def fit_device() -> torch.device:
    """Return the device that accelerate gives to this process.

    Raises:
        ConfigError: it started several processes. A small network's batch says what a step is, and one GPU has room
            for it.
    """
    accelerator = Accelerator(mixed_precision="no")  # the networks choose their own format
    check_num_processes(accelerator)
    if accelerator.num_processes > 1:
        raise ConfigError(f"this network trains in one process, got {accelerator.num_processes}: --num_processes 1")
    return accelerator.device


def to_device(batch: B, device: torch.device) -> B:
    """Return the same batch, a named tuple of tensors, on a device."""
    return type(batch)(*(part.to(device) for part in batch))


def start_from(network: nn.Module, source: str | None) -> str:
    """Copy what fits from an earlier network of the same kind, if one is named.

    Returns:
        A remark for the log, empty without one.

    Raises:
        ConfigError: nothing fits.
        WeightsError: it cannot be read.
    """
    return copy_fitting(network, type(network).from_pretrained(source), source) if source else ""


@torch.no_grad()
def copy_fitting(network: nn.Module, earlier: nn.Module, source: str) -> str:
    """Copy the parameters that have the same name and shape; buffers, such as the scale of features, stay as they are.

    Args:
        network: is changed.
        earlier: of the same kind.
        source: where `earlier` comes from.

    Returns:
        A remark for the log.

    Raises:
        ConfigError: not one fits.
    """
    known = dict(earlier.named_parameters())
    own = dict(network.named_parameters())
    fitting = [name for name, value in own.items() if name in known and known[name].shape == value.shape]
    if not fitting:
        raise ConfigError(f"--init_from: not one tensor of {source} has the shape that is needed here")
    for name in fitting:
        own[name].copy_(known[name])
    return f"{len(fitting)} of {len(own)} tensors come from {source}"


class Measurement(NamedTuple):
    """What was measured of the averaged network."""

    numbers: dict[str, Any]  # to be kept with the weights
    summary: str  # the same in one line
    flat: dict[str, float] | None = None  # the same for the log, where they have more than one level


class Fitted(NamedTuple):
    """What the loop leaves."""

    ema: nn.Module
    nimg: int
    numbers: dict[str, Any]


def fit_network(
    modules: dict[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    config: FitConfig,
    losses: Callable[[int], dict[str, Tensor]],
    measure: Callable[[nn.Module, int], Measurement],
    *,
    weights: Mapping[str, float] | None = None,
    after_step: Callable[[], None] | None = None,
    warmup_kimg: float = 2.0,
    max_grad_norm: float | None = None,
    remark: str = "",
) -> Fitted:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    The learning rate is warmed up and then follows a cosine to zero; what gets measured and returned is the average of
    the weights.

    Args:
        modules: what checkpoints hold, by name. The first is the network that is averaged, on its device and in
            training mode.
        optimizers: what checkpoints hold of optimizers. The first is that of the network.
        config: see `FitConfig`; `check` has passed.
        losses: from the pictures seen before to the terms of one step, unweighted. What it draws should depend on that
            number alone: then a resumed run needs no random state.
        measure: measures the average after so many pictures.
        weights: of the terms, by their names; 1 for those that are not named, and 0 leaves a term out.
        after_step: called after each step, before its checkpoint.
        warmup_kimg: length of the warm-up.
        max_grad_norm: longer gradients of the network are cut down to this.
        remark: for the log of a run that starts.

    Raises:
        ConfigError: another process trains in `output_dir`, or the run in it has other settings.
        TrainingError: the loss is not finite.
        Stopped: by SIGTERM or Ctrl-C; the run is saved.
    """
    output_dir, weights = Path(config.output_dir), weights or {}
    claim_run(output_dir, config, config.MAY_CHANGE)
    network, optimizer = next(iter(modules.values())), next(iter(optimizers.values()))
    ema, device = make_ema(network), next(network.parameters()).device
    modules = {**modules, "ema": ema}
    store = CheckpointStore(output_dir / "checkpoints")
    nimg, newest, state = 0, store.newest(), {}
    if newest:
        state = store.load(newest, modules, optimizers)
        nimg = state["nimg"]
    numbers, due = state.get("numbers", {}), state.get("measurement_due", False)  # stopped between save and measurement
    total_nimg, every = int(config.total_kimg * 1000), config.checkpoint_kimg * 1000
    with StopSignal() as stop, RunLog(output_dir, config, nimg, measure_again=due, state=state.get("log")) as log:
        log.say(f"resuming at {nimg / 1000:.1f} kimg from {newest}" if newest else f"starting in {output_dir}")
        lines = [*store.passed_over(), remark if not newest else "", precision_remark(config.mixed_precision, device)]
        for line in filter(None, lines):
            log.say(line)

        while True:
            if due:
                with stop.nothing_to_lose(saved_at(nimg)):  # there is a checkpoint of this very place
                    measured = measure(ema, nimg)
                numbers = measured.numbers
                rate = _rate(config, warmup_kimg, nimg - config.batch_size)  # of the last step
                log.tick(nimg, {"lr": rate} | (numbers if measured.flat is None else measured.flat))
                log.say(f"{nimg / 1000:.1f} kimg, held out: {measured.summary}")
            if nimg >= total_nimg:
                break

            for one in optimizers.values():
                for group in one.param_groups:
                    group["lr"] = _rate(config, warmup_kimg, nimg)
            terms = losses(nimg)
            weighted = {
                name: weights.get(name, 1.0) * term for name, term in terms.items() if weights.get(name, 1.0) > 0
            }
            loss = sum(weighted.values())
            if not loss.isfinite():
                raise TrainingError(
                    f"the loss is not finite at {nimg / 1000:.1f} kimg: lower --lr. Last good checkpoint: "
                    f"{store.newest()}"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if max_grad_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), max_grad_norm)
            optimizer.step()
            if after_step is not None:
                after_step()
            before, nimg = nimg, nimg + config.batch_size
            update_ema(ema, network, ema_decay(nimg, config.batch_size, config.ema_halflife_kimg, EMA_RAMPUP))
            log.step(config.batch_size, {f"loss_{name}": term.item() for name, term in terms.items()})

            due = nimg // every > before // every or nimg >= total_nimg
            stopping = stop.anywhere()
            if due or stopping:
                state = {"numbers": numbers, "measurement_due": due, "log": log.state(nimg)}
                store.save(nimg, modules, optimizers, state)
            if stopping:
                raise Stopped(saved_at(nimg))
    return Fitted(ema, nimg, numbers)


def _rate(config: FitConfig, warmup_kimg: float, nimg: int) -> float:
    return learning_rate(nimg, config.lr, warmup_kimg, config.total_kimg, config.total_kimg)
