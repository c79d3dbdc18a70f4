"""Tune a style pack: `python training/packs/train_style.py --pictures painting.jpg --output_dir packs/my-look`.

From one to a hundred pictures of a look, or with `--look` from one of `looks.py`, rendered on photos. The pack is
written whole at the end, with a preview; from one picture in about 45 s of one CPU core. `--help` lists all settings.
"""

from __future__ import annotations

import json
import sys

import training.common.start  # noqa: F401

from training.common.command import script
from training.packs.style import TrainStylePackConfig, train

main = script(
    TrainStylePackConfig,
    train,
    lambda config, pack: f"wrote {config.output_dir}: {json.dumps(pack.training['losses'])}",
)


if __name__ == "__main__":
    sys.exit(main())
