"""What a model folder needs before it goes to others: sample grids, kept records, and the card."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from gan_space.formats.model_card import CARD, write_card
from gan_space.images import image_grid
from gan_space.output.provenance import save_image

if TYPE_CHECKING:
    from gan_space.pipelines.generation import GenerationPipeline

GRID_SEEDS = 64
GRID_PSIS = (1.0, 0.7)
GRID_CELL_PX = 128  # a larger picture is shrunk: the grid is for a first look
RECORDS = ("training.json", "metrics.json", CARD)


def prepare_release(pipe: GenerationPipeline, folder: str | Path, repo_id: str | None = None) -> Path:
    """Add sample grids and the card to a folder that `pipe.save_pretrained` wrote.

    Args:
        pipe: the pipeline in that folder.
        folder: where it lies.
        repo_id: Hub id that it is going to have.
    """
    save_sample_grids(pipe, Path(folder) / "samples")
    write_card(folder, repo_id)
    return Path(folder)


def save_sample_grids(pipe: GenerationPipeline, folder: Path) -> list[Path]:
    """Draw the first 64 seeds, unchosen, at psi 1.0 and 0.7; labelled PNG files of at most 1024 px."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = list(range(GRID_SEEDS))
    c_dim = pipe.generator.config.c_dim
    labels = [seed % c_dim for seed in seeds] if c_dim else None
    paths = []
    for psi in GRID_PSIS:
        cells = []
        for start in range(0, GRID_SEEDS, 8):
            rows = slice(start, start + 8)
            out = pipe(
                seeds=seeds[rows], truncation_psi=psi, labels=labels and labels[rows], batch_size=8, output_type="pt"
            )
            cells.append(_shrink(out.images))
        recipe = {"model": pipe.model_name, "revision": pipe.revision, "seeds": seeds, "truncation_psi": psi}
        recipe |= {"labels": labels} if labels else {}
        path = folder / f"seeds-0-63-psi-{psi:.1f}.png"
        paths.append(save_image(image_grid(torch.cat(cells), columns=8), path, recipe=recipe))
    return paths


def copy_records(source: Path, target: Path) -> None:
    """Take over how a model was trained and measured, if the weights are still the same; and a card made by hand."""
    if _weights(source) != _weights(target):
        return
    for name in RECORDS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _weights(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*/*.safetensors")):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _shrink(images: torch.Tensor) -> torch.Tensor:
    """[N, 3, R, R] with R at most GRID_CELL_PX."""
    if images.shape[-1] <= GRID_CELL_PX:
        return images
    return F.interpolate(images, size=(GRID_CELL_PX, GRID_CELL_PX), mode="bilinear", antialias=True).clamp(-1, 1)
