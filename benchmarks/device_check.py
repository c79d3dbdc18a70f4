"""Does another device compute what the CPU computes? The first thing to run on a new GPU, before a long training run.

    python -m benchmarks.device_check --device cuda

Compares the pictures of the same seeds, and takes a few training steps after which nothing may still draw with older
weights: optimizers of some devices change weights without telling autograd (see `nn.modulated.PreparedWeight`). Steps
that are recorded as CUDA graphs have to give the numbers of plain ones. Exit code 1 if a check fails.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys

import torch
from torch import Tensor, nn

from benchmarks.common import describe_machine, format_table
from gan_space import Generator
from gan_space.pipelines.loading import default_model_folder
from gan_space.seeding import latents_from_seeds
from training.common.ema import update_ema
from training.config import PRESETS
from training.recording import RUNS_BEFORE_RECORDING
from training.steps import discriminator_step, generator_step, make_players

SEEDS = range(8)
MAX_DIFFERENCE = 0.02  # of pictures in [-1, 1]; TF32 convolutions differ by some thousandths
MIN_PSNR_BF16 = 35.0  # dB against float32 on the CPU
MAX_STALE = 1e-3  # the same network, weights prepared before and after; real staleness is a hundred times that
STEPS = 4
# Median of relative differences of what is logged. On a CPU, weights off by 1e-4 to 1e-3 gave 0.001 to 0.002, D seeing
# pictures of an older generator 0.02, and random numbers that stay the same 0.08.
MAX_RECORDED = 0.008


@torch.no_grad()
def pictures(generator: Generator, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Draw seeds 0 to 7 on a device: [8, 3, R, R] on the CPU."""
    generator = copy.deepcopy(generator).to(device)
    generator.compute_dtype = dtype
    return generator(latents_from_seeds(SEEDS, generator.config.z_dim, device), noise_mode="const").cpu()


@torch.no_grad()
def staleness(network: nn.Module, w_plus: Tensor) -> float:
    """Measure how far a network's pictures are from those of a copy that has prepared nothing yet."""
    fresh = copy.deepcopy(network)
    for module in fresh.modules():
        if hasattr(module, "_prepared"):
            module._prepared = type(module._prepared)()
    was_trainable = [p.requires_grad for p in network.parameters()]
    pair = [one.requires_grad_(False).synthesis(w_plus, noise_mode="const") for one in (network, fresh)]
    for parameter, trainable in zip(network.parameters(), was_trainable, strict=True):
        parameter.requires_grad_(trainable)
    return (pair[0] - pair[1]).abs().max().item()


def stale_after_training(device: torch.device) -> tuple[float, float]:
    """Return the worst staleness (of the generator, of its average) over a few steps of training on noise."""
    config = dataclasses.replace(PRESETS["tiny"], use_noise=False, g_lr=0.05, compile="none")
    torch.manual_seed(0)
    players = make_players(config, 0, device)
    real = torch.randn(config.batch_size, 3, config.resolution, config.resolution, device=device).clamp(-1, 1)
    c = torch.zeros(config.batch_size, 0, device=device)
    w_plus = torch.randn(4, players.generator.num_ws, config.w_dim, device=device)
    worst = [0.0, 0.0]
    for step in range(1, STEPS + 1):
        for half in (discriminator_step, generator_step):
            half(players, config, real.clone(), c, c, nimg=step * config.batch_size)
        update_ema(players.ema, players.generator, 0.5)
        for index, network in enumerate((players.generator, players.ema)):
            worst[index] = max(worst[index], staleness(network, w_plus))
    return worst[0], worst[1]


def recorded_difference(device: torch.device) -> float:
    """Return the median relative difference of what steps from recorded graphs and plain ones log, from the same seeds.

    Not the largest: such a game is chaotic, and single numbers drift apart by a tenth for a rounding.
    """
    logs = []
    for cuda_graphs in (False, True):
        config = dataclasses.replace(
            PRESETS["tiny"], loss="relativistic", r1_gamma=0.1, r2_gamma=0.1, r1_interval=2, augment="fixed",
            style_mixing_prob=0.5, cuda_graphs=cuda_graphs,
        )  # fmt: skip
        torch.manual_seed(0)
        players = make_players(config, 0, device)
        c = torch.zeros(config.batch_size, 0, device=device)
        log = []
        for step in range(2 * (RUNS_BEFORE_RECORDING + STEPS)):  # half of them have penalties
            torch.manual_seed(step)
            real = torch.randn(config.batch_size, 3, config.resolution, config.resolution, device=device).clamp(-1, 1)
            halves = (discriminator_step, generator_step)
            stats = [half(players, config, real, c, c, nimg=step * config.batch_size) for half in halves]
            if step >= 2 * RUNS_BEFORE_RECORDING:
                log += [value for one in stats for value in one.values()]
        logs.append(torch.tensor(log))
    plain, recorded = logs
    return ((recorded - plain).abs() / plain.abs().clamp(min=0.1)).median().item()


def main() -> int:
    """Print the findings; exit code 1 where one is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda, mps or cpu")
    device = torch.device(parser.parse_args().device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # as training does
    print(describe_machine(device), end="\n\n", flush=True)
    generator = Generator.from_pretrained(default_model_folder() / "generator").eval()
    wanted = pictures(generator, torch.device("cpu"), torch.float32)
    difference = (pictures(generator, device, torch.float32) - wanted).abs().max().item()
    error = (pictures(generator, device, torch.bfloat16).clamp(-1, 1) - wanted.clamp(-1, 1)).square().mean()
    psnr = (10 * torch.log10(4 / error)).item()
    stale_generator, stale_average = stale_after_training(device)
    recorded = recorded_difference(device)
    checks = [
        ("seeds 0 to 7 in float32, largest difference to the CPU", difference, difference <= MAX_DIFFERENCE),
        ("the same in bfloat16, PSNR in dB", psnr, psnr >= MIN_PSNR_BF16),
        ("generator draws with its newest weights, largest difference", stale_generator, stale_generator <= MAX_STALE),
        ("average draws with its newest weights, largest difference", stale_average, stale_average <= MAX_STALE),
        ("steps from recorded graphs, median relative difference to plain ones", recorded, recorded <= MAX_RECORDED),
    ]
    print(
        format_table(["check", "measured", ""], [[what, value, "ok" if ok else "FAILED"] for what, value, ok in checks])
    )
    return 0 if all(ok for _, _, ok in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
