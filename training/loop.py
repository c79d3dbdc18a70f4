"""The training loop, in time order: data, D step, G step, average, and now and then a look at it all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator

from gan_space.errors import ConfigError, Stopped, TrainingError
from gan_space.images import from_uint8, image_grid
from gan_space.seeding import latents_from_seeds
from gan_space.whole_files import write_whole
from training.checkup import Checkup
from training.common.checkpoint import CheckpointStore
from training.common.claim import claim_run
from training.common.distributed import average_, barrier, broadcast_module, gather_dicts
from training.common.ema import update_ema
from training.common.order import EndlessSampler
from training.common.precision import precision_remark
from training.common.runlog import RunLog
from training.common.samples import save_samples
from training.common.schedules import cosine_ramp, ema_decay, learning_rate
from training.common.stopping import StopSignal, saved_at
from training.common.tables import passed_over
from training.config import MAY_CHANGE, TrainConfig
from training.data import PortraitDataset, StreamedPortraits, open_training_table, read_batches
from training.export import export_run
from training.initialise import start_from
from training.steps import Players, discriminator_step, generator_step, make_players, move_augmentation

GRID_IMAGES = 64


def train(config: TrainConfig, accelerator: Accelerator) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder of the exported model.

    Raises:
        ConfigError: another process trains in `output_dir`, or the run in it has other settings.
        DataError: the data set cannot be used.
        Stopped: by SIGTERM or Ctrl-C; the run is saved.
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
    if config.init_from and not store.newest():  # a run that goes on no longer needs what it started from
        start_from(players, config.init_from)
    _claim(output_dir, config, main=rank == 0)  # last of all that can refuse, so that a mended command may follow
    for module in players.modules.values():
        broadcast_module(module)
    torch.manual_seed(config.seed * 1_000_003 + rank + 1)

    nimg, state, newest = 0, {}, store.newest()
    if newest:
        state = store.load(newest, players.modules, players.optimizers)
        players.load_state(state)
        nimg = state["nimg"]
    due = Due(**state.get("due", {}))  # a run that was stopped between its checkpoint and its look has that before it
    log_options = {"measure_again": any(due), "state": state.get("log"), "enabled": rank == 0}
    with StopSignal() as stop, RunLog(output_dir, config, nimg, **log_options) as log:
        for line in store.passed_over():
            log.say(line)
        log.say(f"resuming at {nimg / 1000:.1f} kimg from {newest}" if newest else f"starting in {output_dir}")
        if remark := precision_remark(config.mixed_precision, device):
            log.say(remark)
        if remark := passed_over(config.dataset_name, config.dataset_split):
            log.say(remark)

        dataset, batches = _open_batches(config, table, labels, weights, rank, world_size, nimg)
        grid_z, grid_c = _grid_inputs(players, labels, device)
        checkup = Checkup(config, dataset, labels) if rank == 0 and config.eval_kimg > 0 else None
        if checkup and "checkup" in state:
            checkup.load_state(state["checkup"])
        if checkup and checkup.heldout_missing:
            log.say(f"the doctor cannot see overfitting without held-out pictures: {checkup.heldout_missing}")
        bad_in_a_row = 0
        total_nimg = int(config.total_kimg * 1000)
        if rank == 0 and nimg == 0:
            _save_real_grid(dataset, output_dir)

        while True:
            if due.samples:
                rate = _rate(config, config.d_lr, nimg - config.batch_size)  # of the last step
                log.tick(nimg, {"lr": rate, "broken_pictures": len(dataset.broken)})
                _save_grid(players, grid_z, grid_c, output_dir, nimg, enabled=rank == 0)
            if due.checkup and checkup:
                with stop.nothing_to_lose(saved_at(nimg)):  # there is a checkpoint of this very place
                    numbers, diagnosis = checkup.visit(players, nimg)
                log.write({"nimg": nimg, "verdict": diagnosis.verdict, "reasons": list(diagnosis.reasons), **numbers})
                log.say(f"{nimg / 1000:.1f} kimg: {diagnosis}")
            if nimg >= total_nimg:
                break

            for optimizer, base in ((players.optimizer_g, config.g_lr), (players.optimizer_d, config.d_lr)):
                for group in optimizer.param_groups:
                    group["lr"], group["betas"] = _rate(config, base, nimg), (config.beta1, _beta2(config, nimg))
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
            due = Due(
                samples=_crossed(before, nimg, config.sample_kimg) or done,
                checkup=config.eval_kimg > 0 and (_crossed(before, nimg, config.eval_kimg) or done),
            )
            stopping = stop.anywhere()
            if _crossed(before, nimg, config.checkpoint_kimg) or due.checkup or done or stopping:
                state = players.state() | {"due": due._asdict(), "log": log.state(nimg)}
                state |= {"checkup": checkup.state()} if checkup else {}
                store.save(nimg, players.modules, players.optimizers, state)
            if stopping:
                raise Stopped(saved_at(nimg))

        broken = gather_dicts(dataset.broken)
        if rank == 0:
            export_run(output_dir / "export", players, config, nimg, labels)
            _list_broken(broken, output_dir)
    barrier()
    return output_dir / "export"


class Due(NamedTuple):
    """What a run has to do at the place where it is, before its next step."""

    samples: bool = False
    checkup: bool = False


def _claim(output_dir: Path, config: TrainConfig, *, main: bool) -> None:
    """Take the folder for all processes of the run, or refuse in all of them."""
    refusal = None
    if main:
        try:
            claim_run(output_dir, config, MAY_CHANGE)
        except ConfigError as error:
            refusal = error
    if average_(torch.tensor(float(refusal is not None))).item() > 0:
        raise refusal or ConfigError("process 0 of this run could not take its folder")


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
    own_size = config.batch_size // world_size
    return dataset, read_batches(dataset, own_size, sampler=sampler, num_workers=config.num_workers)


def _rate(config: TrainConfig, base: float, nimg: int) -> float:
    base *= cosine_ramp(nimg, config.lr_start, 1.0, config.ramp_kimg)
    return learning_rate(nimg, base, config.lr_warmup_kimg, config.lr_decay_kimg, config.total_kimg)


def _beta2(config: TrainConfig, nimg: int) -> float:
    start = config.beta2 if config.beta2_start is None else config.beta2_start
    return cosine_ramp(nimg, start, config.beta2, config.ramp_kimg)


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
    recipe = {"kind": "samples of a run", "images_seen": nimg, "seeds": list(range(GRID_IMAGES))}
    save_samples(output_dir / "samples" / f"nimg-{nimg:09d}.png", images, recipe)


def _save_real_grid(dataset, output_dir: Path) -> None:
    if isinstance(dataset, StreamedPortraits):
        return
    images = torch.stack([dataset[i][0] for i in range(min(GRID_IMAGES, dataset.num_pictures))])
    (output_dir / "samples").mkdir(exist_ok=True)
    stream = io.BytesIO()
    image_grid(from_uint8(images)).save(stream, "PNG")  # photos, so without the labels of generated pictures
    write_whole(output_dir / "samples" / "reals.png", stream.getvalue())


def _list_broken(broken: dict[int, str], output_dir: Path) -> None:
    if broken:
        lines = [f"{row}\t{reason}" for row, reason in sorted(broken.items())]
        write_whole(output_dir / "broken_pictures.txt", "\n".join(lines) + "\n")
