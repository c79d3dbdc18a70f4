"""Pictures with a face whose place is known, to measure how well it is found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.faces.align import PORTRAIT_FRAME, AlignTransform
from gan_space.images import from_uint8, to_uint8
from gan_space.portraits.paste import paste_face
from training.common.disturb import background, shred

FACE_PX = 128
SCENE_PX = (480, 960)
SCENE_FACE_PX = (60, 300)
SCENE_ROLL_DEG = 30.0


class Scene(NamedTuple):
    """A photo with one face whose place is known."""

    photo: Tensor  # [3, H, W] uint8
    transform: AlignTransform  # photo pixels -> tight frame


def make_scene(face: Tensor, others: Tensor, seed: int) -> Scene:
    """Paste an aligned face, 60 to 300 px wide and rolled by up to 30 degrees, into a larger background.

    Args:
        face: [3, S, S] uint8 in the tight frame.
        others: [N, 3, S, S] uint8, N at least 2: what the background is made of.
    """
    random = np.random.default_rng(seed)
    side = int(random.integers(SCENE_PX[0], SCENE_PX[1] + 1))
    generator = torch.Generator().manual_seed(seed)
    # Swapped quarters, so that the background holds no faces that a detector may rightly find.
    scenery = background(shred(from_uint8(others)), 128, generator)[:1]
    scenery = F.interpolate(scenery, size=(side, side), mode="bicubic", align_corners=False)
    scenery = to_uint8(scenery + 0.02 * torch.randn(scenery.shape, generator=generator))[0]
    frame_px = float(np.exp(random.uniform(*np.log(SCENE_FACE_PX))))
    x, y = random.uniform(0.05 * frame_px, side - 1.05 * frame_px, size=2)
    transform = AlignTransform.from_box(x, y, frame_px, random.uniform(-SCENE_ROLL_DEG, SCENE_ROLL_DEG))
    return Scene(paste_face(scenery, from_uint8(face)[None], transform, feather=0.15), transform)


def roll_portrait(picture: Tensor, seed: int) -> Scene:
    """Roll a head-and-shoulders picture by up to 30 degrees and make it three times as large."""
    random = np.random.default_rng(seed)
    side = picture.shape[-1]
    scale = 1.3  # shows more than the picture, so that no corner of it is lost
    corner, roll_deg = side * (0.5 - scale / 2), random.uniform(-SCENE_ROLL_DEG, SCENE_ROLL_DEG)
    view = AlignTransform.from_box(corner, corner, side * scale, roll_deg)
    photo_px = 3 * side
    photo = to_uint8(view.crop(picture, photo_px))[0]
    eyes_and_mouth = view.apply(PORTRAIT_FRAME * side) * photo_px
    return Scene(photo, AlignTransform.from_landmarks(eyes_and_mouth))
