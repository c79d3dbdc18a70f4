"""Train a portrait generator: `accelerate launch training/train.py --preset portraits-64 --dataset_name FOLDER`.

The same command resumes a run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import argparse
import os
import sys

import training.common.start  # noqa: F401

from training.common.launcher import end_with_launcher

if __name__ == "__main__":
    end_with_launcher()  # before the imports below, which take seconds in which the launcher may end

import tyro
from accelerate import Accelerator
from huggingface_hub import get_token

from gan_space.errors import ConfigError, raise_all
from training.common.command import exit_code
from training.common.distributed import check_num_processes
from training.common.memory import keep_freed_memory
from training.config import PRESETS, TrainConfig
from training.estimate import dry_run as estimate
from training.loop import train
from training.push import push_export

DEFAULT_PRESET = "portraits-64"


def parse(arguments: list[str]) -> tuple[TrainConfig, bool]:
    """Return the settings (preset, then flags) and whether it is only a dry run."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default=DEFAULT_PRESET)
    first.add_argument("--dry_run", "--dry-run", action="store_true")
    early, rest = first.parse_known_args(arguments)
    if early.preset not in PRESETS:
        raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}, got {early.preset!r}")
    config = tyro.cli(
        TrainConfig,
        args=rest,
        default=PRESETS[early.preset],
        prog="train.py",
        description=(
            f"Train a portrait generator. --preset {{{','.join(PRESETS)}}} sets the defaults below (now: "
            f"{early.preset}); --dry_run tells what the run would need. The same command resumes a stopped run."
        ),
        use_underscores=True,
        console_outputs=os.environ.get("RANK", "0") == "0",
    )
    return config, early.dry_run


@exit_code
def main() -> int | None:
    """Train as the command line says."""
    config, dry_run = parse(sys.argv[1:])
    keep_freed_memory()
    accelerator = Accelerator(mixed_precision="no")  # the networks choose their own format
    check_num_processes(accelerator)
    faults = config.faults_for(accelerator.num_processes)
    if not config.dataset_name:
        faults.append("--dataset_name is missing: a folder of pictures, parquet files, or a Hub id")
    if config.push_to_hub and get_token() is None:
        faults.append("--push_to_hub needs a token: log in with `hf auth login`, or set HF_TOKEN")
    raise_all(faults)
    if dry_run:
        if accelerator.is_main_process:
            print(estimate(config, accelerator.device, accelerator.num_processes))
        return None
    folder = train(config, accelerator)
    if not accelerator.is_main_process:
        return None
    print(f"exported to {folder}")
    return push_export(folder, config.hub_model_id, private=config.hub_private) if config.push_to_hub else None


if __name__ == "__main__":
    sys.exit(main())
