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
import os
import sys
from collections.abc import Sequence

import torch

from gan_space.errors import GanSpaceError
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import parse_packs
from gan_space.ui.app import build_app, launch_options


def choose_device() -> str:
    """The fastest device that is there."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command line; those left out are what gradio takes from its own variables, as on a Space."""
    parser = argparse.ArgumentParser(description="Serve the gan_space page.")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0 for other machines too (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 7860, or the next that is free)")
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints as tools to AI assistants (MCP)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the model, build the page, serve it."""
    options = parse_options(arguments)
    launch = launch_options(host=options.host, port=options.port, mcp=options.mcp or None)
    packs = parse_packs(os.environ.get("GAN_SPACE_PACKS", ""))
    pipe = GenerationPipeline.from_pretrained(
        os.environ.get("GAN_SPACE_MODEL") or None, os.environ.get("GAN_SPACE_REVISION") or None
    )
    app = build_app(pipe.to(choose_device()), gpu=None if spaces is None else spaces.GPU, packs=packs)
    app.launch(**launch)


if __name__ == "__main__":
    try:
        main()
    except GanSpaceError as error:
        sys.exit(f"cannot start: {error}")
