"""Train the editor: `python training/editor/train.py --model FOLDER --output_dir runs/editor`.

The generator draws faces before and after changes of their codes, so where a change belongs is known. The editor sees
what the encoder makes of the face before, and has to give the face after. With `--dataset_name` it learns on photos as
well. The same command resumes a run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.images import to_uint8
from gan_space.latents.directions import DIRECTIONS_FOLDER
from gan_space.latents.editing import edit_state
from gan_space.latents.inversion import charbonnier, structure_distance
from gan_space.models.editor import Editor
from gan_space.models.hashing import weights_sha256
from gan_space.models.synthesis import SynthesisState
from training.common.command import script
from training.common.export import export_network
from training.common.faces import load_faces
from training.common.fit_network import FitConfig, Measurement, fit_device, fit_network, start_from
from training.common.model_bundle import ModelBundle
from training.common.optimizers import make_optimizer
from training.common.order import generator_of_step, rows_of_step
from training.common.precision import training_dtype
from training.common.samples import save_samples
from training.editor.photos import draw_photo_changes, photo_losses, photo_sides, score_distance
from training.encoder.data import augment_faces
from training.encoder.losses import draw_codes, feature_distance, psnr, state_distance

TWO_AT_ONCE = 0.3  # share of the changes by direction that are of two directions
MOST_OF_THE_WAY = 0.6  # to another face, for the other changes
GRID_FACES = 8
EVAL_SEED = 2_000_000_011  # of the faces to measure on; training never draws from it


@dataclass(frozen=True)
class EditorLossWeights:
    """How much each term counts."""

    pixel: float = 5.0
    """Charbonnier distance to the picture that the generator draws of the changed code."""
    structure: float = 5.0
    """Edges at three scales."""
    state: float = 0.3
    """Distance to what the encoder makes of that picture."""
    features: float = 1.0
    """Distance in the features of the model's discriminator, if it has one."""
    attributes: float = 0.3
    """Distance of what the model's analyzer reads, if it has one, in standard deviations: a smile that pixels hardly
    notice."""
    identity: float = 0.3
    """One minus the cosine of what the model's identity network, if it has one, sees in both."""
    photo_attributes: float = 2.0
    """On photos: distance of what the analyzer reads from what it read before, plus what the change adds to the face
    that the generator draws of the same code."""
    photo_identity: float = 0.15
    """One minus the cosine of what the identity network sees after and before."""
    photo_adversarial: float = 0.1
    """Relativistic loss of the model's discriminator, after against before."""
    photo_still: float = 5.0
    """Charbonnier distance to the photo before where the generator's picture does not change."""


@dataclass(frozen=True, kw_only=True)
class TrainEditorConfig(FitConfig):
    """Train the editor of a model with an encoder. The same command resumes a stopped run."""

    model: str | None = None
    """Model folder with generator/ and encoder/; discriminator/, analyzer/, identity/ and directions/ are used if
    they are there. None is the embedded default."""
    output_dir: str = "runs/editor"
    init_from: str | None = None
    """Folder of an earlier editor to start from, such as that of a model that this one goes on from; tensors of another
    shape start anew."""
    dataset_name: str | None = None
    """Faces in the model's frame, to learn on as well: folder of pictures, folder of parquet files, parquet file, or
    Hub id. Needs directions/."""
    train_split: str = "train"
    """Split to train on."""
    image_column: str | None = None
    """Column of pictures; found by itself if there is only one."""
    photos_share: float = 0.5
    """Share of each step that are photos, where there is a data set."""
    width: int = 64
    """Channels at the size of the features."""
    num_blocks: int = 2
    """Residual blocks at each size."""
    batch_size: int = 32
    directions_share: float = 0.7
    """Share of the changes that are one or two of the model's directions; the others go part of the way to another
    face. Without directions all do."""
    total_kimg: float = 40.0
    lr: float = 0.001
    max_grad_norm: float = 1.0
    """Longer gradients are cut down to this; without it, a run was lost at 15 kimg."""
    ema_halflife_kimg: float = 2.0
    weights: EditorLossWeights = field(default_factory=EditorLossWeights)
    """How much each term counts."""
    checkpoint_kimg: float = 10.0
    eval_images: int = 64

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        return super().faults(("width", "num_blocks", "max_grad_norm"), shares=("directions_share", "photos_share"))


class Pairs(NamedTuple):
    """Faces before and after a change of their codes, both in the same odd light and as much out of place."""

    images: Tensor  # [N, 3, R, R] in [-1, 1], before
    shift: Tensor  # [N, num_ws, w_dim]
    targets: Tensor  # [N, 3, R, R], after


@torch.no_grad()
def draw_pairs(teacher: ModelBundle, num: int, random: torch.Generator, directions_share: float) -> Pairs:
    """Draw faces, and the same faces with changed codes.

    Args:
        teacher: the networks.
        num: how many.
        random: on the CPU; the result depends on nothing else.
        directions_share: see `TrainEditorConfig`.
    """
    generator = teacher.generator
    codes = draw_codes(generator, num, random)
    items = teacher.directions.items if teacher.directions is not None else ()
    before, after = codes.clone(), codes.clone()
    for row in range(num):
        by_direction = torch.rand(1, generator=random).item() < directions_share
        if items and by_direction:
            for _ in range(1 + int(torch.rand(1, generator=random).item() < TWO_AT_ONCE)):
                one = items[int(torch.randint(len(items), [1], generator=random))]
                # From anywhere on the slider to anywhere: both ends are faces of W, and their distance is up to twice
                # what one end is from the middle, as far as photos have to go.
                low, high = one.safe_range
                start, end = (low + (high - low) * torch.rand(2, generator=random)).tolist()
                before[row] += start * one.vector.to(codes)
                after[row] += end * one.vector.to(codes)
        else:
            after[row] += MOST_OF_THE_WAY * torch.rand(1, generator=random).item() * (codes[row - 1] - codes[row])
    drawn = generator.synthesis(torch.cat([before, after]), noise_mode="const").clamp(-1, 1)
    # Photos are not quite what the generator draws: both are treated alike, as the encoder's faces were.
    seed = int(torch.randint(2**31, [1], generator=random))
    images, targets = (
        augment_faces(to_uint8(part).cpu(), torch.Generator().manual_seed(seed), wild_share=0.0, mirror_share=0.0)
        for part in drawn.chunk(2)
    )
    return Pairs(images.inputs.to(codes.device), after - before, targets.targets.to(codes.device))


def edit_pairs(teacher: ModelBundle, editor: Editor | None, pairs: Pairs) -> tuple[SynthesisState, Tensor]:
    """Return the state and the picture that editing gives for the faces before; without an editor, the plain sum's."""
    synthesis, resolution = teacher.generator.synthesis, teacher.encoder.config.feature_resolution
    with torch.no_grad():
        code, state = teacher.encoder(pairs.images)
    moved = code + pairs.shift
    state = edit_state(synthesis, state, code, moved, resolution, editor)
    return state, synthesis.finish(state, moved, resolution)


def editor_losses(teacher: ModelBundle, editor: Editor, pairs: Pairs) -> dict[str, Tensor]:
    """Return the terms of a step, unweighted, by the names of `EditorLossWeights`; those of a network only with it."""
    state, drawn = edit_pairs(teacher, editor, pairs)
    with torch.no_grad():
        wanted = teacher.encoder(pairs.targets).state
    terms = {
        "pixel": charbonnier(drawn, pairs.targets).mean(),
        "structure": structure_distance(drawn, pairs.targets).mean(),
        "state": state_distance(state, wanted, teacher.encoder.feature_std).mean(),
    }
    if teacher.discriminator is not None:
        maps, targets = (teacher.discriminator.features(part) for part in (drawn, pairs.targets))
        terms["features"] = feature_distance(maps, targets).mean()
    if teacher.analyzer is not None:
        read = teacher.analyzer(drawn.clamp(-1, 1))
        with torch.no_grad():
            truth = teacher.analyzer(pairs.targets)
        terms["attributes"] = score_distance(read.scores, truth.scores)
    if teacher.identity is not None:
        with torch.no_grad():
            truth = teacher.identity(pairs.targets)
        terms["identity"] = 1 - (teacher.identity(drawn.clamp(-1, 1)) * truth).sum(dim=1).mean()
    return terms


@torch.no_grad()
def measure(teacher: ModelBundle, editor: Editor | None, pairs: Pairs, batch_size: int = 32) -> dict[str, float]:
    """Return PSNR in dB of the edited pictures to the truth, and that of the faces as they were."""
    sums = {"psnr": 0.0, "psnr_unedited": 0.0}
    for start in range(0, len(pairs.images), batch_size):
        part = Pairs(*(tensor[start : start + batch_size] for tensor in pairs))
        _, drawn = edit_pairs(teacher, editor, part)
        sums["psnr"] += psnr(drawn, part.targets).sum().item()
        sums["psnr_unedited"] += psnr(part.images, part.targets).sum().item()
    return {name: value / len(pairs.images) for name, value in sums.items()}


def train(config: TrainEditorConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, a model without an encoder, photos without directions, or the run in `output_dir` has
            other settings.
        WeightsError: a network cannot be read.
        TrainingError: the loss is not finite.
    """
    config.check()
    device = fit_device()
    teacher = ModelBundle.load(
        config.model, "discriminator", "analyzer", "identity", "directions", needed=("encoder",), device=device
    )
    output_dir = Path(config.output_dir)
    torch.manual_seed(config.seed)
    editor = Editor.for_encoder(teacher.encoder, width=config.width, num_blocks=config.num_blocks)
    remark = start_from(editor, config.init_from)
    faces, num_photos, sides = None, 0, None
    if config.dataset_name is not None and config.photos_share > 0:
        if teacher.directions is None:
            raise ConfigError(f"--dataset_name needs {DIRECTIONS_FOLDER}/ in the model folder, to change photos by")
        num_photos = num_photos_of(config, teacher)
        options = dict(image_column=config.image_column, yaw_column=None, face_px=teacher.encoder.resolution)
        faces = load_faces(config.dataset_name, config.train_split, **options).images
        sides = photo_sides(teacher, faces)
    editor = editor.to(device, memory_format=torch.channels_last).train()
    editor.compute_dtype = training_dtype(config.mixed_precision, device)

    share = config.directions_share
    heldout = draw_pairs(teacher, config.eval_images, torch.Generator().manual_seed(EVAL_SEED), share)
    plain = measure(teacher, None, heldout)

    def losses(nimg: int) -> dict[str, Tensor]:
        random = generator_of_step(config.seed, nimg)
        terms = {}
        if num_photos < config.batch_size:
            terms |= editor_losses(teacher, editor, draw_pairs(teacher, config.batch_size - num_photos, random, share))
        if faces is not None:
            rows = rows_of_step(len(faces), config.seed, nimg // config.batch_size * num_photos, num_photos)
            seen = None if sides is None else sides.rows(rows)
            terms |= photo_losses(teacher, editor, draw_photo_changes(teacher, faces[rows], random, seen))
        return terms

    def measured(ema: Editor, nimg: int) -> Measurement:
        numbers = measure(teacher, ema, heldout) | {"psnr_plain_sum": plain["psnr"]}
        _save_grid(teacher, ema, heldout, output_dir / "samples" / f"nimg-{nimg:09d}.png")
        summary = "{psnr:.2f} dB (plain sum {psnr_plain_sum:.2f}, unedited {psnr_unedited:.2f})".format(**numbers)
        return Measurement(numbers, summary)

    optimizers = {"optimizer": make_optimizer(editor, config.optimizer, config.lr, betas=(0.9, 0.99))}
    options = {"weights": vars(config.weights), "max_grad_norm": config.max_grad_norm, "remark": remark}
    fitted = fit_network({"editor": editor}, optimizers, config, losses, measured, **options)
    record = {
        "faces_seen": fitted.nimg,
        "optimizer": config.optimizer,
        "batch_size": config.batch_size,
        "lr": config.lr,
        "max_grad_norm": config.max_grad_norm,
        "directions_share": config.directions_share if teacher.directions is not None else 0.0,
        "photos_share": config.photos_share if config.dataset_name is not None else 0.0,
        "weights": vars(config.weights),
        "generator_sha256": weights_sha256(teacher.generator, dtype=torch.float32),
        "held_out": fitted.numbers,
    }
    return export_network(output_dir / "export", fitted.ema, record)


def num_photos_of(config: TrainEditorConfig, teacher: ModelBundle) -> int:
    """Say how many of a step are photos: near the share, and as many as the discriminator can compare."""
    group = 1
    if teacher.discriminator is not None:
        group = min(teacher.discriminator.config.mbstd_group_size, config.batch_size)
    return min(max(1, round(config.batch_size * config.photos_share / group)), config.batch_size // group) * group


@torch.no_grad()
def _save_grid(teacher: ModelBundle, editor: Editor, pairs: Pairs, file: Path) -> None:
    """Rows: before, the plain sum, the editor, the truth."""
    few = Pairs(*(part[:GRID_FACES] for part in pairs))
    rows = [few.images, edit_pairs(teacher, None, few)[1], edit_pairs(teacher, editor, few)[1], few.targets]
    recipe = {"kind": "generated faces: before, plain sum, editor, truth"}
    save_samples(file, torch.cat(rows).clamp(-1, 1), recipe, columns=len(few.images))


main = script(TrainEditorConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
