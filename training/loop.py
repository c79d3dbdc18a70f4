"""The training loop, in time order: data, D step, G step, average, and now and then a look at it all."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from gan_space.errors import ConfigError, TrainingError
from gan_space.images import from_uint8, image_grid
from gan_space.seeding import latents_from_seeds
from training.checkpoint import CheckpointStore
from training.checkup import Checkup
from training.config import TrainConfig, differences_that_matter
from training.data import (
    EndlessSampler,
    PortraitDataset,
    StreamedPortraits,
    make_loader,
    open_training_table,
    passed_over,
)
from training.distributed import average_, barrier, broadcast_module
from training.ema import update_ema
from training.export import export_run
from training.initialise import start_from
from training.precision import precision_remark
from training.runlog import RunLog
from training.schedules import ema_decay, learning_rate
from training.steps import Players, discriminator_step, generator_step, make_players, move_augmentation

GRID_IMAGES = 64
STOP_CHECK_STEPS = 8  # steps between asking all processes whether one was told to stop


def train(config: TrainConfig, accelerator: Accelerator) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder of the exported model.

    Raises:
        ConfigError: the run in `output_dir` has other settings.
        DataError: the data set cannot be used.
        TrainingError: too many non-finite steps in a row; names the last good checkpoint.
    """
    rank, world_size, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    output_dir = Path(config.output_dir)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # the sizes never change
        torch.set_float32_matmul_precision("high")  # TF32 where the networks are not in bfloat16
    table, labels, weights = open_training_table(config)

    # Every process starts from the same weights, then draws latents of its own.
    torch.manual_seed(config.seed)
    players = make_players(config, labels.c_dim if labels else 0, device)
    store = CheckpointStore(output_dir / "checkpoints", keep=config.keep_checkpoints, rank=rank, world_size=world_size)
    newest = store.newest()
    if config.init_from and not newest:  # a run that goes on no longer needs what it started from
        start_from(players, config.init_from)
    _claim(output_dir, config, main=rank == 0)  # last of all that can refuse, so that a mended command may follow
    for module in players.modules.values():
        broadcast_module(module)
    torch.manual_seed(config.seed * 1_000_003 + rank + 1)

    nimg = 0
    if newest:
        state = store.load(newest, players.modules, players.optimizers)
        players.load_state(state)
        nimg = state["nimg"]
    log = RunLog(output_dir, config, nimg, enabled=rank == 0)
    log.say(f"resuming at {nimg / 1000:.1f} kimg from {newest}" if newest else f"starting in {output_dir}")
    if remark := precision_remark(config.mixed_precision, device):
        log.say(remark)
    if remark := passed_over(config.dataset_name, config.dataset_split):
        log.say(remark)

    dataset, batches = _open_batches(config, table, labels, weights, rank, world_size, nimg)
    grid_z, grid_c = _grid_inputs(players, labels, device)
    checkup = Checkup(config, dataset, labels) if rank == 0 and config.eval_kimg > 0 else None
    if checkup and newest and "checkup" in state:
        checkup.load_state(state["checkup"])
    if checkup and checkup.heldout_missing:
        log.say(f"the doctor cannot see overfitting without held-out pictures: {checkup.heldout_missing}")
    stop = _StopSignal()
    bad_in_a_row = 0
    total_nimg = int(config.total_kimg * 1000)
    if rank == 0 and nimg == 0:
        _save_real_grid(dataset, output_dir)

    while nimg < total_nimg:
        for optimizer, base in ((players.optimizer_g, config.g_lr), (players.optimizer_d, config.d_lr)):
            rate = learning_rate(nimg, base, config.lr_warmup_kimg, config.lr_decay_kimg, config.total_kimg)
            for group in optimizer.param_groups:
                group["lr"] = rate
        move_augmentation(players, config, nimg)

        images, real_c = next(batches)
        real = from_uint8(images.to(device, non_blocking=True))  # [N, 3, R, R] in [-1, 1]
        real_c = real_c.to(device, non_blocking=True)
        # Labels of the generated pictures come from the data too: those of the same batch, in another order.
        fake_c = real_c[torch.randperm(len(real_c))] if labels else real_c

        stats_d = discriminator_step(players, config, real, real_c, fake_c, nimg=nimg)
        warming_up = nimg < config.d_warmup_kimg * 1000
        stats_g = {} if warming_up else generator_step(players, config, real, real_c, fake_c, nimg=nimg)
        before, nimg = nimg, nimg + config.batch_size
        update_ema(
            players.ema,
            players.generator,
            ema_decay(nimg, config.batch_size, config.ema_halflife_kimg, config.ema_rampup),
        )

        bad = stats_d.pop("bad") + stats_g.pop("bad", 0.0)
        bad_in_a_row = bad_in_a_row + 1 if bad else 0
        if checkup and not warming_up:
            checkup.note(stats_g["grad_norm_g"], stats_d["grad_norm_d"], bad)
        log.step(config.batch_size, stats_d | stats_g | {"augment_p": players.augment.p, "bad_steps": bad})
        if bad:
            log.say(f"non-finite gradient at {nimg / 1000:.1f} kimg: {stats_d | stats_g}; step skipped")
        if bad_in_a_row >= config.max_bad_steps:
            raise TrainingError(
                f"{bad_in_a_row} steps in a row were not finite at {nimg / 1000:.1f} kimg. Last good checkpoint: "
                f"{store.newest() or 'none'}. Lower --g_lr/--d_lr, raise --r1_gamma, or set --max_grad_norm 1."
            )

        done = nimg >= total_nimg
        if _crossed(before, nimg, config.sample_kimg) or done:
            log.tick(nimg, {"lr": rate, "broken_pictures": len(dataset.broken)})
            _save_grid(players, grid_z, grid_c, output_dir, nimg, enabled=rank == 0)
        if checkup and (_crossed(before, nimg, config.eval_kimg) or done):
            numbers, diagnosis = checkup.visit(players, nimg)
            log.write({"nimg": nimg, "verdict": diagnosis.verdict, "reasons": list(diagnosis.reasons), **numbers})
            log.say(f"{nimg / 1000:.1f} kimg: {diagnosis}")
        stopping = (nimg // config.batch_size) % STOP_CHECK_STEPS == 0 and stop.anywhere()
        if _crossed(before, nimg, config.checkpoint_kimg) or done or stopping:
            state = players.state() | ({"checkup": checkup.state()} if checkup else {})
            store.save(nimg, players.modules, players.optimizers, state)
        if stopping:
            log.say(f"told to stop: saved at {nimg / 1000:.1f} kimg; the same command goes on from here")
            break

    if rank == 0:
        export_run(output_dir / "export", players, config, nimg, labels)
        _list_broken(dataset, output_dir)
    log.close()
    barrier()
    return output_dir / "export"


def _claim(output_dir: Path, config: TrainConfig, *, main: bool) -> None:
    """Write config.json, or refuse if the folder holds a run that these settings cannot continue."""
    file = output_dir / "config.json"
    if file.exists():
        lines = differences_that_matter(json.loads(file.read_text()), config)
        if lines:
            raise ConfigError(
                f"{output_dir} holds a run with other settings, which cannot be continued with these:\n  "
                + "\n  ".join(lines)
                + "\nUse the old settings, or another --output_dir."
            )
    barrier()  # nobody writes before all have read
    if main:
        output_dir.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(config.to_dict(), indent=1))
        os.replace(partial, file)


def _open_batches(config: TrainConfig, table, labels, weights, rank: int, world_size: int, nimg: int):
    """The data set and an endless iterator of this process's batches from position `nimg` on."""
    options = dict(image_column=config.image_column, labels=labels, name=config.dataset_name)
    options |= dict(horizontal_flip=config.horizontal_flip)
    order = dict(seed=config.seed, rank=rank, world_size=world_size, start=nimg)
    if config.streaming:
        dataset, sampler = StreamedPortraits(table, config.resolution, **order, **options), None
    else:
        dataset = PortraitDataset(table, config.resolution, **options)
        if weights is not None:  # of mirrored pictures as of their originals
            weights = np.tile(weights, len(dataset) // len(weights))
        sampler = EndlessSampler(len(dataset), weights=weights, **order)
    loader = make_loader(dataset, config.batch_size // world_size, sampler=sampler, num_workers=config.num_workers)
    return dataset, iter(loader)


def _crossed(before: int, now: int, every_kimg: float) -> bool:
    """True if a multiple of `every_kimg` lies in (before, now]."""
    every = every_kimg * 1000
    return every > 0 and now // every > before // every


def _grid_inputs(players: Players, labels, device: torch.device):
    config = players.generator.config
    z = latents_from_seeds(range(GRID_IMAGES), config.z_dim, device)
    c = torch.zeros(GRID_IMAGES, config.c_dim, device=device)
    if labels is not None and labels.classes is not None:
        c[torch.arange(GRID_IMAGES), torch.arange(GRID_IMAGES) % config.c_dim] = 1
    return z, c


@torch.no_grad()
def _save_grid(players: Players, z, c, output_dir: Path, nimg: int, *, enabled: bool) -> None:
    """Draw the same 64 seeds every time, so that progress can be leafed through."""
    if not enabled:
        return
    images = torch.cat(
        [players.ema(zs, cs, noise_mode="const") for zs, cs in zip(z.split(16), c.split(16), strict=True)]
    )
    folder = output_dir / "samples"
    folder.mkdir(exist_ok=True)
    image_grid(images.cpu()).save(folder / f"nimg-{nimg:09d}.png")


def _save_real_grid(dataset, output_dir: Path) -> None:
    if isinstance(dataset, StreamedPortraits):
        return
    images = torch.stack([dataset[i][0] for i in range(min(GRID_IMAGES, dataset.num_pictures))])
    (output_dir / "samples").mkdir(exist_ok=True)
    image_grid(from_uint8(images)).save(output_dir / "samples" / "reals.png")


def _list_broken(dataset, output_dir: Path) -> None:
    if dataset.broken:
        lines = [f"{row}\t{reason}" for row, reason in sorted(dataset.broken.items())]
        (output_dir / "broken_pictures.txt").write_text("\n".join(lines) + "\n")


class _StopSignal:
    """Notes SIGTERM and Ctrl-C, so that the loop can save before it goes."""

    def __init__(self):
        self.received = False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._note)

    def _note(self, number, frame) -> None:
        if self.received:  # a second Ctrl-C means now
            raise KeyboardInterrupt
        self.received = True

    def anywhere(self) -> bool:
        """True if any process was told to stop; all processes must ask at the same step."""
        return average_(torch.tensor(float(self.received))).item() > 0
