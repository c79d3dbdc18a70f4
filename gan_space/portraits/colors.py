"""Broad colours of a photo and of what networks redraw: what is missing, and what is light rather than change."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gan_space.portraits.paste import frame_weight

LIGHT_ATTRIBUTE = "brightness"  # the one that is about light itself, so `keep_light` is not for it
BROAD = 0.06  # Gaussian width, as a share of the frame, of the colours that `missing_colors` takes from the photo


def missing_colors(drawn: Tensor, photo: Tensor, frame_px: int) -> Tensor:
    """Return what has to be added to a redrawn picture so that its broad colours are those of the photo.

    The encoder is trained on faces; the colours of a background, and now and then of a face, come out a little off. Of
    the error only what is broader than a facial feature is returned: pores and noise are none.

    Args:
        drawn, photo: [N, 3, h, w]. frame_px: width of a face's frame in them.
    """
    # Blurred by way of a small picture: as smooth, and far cheaper than a wide filter.
    height, width = photo.shape[2:]
    cell = max(1, round(BROAD * frame_px))
    size = (max(2, -(-height // cell)), max(2, -(-width // cell)))
    small = F.interpolate(photo.float() - drawn.float(), size=size, mode="area")
    return F.interpolate(small, size=(height, width), mode="bicubic", align_corners=False)


def keep_light(before: Tensor, after: Tensor) -> Tensor:
    """Take off a changed face what the change did to the light of all of it.

    Among faces an attribute comes with a light: smiles are brighter, the old more yellow. In a photo the light is that
    of the room, and skin keeps its colour. What most of the face changed by, the median of each colour in the middle of
    the frame, is taken for light; what a few places changed by is the attribute.

    Args:
        before, after: [N, 3, R, R] in [-1, 1], faces in their frames.

    Returns:
        `after` with another colour added to each face: [N, 3, R, R].
    """
    inside = (frame_weight(*before.shape[2:]) > 0.5).to(before.device)
    light = (after - before)[:, :, inside].float().median(dim=2).values
    return after - light[:, :, None, None].to(after.dtype)
