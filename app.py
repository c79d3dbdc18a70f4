"""Starts the web app: `python app.py`, or as a Space on CPU, GPU or ZeroGPU.

GAN_SPACE_MODEL is a Hub id or a folder (default: the model inside the package), GAN_SPACE_REVISION its revision.
"""

from __future__ import annotations

try:
    import spaces  # on ZeroGPU it must come before torch
except ImportError:
    spaces = None

import os
import sys

import torch

from gan_space.errors import GanSpaceError
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app, launch_options


def choose_device() -> str:
    """The fastest device that is there."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def main() -> None:
    """Load the model, build the page, serve it."""
    pipe = GenerationPipeline.from_pretrained(
        os.environ.get("GAN_SPACE_MODEL") or None, os.environ.get("GAN_SPACE_REVISION") or None
    )
    app = build_app(pipe.to(choose_device()), gpu=None if spaces is None else spaces.GPU)
    app.launch(**launch_options())


if __name__ == "__main__":
    try:
        main()
    except GanSpaceError as error:
        sys.exit(f"cannot start: {error}")
