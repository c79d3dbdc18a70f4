"""What a step of training costs on this device, at several batch sizes, and where its time goes.

    python -m benchmarks.training_profile --preset portraits-128 --device cuda --batch 32 64 128
    python -m benchmarks.training_profile --preset portraits-64 --profile

The steps are those of `training/train.py`, on noise instead of pictures. A GPU that a step keeps less than about nine
tenths busy waits for Python to launch kernels: then a larger batch is nearly free, and small kernels are what to fight.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import benchmark_parser, format_table, start
from training.config import COMPILED, PRESETS, TrainConfig
from training.recording import RUNS_BEFORE_RECORDING
from training.steps import Players, discriminator_step, generator_step, make_players

TOP_OPERATORS = 15
WARMUP_STEPS = RUNS_BEFORE_RECORDING + 1  # libraries choose their kernels, filters are compiled, graphs recorded


class Trainer:
    """Takes training steps on noise, with or without the lazy gradient penalties."""

    def __init__(self, config: TrainConfig, device: torch.device):
        self.config, self.device = config, device
        self.players: Players = make_players(config, 0, device)
        side = config.resolution
        self.real = torch.randn(config.batch_size, 3, side, side, device=device).clamp(-1, 1)
        self.c = torch.zeros(config.batch_size, 0, device=device)

    def step(self, *, penalty: bool) -> None:
        """Run one update of D and one of G."""
        nimg = 0 if penalty else self.config.batch_size
        for half in (discriminator_step, generator_step):
            half(self.players, self.config, self.real.clone(), self.c, self.c, nimg=nimg)

    def seconds(self, repeats: int, *, penalty: bool) -> float:
        """Return the mean wall time of a step."""
        for _ in range(WARMUP_STEPS):
            self.step(penalty=penalty)
        self._wait()
        started = time.perf_counter()
        for _ in range(repeats):
            self.step(penalty=penalty)
        self._wait()
        return (time.perf_counter() - started) / repeats

    def profile(self, repeats: int) -> tuple[list[list[object]], float]:
        """Return rows (operator, calls a step, ms a step) by time, and seconds of device time a step."""
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (self.device.type == "cuda")
        with profile(activities=activities) as record:
            for _ in range(repeats):
                self.step(penalty=False)
            self._wait()
        on_gpu = self.device.type == "cuda"
        times = [
            (event.self_device_time_total if on_gpu else event.self_cpu_time_total, event)
            for event in record.key_averages()
        ]
        times.sort(key=lambda pair: -pair[0])
        rows = [[event.key[:80], event.count / repeats, micros / repeats / 1e3] for micros, event in times]
        return rows[:TOP_OPERATORS], sum(micros for micros, _ in times) / repeats / 1e6

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> int:
    """Print the table."""
    parser: argparse.ArgumentParser = benchmark_parser(__doc__)
    parser.add_argument("--preset", choices=tuple(PRESETS), default="portraits-128")
    parser.add_argument("--batch", type=int, nargs="+", default=None, help="batch sizes; the preset's if left out")
    parser.add_argument("--channel_base", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--channel_max", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--compile", choices=COMPILED, default="filters")
    parser.add_argument("--no_cuda_graphs", action="store_true", help="launch every kernel from Python")
    parser.add_argument("--profile", action="store_true", help="also list the operators of the last batch size")
    args = parser.parse_args()
    start(args, "benchmarks.training_profile")
    device = torch.device(args.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    changes = {name: value for name in ("channel_base", "channel_max") if (value := getattr(args, name)) is not None}
    changes["cuda_graphs"] = not args.no_cuda_graphs
    preset = dataclasses.replace(PRESETS[args.preset], compile=args.compile, **changes)

    rows, operators = [], []
    for batch in args.batch or [preset.batch_size]:
        config = dataclasses.replace(preset, batch_size=batch)
        trainer = Trainer(config, device)
        plain, dear = (trainer.seconds(args.repeats, penalty=penalty) for penalty in (False, True))
        mean = plain + (dear - plain) / config.r1_interval
        operators, device_sec = trainer.profile(3)
        busy = f"{min(device_sec / plain, 1):.0%}" if device.type == "cuda" else "-"
        memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
        rows.append([batch, plain * 1e3, dear * 1e3, batch / mean, busy, memory])
        print(f"batch {batch}: {batch / mean:.0f} images/s", file=sys.stderr, flush=True)
    headers = ["batch", "step (ms)", "with penalties (ms)", "images/s", "GPU busy", "peak memory (GiB)"]
    print(format_table(headers, rows))
    if args.profile:
        print("\n" + format_table(["operator", "calls a step", "ms a step"], operators))
    print(
        f"\n{args.preset} {changes or ''} compile={args.compile}, penalties every {preset.r1_interval} steps, "
        f"mean of {args.repeats} steps."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
