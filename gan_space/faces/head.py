"""Where hair and person are around a face, as soft masks at the photo's own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import HEAD_FRAME, TIGHT_FRAME, AlignTransform
from gan_space.photos.opening import check_photo

# From the tight frame, in which faces are found, to the head frame, which the segmenter looks at.
TO_HEAD = AlignTransform.fit(TIGHT_FRAME, HEAD_FRAME)

_WORK_PX = 448  # longer side of the picture in which edges are followed
_REACH = 0.012  # of the box: how far an edge may lie from where the network drew it
_QUIET = 1e-3  # squared contrast, colours from 0 to 1, below which no edge is followed
_FADE = 0.06  # of the box, along sides that are not the photo's edge
_FIRM = (0.15, 0.85)  # what a mask has to say to be taken for nothing, and for all


class SegmenterLike(Protocol):
    """What `find_head` needs of `gan_space.models.segmenter.Segmenter`."""

    resolution: int

    def __call__(self, images: Tensor): ...


@dataclass(frozen=True, eq=False)
class Head:
    """Hair and person around one face.

    Attributes:
        box: left, top, right, bottom in whole photo pixels; beyond it nothing is known.
        hair: [h, w] float32, share of a pixel that is hair of the head, 0 to 1.
        person: [h, w] float32, likewise of the person, with hair, clothes and hat.
    """

    box: tuple[int, int, int, int]
    hair: np.ndarray
    person: np.ndarray

    @property
    def hair_share(self) -> float:
        """Hair in squares of the face's frame: 0.1 is a shaved head, 1 is short hair, 4 is long hair."""
        side = max(self.box[2] - self.box[0], self.box[3] - self.box[1], 1) * TO_HEAD.scale
        return float(self.hair.sum() / side**2)


@torch.no_grad()
def find_head(photo: Tensor, transform: AlignTransform, segmenter: SegmenterLike) -> Head:
    """Find hair and person around a face.

    The network sees the head small, twice, the second time mirrored; then the masks follow the photo's own edges at the
    photo's own size (guided filter: He, Sun and Tang 2013; fast: He and Sun 2015).

    Args:
        photo: [3, H, W] uint8.
        transform: photo pixels -> tight frame, of the face.
        segmenter: the network, in evaluation mode.

    Raises:
        InputError: `photo` has another form.
    """
    check_photo(photo)
    view = transform.then(TO_HEAD)
    corners = view.inverse.apply([[0, 0], [1, 0], [0, 1], [1, 1]])
    width, height = photo.shape[2], photo.shape[1]
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).clip(0, (width, height))
    box = (int(left), int(top), int(right), int(bottom))
    if right - left < 2 or bottom - top < 2:
        nothing = np.zeros((max(0, bottom - top), max(0, right - left)), np.float32)
        return Head(box, nothing, nothing)
    crop = view.crop(photo, segmenter.resolution)
    output = segmenter(torch.cat([crop, crop.flip(3)]))
    seen = [(said[0] + said[1].flip(1)) / 2 for said in (output.hair.float(), output.person.float())]
    seen = np.stack([one.cpu().numpy() for one in seen], axis=-1)  # [R, R, 2]

    part = np.ascontiguousarray(photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    scale = min(1.0, _WORK_PX / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else part
    grid = (segmenter.resolution, small.shape[1] / part.shape[1], small.shape[0] / part.shape[0])
    rough = _laid_over(seen, view, box, small.shape[:2], grid)
    rough *= _faded(view, box, small.shape[:2], grid, (width, height))
    hair, person = _follow_edges(part, small, rough)
    return Head(box, np.minimum(hair, person), person)


def _laid_over(seen: np.ndarray, view: AlignTransform, box, size: tuple[int, int], grid) -> np.ndarray:
    """Bring masks [R, R, C] from the crop to the box at another size, [h, w, C]."""
    resolution, across, down = grid
    # Small picture -> photo -> crop; warpAffine counts from the middles of pixels.
    to_crop = view.matrix.copy() * resolution
    to_crop[:, 2] += to_crop[:, :2] @ (box[0], box[1])
    to_crop[:, 0] /= across
    to_crop[:, 1] /= down
    to_crop[:, 2] += to_crop[:, :2] @ (0.5, 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(seen, to_crop, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _faded(view: AlignTransform, box, size: tuple[int, int], grid, photo_size) -> np.ndarray:
    """One inside of the head frame, and zero at those of its sides that lie within the photo: [h, w, 1]."""
    _, across, down = grid
    x = (np.arange(size[1], dtype=np.float32) + 0.5) / across + box[0]
    y = (np.arange(size[0], dtype=np.float32) + 0.5) / down + box[1]
    matrix = view.matrix.astype(np.float32)
    u = matrix[0, 0] * x[None] + matrix[0, 1] * y[:, None] + matrix[0, 2]
    v = matrix[1, 0] * x[None] + matrix[1, 1] * y[:, None] + matrix[1, 2]
    inside = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    return (inside / _FADE).clip(0, 1)[..., None]


def _follow_edges(photo: np.ndarray, small: np.ndarray, masks: np.ndarray) -> list[np.ndarray]:
    """Fit masks [h, w, C] to the colours around each pixel, and read them off the large photo: C times [H, W]."""
    guide = small.astype(np.float32) / 255
    radius = max(1, round(_REACH * max(guide.shape[:2])))

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    center = mean(guide)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    spread = [mean(guide[..., i] * guide[..., j]) - center[..., i] * center[..., j] for i, j in pairs]
    rr, rg, rb, gg, gb, bb = spread
    rr, gg, bb = rr + _QUIET, gg + _QUIET, bb + _QUIET
    # The inverse of a symmetric 3 x 3 matrix, for all pixels at once.
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    by = 1 / (rr * irr + rg * irg + rb * irb)
    irr, irg, irb, igg, igb, ibb = (one * by for one in (irr, irg, irb, igg, igb, ibb))
    large = photo.astype(np.float32) / 255
    found = []
    for channel in range(masks.shape[2]):
        mask = masks[..., channel]
        level = mean(mask)
        r, g, b = (mean(guide[..., i] * mask) - center[..., i] * level for i in range(3))
        gain = np.stack([irr * r + irg * g + irb * b, irg * r + igg * g + igb * b, irb * r + igb * g + ibb * b], -1)
        offset = level - (gain * center).sum(axis=2)
        line = mean(np.dstack([gain, offset]))  # [h, w, 4]
        if photo.shape != small.shape:
            line = cv2.resize(line, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        value = np.einsum("hwc,hwc->hw", line[..., :3], large) + line[..., 3]
        found.append(((value - _FIRM[0]) / (_FIRM[1] - _FIRM[0])).clip(0, 1))
    return found
