"""The loop of the small networks: step, average, and now and then a look, a checkpoint and a measurement."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from gan_space.errors import TrainingError
from training.checkpoint import CheckpointStore
from training.ema import make_ema, update_ema
from training.runlog import RunLog
from training.schedules import ema_decay, learning_rate

WARMUP_KIMG = 2.0
EMA_RAMPUP = 0.1


class FitConfig(Protocol):
    """What the loop reads of a script's settings."""

    output_dir: str
    batch_size: int
    total_kimg: float
    lr: float
    ema_halflife_kimg: float
    checkpoint_kimg: float


class Look(NamedTuple):
    """What was measured of the averaged network."""

    numbers: dict[str, Any]  # to be kept with the weights
    flat: dict[str, float]  # the same for the log
    told: str  # the same in one line


class Fitted(NamedTuple):
    """What the loop leaves."""

    ema: nn.Module
    nimg: int
    numbers: dict[str, Any]


def fit_network(
    name: str,
    network: nn.Module,
    config: FitConfig,
    losses: Callable[[int], dict[str, Tensor]],
    weights: dict[str, float],
    look: Callable[[nn.Module, int], Look],
) -> Fitted:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Adam with a warm-up and a cosine to zero; what gets measured and returned is the average of the weights.

    Args:
        name: of the network in checkpoints.
        network: on its device, in training mode.
        config: see `FitConfig`; the run in `output_dir` has been claimed.
        losses: from the pictures seen before to the terms of one step, unweighted. What it draws should depend on that
            number alone: then a resumed run needs no random state.
        weights: of the terms, by their names.
        look: measures the average after so many pictures.

    Raises:
        TrainingError: the loss is not finite.
    """
    output_dir = Path(config.output_dir)
    ema = make_ema(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, betas=(0.9, 0.99))
    modules, optimizers = {name: network, "ema": ema}, {"optimizer": optimizer}
    store = CheckpointStore(output_dir / "checkpoints")
    nimg, newest = 0, store.newest()
    if newest:
        nimg = store.load(newest, modules, optimizers)["nimg"]
    log = RunLog(output_dir, config, nimg)
    log.say(f"resuming at {nimg / 1000:.1f} kimg from {newest}" if newest else f"starting in {output_dir}")
    total_nimg, every = int(config.total_kimg * 1000), config.checkpoint_kimg * 1000
    numbers: dict[str, Any] = {}

    while nimg < total_nimg:
        rate = learning_rate(nimg, config.lr, WARMUP_KIMG, config.total_kimg, config.total_kimg)
        optimizer.param_groups[0]["lr"] = rate
        terms = losses(nimg)
        loss = sum(weights[term] * value for term, value in terms.items())
        if not loss.isfinite():
            raise TrainingError(
                f"the loss is not finite at {nimg / 1000:.1f} kimg: lower --lr. Last good checkpoint: {store.newest()}"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        before, nimg = nimg, nimg + config.batch_size
        update_ema(ema, network, ema_decay(nimg, config.batch_size, config.ema_halflife_kimg, EMA_RAMPUP))
        log.step(config.batch_size, {f"loss_{term}": value.item() for term, value in terms.items()})

        if nimg // every > before // every or nimg >= total_nimg:
            seen = look(ema, nimg)
            numbers = seen.numbers
            log.tick(nimg, {"lr": rate} | seen.flat)
            log.say(f"{nimg / 1000:.1f} kimg, held out: {seen.told}")
            store.save(nimg, modules, optimizers, {"numbers": numbers})
    log.close()
    if not numbers and newest:  # nothing was left to do
        numbers = json.loads((newest / "state.json").read_text())["numbers"]
    return Fitted(ema, nimg, numbers)
