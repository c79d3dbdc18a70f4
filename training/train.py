"""Train a portrait generator: `accelerate launch training/train.py --preset portraits-64 --dataset_name FOLDER`.

The same command resumes a run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import dataclasses
import sys

import tyro
from accelerate import Accelerator

from gan_space.errors import ConfigError, GanSpaceError, InputError, raise_all
from training.config import PRESETS, TrainConfig
from training.distributed import check_num_processes
from training.loop import train
from training.memory import keep_freed_memory


def parse(arguments: list[str]) -> tuple[TrainConfig, bool]:
    """Return the settings (preset, then flags) and whether it is only a dry run."""
    dry_run = "--dry_run" in arguments
    arguments = [a for a in arguments if a != "--dry_run"]
    preset = "portraits-64"
    if "--preset" in arguments:
        at = arguments.index("--preset")
        preset = arguments[at + 1] if at + 1 < len(arguments) else ""
        del arguments[at : at + 2]
    if preset not in PRESETS:
        raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    config = tyro.cli(TrainConfig, args=arguments, default=PRESETS[preset])
    return config, dry_run


def main() -> int:
    try:
        config, dry_run = parse(sys.argv[1:])
        keep_freed_memory()
        accelerator = Accelerator(mixed_precision="no")  # the networks choose their own format
        check_num_processes(accelerator)
        faults = config.faults_for(accelerator.num_processes)
        if not config.dataset_name:
            faults.append("--dataset_name is missing: a folder of pictures, parquet files, or a Hub id")
        raise_all(faults)
        folder = train(config, accelerator)
        if accelerator.is_main_process:
            print(f"exported to {folder}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except GanSpaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
