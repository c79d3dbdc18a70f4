"""The loop of the small networks: step, average, and now and then a look, a checkpoint and a measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gan_space.errors import ConfigError, Stopped, TrainingError
from training.common.checkpoint import CheckpointStore
from training.common.ema import make_ema, update_ema
from training.common.precision import MIXED_PRECISIONS, precision_remark
from training.common.runlog import RunLog
from training.common.schedules import ema_decay, learning_rate
from training.common.stopping import StopSignal, saved_at

EMA_RAMPUP = 0.1


class FitConfig(Protocol):
    """What the loop reads of a script's settings."""

    output_dir: str
    batch_size: int
    total_kimg: float
    lr: float
    ema_halflife_kimg: float
    checkpoint_kimg: float


def settings_faults(config, positive: Sequence[str], *, shares: Sequence[str] = ()) -> list[str]:
    """What is wrong with the settings that the scripts of small networks have in common, a message for each.

    Args:
        config: has `mixed_precision` and `seed`, and perhaps `weights`, a dataclass of numbers.
        positive: names of those that must be more than 0.
        shares: names of those that must be from 0 to 1.
    """
    faults = [
        f"--{name} must be more than 0, got {getattr(config, name)}" for name in positive if getattr(config, name) <= 0
    ]
    for name in shares:
        if not 0 <= getattr(config, name) <= 1:
            faults.append(f"--{name} must be from 0 to 1, got {getattr(config, name)}")
    weights = vars(config.weights) if hasattr(config, "weights") else {}
    negative = [name for name, value in weights.items() if value < 0 or not math.isfinite(value)]
    if negative:
        faults.append(f"--weights.{', --weights.'.join(negative)} must be 0 or more")
    if config.mixed_precision not in MIXED_PRECISIONS:
        faults.append(f"--mixed_precision must be no or bf16, got {config.mixed_precision!r}")
    if not 0 <= config.seed < 2**31:
        faults.append(f"--seed must be from 0 to 2**31 - 1, got {config.seed}")
    return faults


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


class Look(NamedTuple):
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
    optimizers: dict[str, torch.optim.Optimizer],
    config: FitConfig,
    losses: Callable[[int], dict[str, Tensor]],
    look: Callable[[nn.Module, int], Look],
    *,
    weights: Mapping[str, float] | None = None,
    after_step: Callable[[int], dict[str, Tensor]] | None = None,
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
        config: see `FitConfig`; the run in `output_dir` has been claimed.
        losses: from the pictures seen before to the terms of one step, unweighted. What it draws should depend on that
            number alone: then a resumed run needs no random state.
        look: measures the average after so many pictures.
        weights: of the terms, by their names; 1 for those that are not named, and 0 leaves a term out.
        after_step: called after each step with the pictures seen before it; trains what plays against the network, and
            gives more terms for the log.
        warmup_kimg: length of the warm-up.
        max_grad_norm: longer gradients of the network are cut down to this.
        remark: for the log of a run that starts.

    Raises:
        TrainingError: the loss is not finite.
        Stopped: by SIGTERM or Ctrl-C; the run is saved.
    """
    output_dir, weights = Path(config.output_dir), weights or {}
    network, optimizer = next(iter(modules.values())), next(iter(optimizers.values()))
    ema, device = make_ema(network), next(network.parameters()).device
    modules = {**modules, "ema": ema}
    store = CheckpointStore(output_dir / "checkpoints")
    nimg, newest, state = 0, store.newest(), {}
    if newest:
        state = store.load(newest, modules, optimizers)
        nimg = state["nimg"]
    numbers, look_due = state.get("numbers", {}), state.get("look_due", False)  # due: stopped between save and look
    total_nimg, every = int(config.total_kimg * 1000), config.checkpoint_kimg * 1000
    with StopSignal() as stop, RunLog(output_dir, config, nimg, look_again=look_due, state=state.get("log")) as log:
        log.say(f"resuming at {nimg / 1000:.1f} kimg from {newest}" if newest else f"starting in {output_dir}")
        lines = [*store.passed_over(), remark if not newest else "", precision_remark(config.mixed_precision, device)]
        for line in filter(None, lines):
            log.say(line)

        while True:
            if look_due:
                with stop.nothing_to_lose(saved_at(nimg)):  # there is a checkpoint of this very place
                    seen = look(ema, nimg)
                numbers = seen.numbers
                rate = _rate(config, warmup_kimg, nimg - config.batch_size)  # of the last step
                log.tick(nimg, {"lr": rate} | (numbers if seen.flat is None else seen.flat))
                log.say(f"{nimg / 1000:.1f} kimg, held out: {seen.summary}")
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
                terms |= after_step(nimg)
            before, nimg = nimg, nimg + config.batch_size
            update_ema(ema, network, ema_decay(nimg, config.batch_size, config.ema_halflife_kimg, EMA_RAMPUP))
            log.step(config.batch_size, {f"loss_{name}": term.item() for name, term in terms.items()})

            look_due = nimg // every > before // every or nimg >= total_nimg
            stopping = stop.anywhere()
            if look_due or stopping:
                state = {"numbers": numbers, "look_due": look_due, "log": log.state(nimg)}
                store.save(nimg, modules, optimizers, state)
            if stopping:
                raise Stopped(saved_at(nimg))
    return Fitted(ema, nimg, numbers)


def _rate(config: FitConfig, warmup_kimg: float, nimg: int) -> float:
    return learning_rate(nimg, config.lr, warmup_kimg, config.total_kimg, config.total_kimg)
