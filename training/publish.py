"""Push a model or a pack to the Hub: `python training/publish.py --folder runs/a/export --hub_model_id user/name`.

One commit, all or nothing. After a failure the same command goes on where it stopped; nothing is pushed twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import training.common.start  # noqa: F401

from gan_space.errors import GanSpaceError
from training.common.command import exit_code
from training.push import PublishConfig, prepare, push


@exit_code
def main(arguments: Iterable[str] | None = None) -> int:
    """Run from the command line; 0 when all was pushed, 1 if the Hub did not take it, 2 for bad input."""
    import tyro

    config = tyro.cli(PublishConfig, args=None if arguments is None else list(arguments), use_underscores=True)
    prepare(config)
    try:
        push(config)
    except GanSpaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
