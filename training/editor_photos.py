"""What an editor learns from photos, for which nobody knows the picture after a change.

Known is what the change does to the face that the generator draws of the photo's code: how much it moves what an
analyzer reads, and where it leaves the picture alone. The photo should follow in both, and stay a picture of this
person that the discriminator takes for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_space.latents.editing import edit_state
from gan_space.latents.inversion import charbonnier
from gan_space.models.analyzer import AnalyzerOutput
from gan_space.models.editor import Editor
from gan_space.pipelines.photo_layers import LIGHT_ATTRIBUTE, keep_light
from training.encoder_data import augment_faces
from training.losses import LOSSES

if TYPE_CHECKING:
    from training.train_editor import Teacher

STILL_BLUR = 9  # px of 128: a change may reach so far around where the generator's picture changes
STILL_BELOW = 0.15  # mean change of the colours, of 2, from which on a place is free to change


class PhotoChanges(NamedTuple):
    """Photos, and what their codes shall move by."""

    images: Tensor  # [N, 3, R, R] in [-1, 1]
    shift: Tensor  # [N, num_ws, w_dim]
    is_light: Tensor  # [N] bool: the change is one of light, which is kept from all others


def draw_photo_changes(teacher: Teacher, faces: Tensor, random: torch.Generator) -> PhotoChanges:
    """Choose a direction and an amount within its range for each face.

    Args:
        teacher: with directions.
        faces: [N, 3, R, R] uint8, aligned.
        random: on the CPU; the result depends on nothing else.
    """
    items = teacher.directions.items
    shift, is_light = [], []
    for _ in range(len(faces)):
        one = items[int(torch.randint(len(items), [1], generator=random))]
        low, high = one.safe_range
        shift.append((low + (high - low) * torch.rand(1, generator=random).item()) * one.vector.float())
        is_light.append(one.name == LIGHT_ATTRIBUTE)
    images = augment_faces(faces, random, wild_share=0.0).inputs
    device = teacher.encoder.w_avg.device
    return PhotoChanges(images.to(device), torch.stack(shift).to(device), torch.tensor(is_light, device=device))


def photo_losses(teacher: Teacher, editor: Editor, photos: PhotoChanges) -> dict[str, Tensor]:
    """The terms of one step, unweighted, by the names of `EditorLossWeights`; those of a network only with it."""
    synthesis, r = teacher.generator.synthesis, teacher.encoder.config.feature_resolution
    with torch.no_grad():
        code, state = teacher.encoder(photos.images)
        moved = code + photos.shift
        before = synthesis.finish(state, code, r)
        drawn_before, drawn_after = synthesis(torch.cat([code, moved]), noise_mode="const").chunk(2)
        drawn_after = _without_light(drawn_before, drawn_after, photos.is_light)
        free = ((drawn_after - drawn_before).abs().mean(dim=1, keepdim=True) / STILL_BELOW).clamp(max=1)
        free = F.max_pool2d(free, STILL_BLUR, stride=1, padding=STILL_BLUR // 2)  # [N, 1, R, R]
    after = synthesis.finish(edit_state(synthesis, state, code, moved, r, editor), moved, r)
    after = _without_light(before, after, photos.is_light)
    terms = {"photo_still": charbonnier((1 - free) * after, (1 - free) * before).mean()}
    if teacher.discriminator is not None:
        with torch.no_grad():
            real = teacher.discriminator(before)
        terms["photo_adversarial"] = LOSSES["relativistic"].generator(teacher.discriminator(after), real).mean()
    if teacher.analyzer is not None:
        with torch.no_grad():
            was, old, new = (_read(teacher, part) for part in (before, drawn_before, drawn_after))
        read = _read(teacher, after)
        wanted = {name: was.scores[name] + new.scores[name] - old.scores[name] for name in was.scores}
        terms["photo_attributes"] = score_distance(read.scores, wanted)
        terms["photo_identity"] = 1 - (read.embedding * was.embedding).sum(dim=1).mean()
    return terms


def score_distance(scores: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    """Between what was read and what should be, [N] each, in standard deviations of the latter: one number."""
    distances = []
    for name, truth in wanted.items():
        deviation = truth.std().clamp(min=1e-2)
        distances.append(F.smooth_l1_loss(scores[name] / deviation, truth / deviation))
    return torch.stack(distances).mean()


def _read(teacher: Teacher, images: Tensor) -> AnalyzerOutput:
    return teacher.analyzer(images.clamp(-1, 1))


def _without_light(before: Tensor, after: Tensor, is_light: Tensor) -> Tensor:
    """As `PersonalizationPipeline.edit` does it, except for changes of light."""
    return torch.where(is_light[:, None, None, None], after, keep_light(before, after))
