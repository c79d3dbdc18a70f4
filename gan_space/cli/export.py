"""`gan-space export`: our networks to formats that need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import refuse_existing, say
from gan_space.cli.options import Model, Revision


def command(
    onnx: Annotated[Path, typer.Option(help="Folder for mapping.onnx and synthesis.onnx.")],
    model: Model = None,
    revision: Revision = None,
    noise: Annotated[
        str, typer.Option(help="const: the network's own grain; input: given with every picture.")
    ] = "const",
    int8: Annotated[bool, typer.Option("--int8", help="int8 weights: a quarter of the size, a little worse.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")] = False,
) -> None:
    """Export the generator to ONNX and compare it with torch. Needs: pip install 'gan-space[onnx]'."""
    refuse_existing([onnx / "mapping.onnx", onnx / "synthesis.onnx"], overwrite)

    from gan_space.formats.onnx import export_onnx
    from gan_space.pipelines.generation import GenerationPipeline

    pipe = GenerationPipeline.from_pretrained(model, revision)
    made = export_onnx(pipe.generator, onnx, noise=noise, int8=int8)
    say(f"{made.mapping} and {made.synthesis}: at most {made.max_error:.1e} from torch")
    if made.int8_psnr_db is not None:
        say(f"int8 weights: pictures at {made.int8_psnr_db:.1f} dB PSNR from float32")
    for name, (height, width) in made.noise_inputs.items():
        say(f"noise input {name} [N, 1, {height}, {width}]")
