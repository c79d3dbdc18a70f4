"""What an editor learns from photos, for which nobody knows the picture after a change.

Known is what the change does to the face that the generator draws of the photo's code: how much it moves what an
analyzer reads, and where it leaves the picture alone. The photo should follow in both, and stay a picture of this
person that the discriminator takes for one. A code does not know all that a photo shows, glasses least of all: at the
end of a slider a photo should therefore arrive where the drawn face does, however far that is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_space.images import from_uint8
from gan_space.latents.editing import edit_state
from gan_space.latents.inversion import charbonnier
from gan_space.models.analyzer import AnalyzerOutput
from gan_space.models.editor import Editor
from gan_space.portraits.colors import LIGHT_ATTRIBUTE, keep_light
from training.common.model_bundle import ModelBundle
from training.encoder.data import augment_faces
from training.losses import LOSSES

AWAY = 0.75  # of the changes lead to the side where a photo is not
MAX_RARITY = 20.0  # however rare a case is, a photo of it moves along other directions as well
STILL_BLUR = 9  # px of 128: a change may reach so far around where the generator's picture changes
STILL_BELOW = 0.15  # mean change of the colours, of 2, from which on a place is free to change


class PhotoSides(NamedTuple):
    """On which side of each direction's middle M photos are, and how rare that is."""

    above: Tensor  # [M, D] bool
    rarity: Tensor  # [M, D] one over the share of photos on the same side

    def rows(self, rows: Tensor) -> PhotoSides:
        """Return those of some photos."""
        return PhotoSides(self.above[rows], self.rarity[rows])


class PhotoChanges(NamedTuple):
    """Photos, and what their codes shall move by."""

    images: Tensor  # [N, 3, R, R] in [-1, 1]
    shift: Tensor  # [N, num_ws, w_dim]
    direction: Tensor  # [N] number of the direction that each moves along
    reach: Tensor  # [N] in [-1, 1], the amount as a share of the end of the range on its side
    is_light: Tensor  # [N] bool: the change is one of light, which is kept from all others


@torch.no_grad()
def photo_sides(teacher: ModelBundle, faces: Tensor, batch_size: int = 256) -> PhotoSides | None:
    """Read where photos [M, 3, R, R] uint8 stand, on the CPU; None without an analyzer."""
    if teacher.analyzer is None:
        return None
    device = teacher.encoder.w_avg.device
    parts = [teacher.analyzer(from_uint8(part.to(device))).scores for part in faces.split(batch_size)]
    nothing = torch.zeros(len(faces))  # of directions that the analyzer does not know
    scores = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    above = torch.stack([scores.get(one.name, nothing) > 0 for one in teacher.directions.items], dim=1)
    share = above.float().mean(dim=0)
    return PhotoSides(above, 1 / torch.where(above, share, 1 - share).clamp(min=1 / MAX_RARITY))


def draw_photo_changes(
    teacher: ModelBundle, faces: Tensor, random: torch.Generator, sides: PhotoSides | None = None
) -> PhotoChanges:
    """Choose a direction and an amount within its range for each face.

    Args:
        teacher: with directions.
        faces: [N, 3, R, R] uint8, aligned.
        random: on the CPU; the result depends on nothing else.
        sides: of these faces. With them, a face moves along that more often of which it is a rare case, and mostly
            to the other side: few photos wear glasses, and those that do are to learn to take them off.
    """
    items = teacher.directions.items
    shift, chosen, reach = [], [], []
    for row in range(len(faces)):
        weights = torch.ones(len(items)) if sides is None else sides.rarity[row]
        number = int(torch.multinomial(weights, 1, generator=random))
        low, high = items[number].safe_range
        far, side = torch.rand(2, generator=random).tolist()
        upward = high / (high - low) if sides is None else (1 - AWAY if sides.above[row, number] else AWAY)
        amount = far * (high if side < upward else low)
        shift.append(amount * items[number].vector.float())
        chosen.append(number)
        reach.append(far if side < upward else -far)
    images = augment_faces(faces, random, wild_share=0.0).inputs
    device = teacher.encoder.w_avg.device
    is_light = [items[number].name == LIGHT_ATTRIBUTE for number in chosen]
    columns = (torch.tensor(column, device=device) for column in (chosen, reach, is_light))
    return PhotoChanges(images.to(device), torch.stack(shift).to(device), *columns)


def photo_losses(teacher: ModelBundle, editor: Editor, photos: PhotoChanges) -> dict[str, Tensor]:
    """Return the terms of a step, unweighted, by the names of `EditorLossWeights`; those of a network only with it."""
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
        for number, one in enumerate(teacher.directions.items):
            if one.name in wanted:
                reach = photos.reach * (photos.direction == number)
                wanted[one.name] = _as_far_as(wanted[one.name], new.scores[one.name], reach)
        terms["photo_attributes"] = score_distance(read.scores, wanted)
    if teacher.identity is not None:
        with torch.no_grad():
            person = teacher.identity(before.clamp(-1, 1))
        terms["photo_identity"] = 1 - (teacher.identity(after.clamp(-1, 1)) * person).sum(dim=1).mean()
    return terms


def score_distance(scores: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    """Measure between what was read and what should be, [N] each, in standard deviations of the latter: one number."""
    distances = []
    for name, truth in wanted.items():
        deviation = truth.std().clamp(min=1e-2)
        distances.append(F.smooth_l1_loss(scores[name] / deviation, truth / deviation))
    return torch.stack(distances).mean()


def _as_far_as(wanted: Tensor, drawn: Tensor, reach: Tensor) -> Tensor:
    """Scores [N], moved the share |reach| of what they lack to the drawn faces' own, in the direction of `reach`."""
    lacking = drawn - wanted
    return wanted + reach.abs() * torch.where(lacking * reach > 0, lacking, 0.0)


def _read(teacher: ModelBundle, images: Tensor) -> AnalyzerOutput:
    return teacher.analyzer(images.clamp(-1, 1))


def _without_light(before: Tensor, after: Tensor, is_light: Tensor) -> Tensor:
    """As `PersonalizationPipeline.edit` does it, except for changes of light."""
    return torch.where(is_light[:, None, None, None], after, keep_light(before, after))
