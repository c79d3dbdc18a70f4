"""From the averaged weights of a run to a model folder that `GenerationPipeline.from_pretrained` loads."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from gan_space.models.generator import Generator
from gan_space.pipelines.generation import GenerationPipeline
from training.config import TrainConfig
from training.data import Labels


def export_run(folder: Path, ema: Generator, config: TrainConfig, nimg: int, labels: Labels | None) -> Path:
    """Write the model folder."""
    generator = copy.deepcopy(ema).cpu()
    generator.compute_dtype = None
    GenerationPipeline(generator=generator).save_pretrained(folder)
    record = {"images_seen": nimg, "config": config.to_dict()}
    if labels is not None:
        record["labels"] = {"column": labels.column, "classes": labels.classes}
    (folder / "training.json").write_text(json.dumps(record, indent=1))
    return folder
