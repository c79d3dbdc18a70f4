"""From the averaged weights of a run to a model folder that `GenerationPipeline.from_pretrained` loads."""

from __future__ import annotations

import copy
import platform
import shutil
from pathlib import Path

import torch

from gan_space.errors import TrainingError
from gan_space.pipelines.base import MAX_SHARD_SIZE
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import ModelSource
from gan_space.pipelines.release import prepare_release
from gan_space.whole_files import whole_folder, write_json
from training.common.columns import Labels
from training.common.files import say_where
from training.config import TrainConfig
from training.steps import Players


def export_run(folder: Path, players: Players, config: TrainConfig, nimg: int, labels: Labels | None) -> Path:
    """Write the model folder with its records, sample grids and card, in full or not at all.

    Args:
        folder: replaced if it exists.
        players: the averaged generator and the discriminator, on any device. D goes along so that others can fine-tune
            the model, and because its features are the perceptual loss of encoder and packs; a projected one stays,
            since it is nothing without its frozen network.
        config: settings of the run; paths on this machine are not told.
        nimg: images seen.
        labels: of the run, or None.

    Raises:
        TrainingError: the weights are not finite.
    """
    broken = [name for name, value in players.ema.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise TrainingError(
            f"not exported: {len(broken)} tensors of the averaged generator, {broken[0]} first, are not finite"
        )
    generator = copy.deepcopy(players.ema).cpu()
    generator.compute_dtype = None
    pipe = GenerationPipeline(generator=generator)
    pipe.source = ModelSource(name=config.model_name, credit=config.data_credit, license=config.data_license)

    with say_where(folder), whole_folder(folder) as partial:
        pipe.save_pretrained(partial)
        if players.discriminator is not None:
            discriminator = copy.deepcopy(players.discriminator).cpu().eval()
            discriminator.save_pretrained(partial / "discriminator", max_shard_size=MAX_SHARD_SIZE)
        record = {"images_seen": nimg, "hardware": describe_hardware(next(players.ema.parameters()).device)}
        if players.images_before:
            record["images_seen_before"] = players.images_before
        record["config"] = config.to_public_dict()
        if labels is not None:
            record["labels"] = {"column": labels.column, "classes": labels.classes}
        write_json(partial / "training.json", record)
        metrics = Path(config.output_dir) / "metrics.json"
        if metrics.is_file():
            shutil.copyfile(metrics, partial / "metrics.json")
        prepare_release(pipe, partial, config.hub_model_id)
    return folder


def describe_hardware(device: torch.device) -> dict[str, str]:
    """Return what the run was trained on, as it is known at its end: device, its name, processes, versions."""
    processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    record = {"device": device.type, "name": name, "processes": f"processes: {processes}"}
    if device.type == "cpu":
        record["threads"] = f"threads a process: {torch.get_num_threads()}"
    return record | {"torch": f"torch {torch.__version__}"}


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
