"""What a run will need, found by running a few of its steps on noise: `--dry_run`."""

from __future__ import annotations

import json
import resource
import statistics
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from training.common.checkpoint import CheckpointStore
from training.config import TrainConfig
from training.data import open_training_table
from training.initialise import start_from
from training.steps import discriminator_step, generator_step, make_players

TIMED_STEPS = 4


def dry_run(config: TrainConfig, device: torch.device, world_size: int) -> str:
    """Return a report: settings, data, parameters, memory, time. Writes nothing.

    Raises:
        DataError: the data set cannot be opened, or lacks a column that the settings name.
        ConfigError: the model to start from is missing or does not fit.
    """
    table, labels, _ = open_training_table(config)
    pictures = "streamed" if config.streaming else f"{len(table):,}"
    players = make_players(config, labels.c_dim if labels else 0, device)
    if config.init_from and CheckpointStore(Path(config.output_dir) / "checkpoints").newest() is None:
        start_from(players, config.init_from)
    batch = config.batch_size // world_size
    real = torch.randn(batch, 3, config.resolution, config.resolution, device=device).clamp(-1, 1)
    c = torch.zeros(batch, labels.c_dim if labels else 0, device=device)
    plain = [_timed_step(players, config, real, c, nimg) for nimg in _steps_without_penalty(config)]
    with_penalty = _timed_step(players, config, real, c, nimg=0)
    with FlopCounterMode(display=False) as arithmetic:  # after the timed steps, which it would slow down
        _timed_step(players, config, real, c, nimg=(_steps_without_penalty(config) or [0])[0])
    gflop = arithmetic.get_total_flops() / batch / 1e9
    share = 1 / config.r1_interval
    seconds = statistics.median(plain[1:]) * (1 - share) + with_penalty * share if plain else with_penalty
    images_per_sec = config.batch_size / seconds
    hours = config.total_kimg * 1000 / images_per_sec / 3600
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in players.modules.items()}
    return "\n".join(
        [
            json.dumps(config.to_dict(), indent=1),
            f"data         {config.dataset_name} ({config.dataset_split}): {pictures} pictures"
            + (f", {labels.c_dim} label values in {labels.column}" if labels else ""),
            "parameters   " + ", ".join(f"{name} {counts[name]:,}" for name in counts if name != "ema"),
            f"arithmetic   {gflop:,.1f} GFLOP a picture in a step "
            + ("without penalties" if plain else "with its penalties"),
            f"memory       {_peak_memory_mb(device):,.0f} MB a process at its peak",
            f"speed        about {images_per_sec:,.1f} images/s on {world_size} x {device.type}, measured on "
            f"{TIMED_STEPS + 1} steps; without reading data and evaluation",
            f"time         about {hours:,.1f} h for {config.total_kimg:,.0f} kimg",
        ]
    )


def _steps_without_penalty(config: TrainConfig) -> list[int]:
    """Images seen at which no lazy penalty is due."""
    if config.r1_interval == 1:
        return []
    return [config.batch_size * (1 + step % (config.r1_interval - 1)) for step in range(TIMED_STEPS)]


def _timed_step(players, config: TrainConfig, real, c, nimg: int) -> float:
    if real.device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    discriminator_step(players, config, real.clone(), c, c, nimg=nimg)
    generator_step(players, config, real.clone(), c, c, nimg=nimg)
    if real.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
