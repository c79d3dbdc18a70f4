"""Starts the web app: `python app.py`, or as a Space on CPU, GPU or ZeroGPU.

GAN_SPACE_MODEL is a Hub id or a folder (default: the model inside the package), GAN_SPACE_REVISION its revision,
GAN_SPACE_PACKS a list of style packs with commas (names, folders, Hub ids). `--help` lists the options.
"""

from __future__ import annotations

try:
    import spaces  # on ZeroGPU it must come before torch
except ImportError:
    spaces = None

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gan_space.errors import GanSpaceError

if TYPE_CHECKING:
    import gradio


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line; those left out are what gradio takes from its own variables, as on a Space."""
    parser = argparse.ArgumentParser(description="Serve the gan_space page.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for other machines too (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860, or the next that is free)")
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints as tools to AI assistants (MCP)")
    return parser.parse_args(arguments)


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """For the start, which makes objects that nearly all stay.

    Looking through them again and again, more of them each time, took a fifth of it (docs/benchmarks.md). Afterwards
    they are set apart, so that no later collection looks at them either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def choose_device() -> str:
    """The fastest device that is there."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def build(options: argparse.Namespace) -> tuple[gradio.Blocks, dict[str, Any]]:
    """Load the model and build the page; the second part is for `launch`."""
    # Imported here, so that --help and a mistyped option do not wait for torch and gradio.
    from gan_space.pipelines.generation import GenerationPipeline
    from gan_space.pipelines.loading import parse_packs
    from gan_space.ui.app import build_app, launch_options

    launch = launch_options(host=options.host, port=options.port, mcp=options.mcp or None)
    packs = parse_packs(os.environ.get("GAN_SPACE_PACKS", ""))
    pipe = GenerationPipeline.from_pretrained(
        os.environ.get("GAN_SPACE_MODEL") or None, os.environ.get("GAN_SPACE_REVISION") or None
    )
    app = build_app(pipe.to(choose_device()), gpu=None if spaces is None else spaces.GPU, packs=packs)
    return app, launch


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the model, build the page, serve it."""
    options = parse_options(arguments)
    with garbage_collection_paused():
        app, launch = build(options)
    app.launch(**launch)


if __name__ == "__main__":
    try:
        main()
    except GanSpaceError as error:
        sys.exit(f"cannot start: {error}")
