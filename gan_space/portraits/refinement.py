"""Bringing a photo's faces closer to what the networks redraw, by a few steps of optimisation; and what was lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError
from gan_space.images import image_grid
from gan_space.latents.inversion import error_map, refine
from gan_space.models.encoder import Encoder, EncoderOutput
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState
from gan_space.packs.attaching import attached
from gan_space.portraits.portrait import Portrait

MAX_REFINE_STEPS = 1000
GOOD_REFINE_STEPS = 60  # where the gain has become slow, see docs/results/style.md
ERROR_SHOWN = 0.5  # a mean difference of a quarter of the whole range is drawn as bright as can be

StepCallback = Callable[[int, int, float], bool | None]


@dataclass(frozen=True)
class Refinement:
    """What `refine_portrait` found for N faces of one photo; all tensors on the CPU.

    Args:
        code: w_plus and state of the faces, refined.
        crops: [N, 3, R, R] in [-1, 1], the faces as they are in the photo.
        drawn: [N, 3, R, R], as the networks redraw them from `code`.
        lost, lost_before: [N, 1, R, R] in [0, 2], difference of the two with and without the refinement, see
            `latents.inversion.error_map`.
        num_steps: how many steps were done; fewer than asked for where it was stopped.
    """

    code: EncoderOutput
    crops: Tensor
    drawn: Tensor
    lost: Tensor
    lost_before: Tensor
    num_steps: int

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def error(self) -> float:
        """Mean difference between photo and redrawn face, as a share of the whole range from black to white."""
        return self.lost.mean().item() / 2

    @property
    def error_before(self) -> float:
        """The same for what the encoder said."""
        return self.lost_before.mean().item() / 2

    def picture(self, min_px: int = 256) -> Image.Image:
        """Return one row a face: as in the photo, as redrawn, and what was lost: black nothing, white most.

        Args:
            min_px: smallest side of one picture; small networks' pictures are enlarged without smoothing.
        """
        shown = (self.lost / ERROR_SHOWN).clamp(0, 1)
        # Black over red and yellow to white: read as heat, and still rising in grey.
        heat = torch.cat([(3 * shown - part).clamp(0, 1) for part in range(3)], dim=1) * 2 - 1
        rows = torch.stack([self.crops, self.drawn.clamp(-1, 1), heat], dim=1).flatten(0, 1)
        picture = image_grid(rows, columns=3)
        factor = max(1, -(-min_px // rows.shape[-1]))
        return picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)


@torch.no_grad()
def refine_portrait(
    generator: Generator,
    encoder: Encoder,
    portrait: Portrait,
    num_steps: int,
    *,
    callback: StepCallback | None = None,
) -> Refinement:
    """Refine what the encoder says about the chosen faces of a photo.

    Args:
        num_steps: steps of optimisation; 0 only measures what the encoder loses.
        callback: called as callback(step, num_steps, loss) after each step; False stops, and what was reached so far is
            returned.

    Raises:
        NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on.
    """
    crops, code = portrait.crops(encoder.resolution).to(encoder.device), portrait.code(encoder)
    with attached(generator, []):  # the weights as they are without any pack
        # A copy: others go on drawing, and no pack of theirs may get in between two steps.
        generator = copy.deepcopy(generator)
    r = encoder.feature_resolution
    before = error_map(generator.synthesis.finish(code.state, code.w_plus, r), crops)
    refined = refine(generator, code, crops, num_steps, callback=callback)
    w_plus, state = refined.output
    drawn = generator.synthesis.finish(state, w_plus, r)
    return Refinement(
        code=EncoderOutput(w_plus.cpu(), SynthesisState(*(part.cpu() for part in state))),
        crops=crops.float().cpu(),
        drawn=drawn.float().cpu(),
        lost=refined.error_map.cpu(),
        lost_before=before.cpu(),
        num_steps=len(refined.losses) - 1,
    )


def refined_code(refined: Refinement, generator: Generator, encoder: Encoder, num_faces: int) -> EncoderOutput:
    """Return the code on the networks' device and in their format; InputError if it is for another number of faces."""
    w_plus, state = refined.code
    r, num_ws = encoder.feature_resolution, generator.num_ws
    if len(refined) != num_faces or state.x.shape[-1] != r or w_plus.shape[1] != num_ws:
        raise InputError(
            f"refined is for {len(refined)} face(s) and {state.x.shape[-1]} px features, but {num_faces} face(s) "
            f"are meant and the encoder has {r} px: refine this photo with the same faces"
        )
    return EncoderOutput(w_plus.to(encoder.device), SynthesisState(*(part.to(encoder.device) for part in state)))


def refine_faults(num_steps: object) -> list[str]:
    """Say what is wrong with a number of steps; empty if nothing."""
    if isinstance(num_steps, int) and not isinstance(num_steps, bool) and 0 <= num_steps <= MAX_REFINE_STEPS:
        return []
    return [f"refine_steps must be a whole number from 0 to {MAX_REFINE_STEPS}, got {num_steps!r}"]
