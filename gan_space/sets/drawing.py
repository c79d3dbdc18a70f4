"""One portrait of a set: face, age, frame, look and light, and whether it still shows the person."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.head import SegmenterLike
from gan_space.faces.landmarks import FACE_OVAL, LandmarkerLike, Landmarks
from gan_space.faces.mesh import face_frame
from gan_space.faces.shape import ShapeModel
from gan_space.looks.apply import apply_look
from gan_space.looks.grade import grade
from gan_space.models.face_identity import FaceIdentity
from gan_space.output.visible_label import Box
from gan_space.portraits.aging import AgeModel, change_age, shape_of_age
from gan_space.portraits.hair_age import hair_of
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.shape import reshape
from gan_space.sets.framing import WHOLE, crop_to
from gan_space.sets.plan import LIGHTS, Variation

ALIKE_PX = 24  # pictures are compared at this size
ALIKE_LAB, ALIKE_SHARE = 5.0, 0.1  # distance in CIE Lab, of the tenth that differs most, below which two are the same
WINDOWS = {"window-left": -1, "window-right": 1}  # light -> the side that it comes from
WINDOW_GAIN = 0.32  # natural logarithm of the light on either side of the face


@dataclass(frozen=True, eq=False)
class Drawn:
    """A portrait as it was made.

    Args:
        portrait: the picture with its face where it stands now.
        likeness: cosine of the face, before any drawing, to the photo that it was made from.
        summary: [24, 24, 3] CIE Lab of the whole picture.
    """

    portrait: Portrait
    likeness: float
    summary: np.ndarray


@torch.no_grad()
def draw_variation(
    base: Portrait,
    variation: Variation,
    box: Box,
    *,
    landmarker: LandmarkerLike,
    segmenter: SegmenterLike | None,
    identity: FaceIdentity,
    shapes: ShapeModel | None,
    ages: AgeModel | None,
    seed: int,
    glasses: bool = False,
) -> Drawn:
    """Make one portrait at the photo's own size.

    Args:
        base: the photo, with one chosen face.
        variation: what it is to be.
        box: of its frame in the photo.
        landmarker, segmenter, identity, shapes, ages: what a model has.
        seed: of what is drawn at random, such as grain.
        glasses: whether the face wears some, which stay straight under raised brows.

    Raises:
        InputError: the model lacks what the variation needs.
    """
    own = embed(base, identity)
    moved, flows = shape_of_age(variation.age, variation.shape), []
    shaped = reshape(base, landmarker, shapes, moved, glasses=glasses, moved=flows.append) if moved else base
    if variation.age:
        (marks,) = shaped.landmarks(landmarker)
        hair = hair_of(base, landmarker, segmenter, flows)
        shaped = _repainted(shaped, change_age(shaped.pixels, marks.points, variation.age, ages, hair), landmarker)
    changed = own @ embed(shaped, identity)
    look = variation.look
    # Hair and persons are seen best in the whole photo; a grade or a drawing is made for its frame.
    whole = look is not None and bool(look.hair or look.background)
    options = {"landmarker": landmarker, "segmenter": segmenter, "shapes": shapes, "seed": seed}
    if whole:
        shaped = _repainted(shaped, apply_look(shaped, look, **options), landmarker)
    if variation.frame != WHOLE:
        shaped = crop_to(shaped, box, landmarker)
    pixels = shaped.pixels
    if look is not None and not whole:
        pixels = apply_look(shaped, look, **options)
    light = LIGHTS[variation.light]
    if variation.light in WINDOWS:
        (marks,) = shaped.landmarks(landmarker)
        pixels = light_from_side(pixels, marks, WINDOWS[variation.light])
    if light:
        pixels = grade(pixels, shaped.landmarks(landmarker), light, seed)
    done = _repainted(shaped, pixels, landmarker)
    if variation.kind != "drawn":  # the network knows photos
        changed = torch.minimum(changed, own @ embed(done, identity))
    return Drawn(done, float(changed), summarise(pixels))


def light_from_side(pixels: Tensor, marks: Landmarks, side: int) -> Tensor:
    """Let light fall from the left (-1) or the right (1): more of it there, as much less on the other side.

    The middle of the face keeps its light, so on the whole skin becomes neither lighter nor darker.
    """
    frame = face_frame(marks.points)
    middle = frame.apply(marks.of(FACE_OVAL))[:, 0].mean()
    height, width = pixels.shape[1:]
    x, y = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5
    across = frame.a * x[None] - frame.b * y[:, None] + frame.tx - middle  # [H, W] face units
    stops = WINDOW_GAIN * side * np.tanh(across / 1.1)
    light = (np.arange(256, dtype=np.float32) / 255) ** 2.2  # linear light of a code
    picture = light[pixels.permute(1, 2, 0).cpu().numpy()] * np.exp(stops)[..., None]
    # Lights bend towards white instead of being cut off.
    picture = np.where(picture > 0.7, 0.7 + 0.3 * np.tanh((picture - 0.7) / 0.3), picture)
    codes = np.round(255 * picture ** (1 / 2.2)).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(codes).permute(2, 0, 1).contiguous()


def embed(portrait: Portrait, identity: FaceIdentity) -> Tensor:
    """Return [E] of the chosen face, of unit length."""
    crop = portrait.crops(identity.resolution)
    return identity(crop.to(identity.device))[0].float().cpu()


def summarise(pixels: Tensor) -> np.ndarray:
    """Return a picture [3, H, W] uint8 as [24, 24, 3] CIE Lab, whatever its shape."""
    picture = np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())
    small = cv2.resize(picture, (ALIKE_PX, ALIKE_PX), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two summaries are of pictures that look the same."""
    apart = np.sort(np.linalg.norm(one - other, axis=2).ravel())
    return float(apart[-round(ALIKE_SHARE * len(apart)) :].mean()) < ALIKE_LAB


def _repainted(portrait: Portrait, pixels: Tensor, landmarker: LandmarkerLike) -> Portrait:
    """The same faces and landmarks in other pixels of the same size."""
    if pixels is portrait.pixels:
        return portrait
    return portrait.painted_over(pixels, on_white=True).knows(landmarker, portrait.landmarks(landmarker))
