"""What a model folder needs before it goes to others: all of its parts, sample grids, kept records, and the card."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file
from torch.nn import functional as F

from gan_space.errors import WeightsError, raise_all
from gan_space.foreign_files import read_shapes
from gan_space.formats.model_card import CARD, write_card
from gan_space.formats.pack_card import people_in
from gan_space.hub import SAFE_PATTERNS
from gan_space.images import image_grid
from gan_space.output.provenance import save_image

GRID_SEEDS = 64
GRID_PSIS = (1.0, 0.7)
GRID_CELL_PX = 128  # a larger picture is shrunk: the grid is for a first look
# Parts of a model folder beside the generator: networks, directions in latent space, and the packs that it ships.
COMPANIONS = (
    "encoder",
    "aligner",
    "landmarker",
    "segmenter",
    "shape",
    "analyzer",
    "identity",
    "discriminator",
    "guided_upscaler",
    "editor",
    "directions",
    "truncation",
    "packs",
)
RECORDS = ("training.json", "metrics.json", CARD)


def prepare_release(pipe: DiffusionPipeline, folder: str | Path, repo_id: str | None = None) -> Path:
    """Add sample grids and the card to a folder that `pipe.save_pretrained` wrote.

    Args:
        pipe: the `GenerationPipeline` in that folder.
        folder: where it lies.
        repo_id: Hub id that it is going to have.
    """
    save_sample_grids(pipe, Path(folder) / "samples")
    write_card(folder, repo_id)
    return Path(folder)


def save_sample_grids(pipe: DiffusionPipeline, folder: Path) -> list[Path]:
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
    if not _is_same_model(source, target):
        return
    for name in RECORDS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def copy_companions(source: Path, target: Path, own: Collection[str]) -> list[str]:
    """Take over the parts of a model folder that the pipeline which is being saved does not hold itself.

    They were made for the networks that the pipeline does hold, so they come along only while those are unchanged.

    Args:
        source: folder that the pipeline was loaded from.
        target: folder that it was saved to.
        own: names of the parts that the pipeline writes, or leaves out, itself.

    Returns:
        Names of the parts that were copied.
    """
    if source.resolve() == target.resolve() or not _is_same_model(source, target):
        return []
    names = [name for name in COMPANIONS if name not in own and (source / name).is_dir()]
    people = [folder for name in names for folder in people_in(source / name)]
    for name in names:
        shutil.rmtree(target / name, ignore_errors=True)
        for path in sorted((source / name).rglob("*")):
            inside = path.relative_to(source)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.parent in people:
                continue  # a profile of a person goes nowhere unless it is asked for by name
            if path.is_file() and not hidden and f"*{path.suffix}" in SAFE_PATTERNS:
                (target / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / inside)  # a cached snapshot holds links; what they lead to is copied
    return names


def check_weight_files(folder: Path) -> None:
    """Raise WeightsError, naming all of them, where safetensors files anywhere in a model folder cannot be read."""
    faults = []
    for path in sorted(folder.rglob("*.safetensors")):
        try:
            read_shapes(path)
        except WeightsError as error:
            faults.append(str(error))
    raise_all(faults, WeightsError)


def _is_same_model(source: Path, target: Path) -> bool:
    """Whether the networks that two folders both hold, the generator among them, have equal weights."""
    shared = {path.name for path in source.iterdir() if path.is_dir()} & {path.name for path in target.iterdir()}
    networks = sorted(name for name in shared if (target / name / "config.json").is_file())
    return "generator" in networks and all(_has_same_weights(source / name, target / name) for name in networks)


def _has_same_weights(a: Path, b: Path) -> bool:
    """Compare tensors rather than files: shards and headers differ between versions of safetensors."""
    theirs, ours = _tensors(a), _tensors(b)
    return theirs.keys() == ours.keys() and all(
        theirs[key].dtype == ours[key].dtype and torch.equal(theirs[key], ours[key]) for key in theirs
    )


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {key: value for path in sorted(folder.glob("*.safetensors")) for key, value in load_file(path).items()}


def _shrink(images: torch.Tensor) -> torch.Tensor:
    """[N, 3, R, R] with R at most GRID_CELL_PX."""
    if images.shape[-1] <= GRID_CELL_PX:
        return images
    return F.interpolate(images, size=(GRID_CELL_PX, GRID_CELL_PX), mode="bilinear", antialias=True).clamp(-1, 1)
