"""Real faces of every tone with the places of their skin, on which looks are asked whether they lighten it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

import gan_space
from gan_space.faces.align import AlignTransform
from gan_space.faces.landmarks import find_landmarks
from gan_space.images import from_uint8
from gan_space.looks.skin import FaceView, find_skin
from gan_space.models.landmarker import Landmarker
from gan_space.output.lab import rgb_to_lab
from training.common.face_labels import load_labelled_faces

FACES = Path(__file__).resolve().parents[1] / "data" / "fairface64.parquet"
LANDMARKER = Path(gan_space.__file__).parent / "assets" / "default" / "landmarker"
TONES = {"dark": (0, 42), "middle": (50, 62), "light": (70, 101)}  # mean L* of the skin
EACH = 4


class Toned(NamedTuple):
    """Faces [N, 3, 128, 128] in [-1, 1] of one tone, and where their skin is [N, 128, 128]."""

    faces: Tensor
    skin: Tensor


@cache
def faces_by_tone() -> dict[str, Toned]:
    """The same number of faces for each tone; those that show most skin."""
    pictures = load_labelled_faces(str(FACES), "train", face_px=128, limit=40).images
    landmarker = Landmarker.from_pretrained(LANDMARKER).eval()
    skins = torch.stack([_skin_of(picture, landmarker) for picture in pictures])  # [40, 128, 128]
    faces = from_uint8(pictures)
    tones = mean_lightness(faces, skins)
    found = {}
    for tone, (low, high) in TONES.items():
        rows = torch.nonzero((tones >= low) & (tones < high)).flatten()
        rows = rows[skins[rows].sum(dim=[1, 2]).argsort(descending=True)[:EACH]]
        found[tone] = Toned(faces[rows], skins[rows])
    return found


def mean_lightness(faces: Tensor, skin: Tensor) -> Tensor:
    """Mean L* under a mask, [N]."""
    return (rgb_to_lab(faces)[:, 0] * skin).sum(dim=[1, 2]) / skin.sum(dim=[1, 2]).clamp(min=1e-6)


def _skin_of(picture: Tensor, landmarker: Landmarker) -> Tensor:
    side = picture.shape[-1]
    marks = find_landmarks(picture, AlignTransform(1 / side, 0.0, 0.0, 0.0), landmarker, num_passes=1)
    view = FaceView.cut(picture, marks)
    left, top, right, bottom = view.box
    skin = np.zeros((side, side), np.float32)
    skin[top:bottom, left:right] = cv2.resize(find_skin(view), (right - left, bottom - top))
    return torch.from_numpy(skin)
