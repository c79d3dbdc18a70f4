"""The way back: what was drawn at the networks' size returns to a photo of any size."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.images import to_uint8
from gan_space.models.upscaler import Upscaler
from gan_space.portraits.canvas import Canvas
from gan_space.portraits.detail import WINDOW_SHARE, ChangeMap, change_face, change_photo, fit_change
from gan_space.portraits.paste import paste_face

MAX_FRAME_PX = 1024  # of a face that is returned without its photo
PHOTO_REST = 0.5  # of what no window explains; all of it draws halos around hair against the sky
MAX_PASSES = 2  # of the upscaler: four times
WORTH_A_PASS = 1.2  # what has to become larger by no more than this is resampled alone
SECOND_PASS_PX = 1 << 18  # pixels up to which a second pass is run: it costs four times as much as the first


def put_back(
    photo: Tensor,
    transform: AlignTransform,
    crop: Tensor,
    before: Tensor,
    after: Tensor,
    *,
    transfer: str,
    paste_back: bool,
    upscaler: Upscaler | None = None,
) -> Tensor:
    """Bring what was done to a face at the networks' size into the photo.

    Args:
        photo: [3, H, W] uint8; is left as it is.
        transform: photo pixels -> tight frame.
        crop: [1, 3, R, R] in [-1, 1], the face as it is in the photo.
        before, after: the same shape: as redrawn without and with the edit.
        transfer: "change" adds the difference of the two to the photo's own pixels; "picture" takes `after` itself.
        paste_back: False returns the frame alone.
        upscaler: enlarges a picture on the device of `after`; without it a bicubic filter does.

    Returns:
        [3, H, W] uint8, or [3, S, S] for the frame alone; new tensors. With "change" and equal pictures, the photo.
    """
    if transfer == "change" and paste_back and torch.equal(before, after):
        return photo.clone()
    resolution, after = crop.shape[-1], after.float().clamp(-1, 1)
    side = min(max(resolution, round(transform.frame_px)), MAX_FRAME_PX)
    if transfer == "picture":
        if upscaler is not None:
            after = shrink_to(enlarge_by_network(upscaler, after, side / resolution), side)
        after = after.cpu()
        return paste_face(photo, after, transform) if paste_back else to_uint8(after)[0]
    change = _fit(crop, before.float().clamp(-1, 1), after, resolution)
    if paste_back:
        return change_face(photo, change, transform)
    return change_photo(to_uint8(transform.crop(photo, side))[0], change)


def put_back_photo(
    photo: Tensor,
    canvas: Canvas,
    before: Tensor,
    after: Tensor,
    resolution: int,
    *,
    transfer: str,
    upscaler: Upscaler | None = None,
) -> Tensor:
    """The same for a whole photo that was redrawn at the scale of its face.

    Args:
        photo: [3, H, W] uint8; is left as it is.
        canvas: the photo at that scale.
        before, after: [1, 3, h, w] in [-1, 1]: what shows the photo of the canvas, redrawn without and with the edit.
        resolution: R, width of the face's frame in them.
        transfer, upscaler: as in `put_back`; without an upscaler a Lanczos filter enlarges.

    Returns:
        [3, H, W] uint8, a new tensor.
    """
    height, width = photo.shape[1:]
    if transfer == "picture":
        if upscaler is not None:
            after = enlarge_by_network(upscaler, after, width / after.shape[3])
        return enlarge_to(after.cpu(), width, height)
    return change_photo(photo, _fit(canvas.cut(canvas.image), before, after, resolution), rest=PHOTO_REST)


def enlarge_by_network(upscaler: Upscaler, images: Tensor, factor: float) -> Tensor:
    """Double pictures once, twice or not at all, so that they come near the wanted size.

    Args:
        images: [N, 3, h, w] float in [-1, 1].
        factor: how many times larger they shall become; the rest of the way is the caller's.

    Returns:
        The same range and device, 1, 2 or 4 times as large, which may be more than asked for.
    """
    for number in range(MAX_PASSES):
        if factor <= WORTH_A_PASS or (number and images.shape[2] * images.shape[3] > SECOND_PASS_PX):
            break
        images, factor = upscaler.enlarge(images).clamp(-1, 1), factor / upscaler.factor
    return images


def shrink_to(images: Tensor, side: int) -> Tensor:
    """[N, 3, S, S] in [-1, 1]: those wider than `side` px are made as wide, with an antialiasing filter."""
    if images.shape[-1] <= side:
        return images
    small = F.interpolate(images, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return small.clamp(-1, 1)


def _fit(guide: Tensor, before: Tensor, after: Tensor, resolution: int) -> ChangeMap:
    """The change from `before` to `after`, to be applied to what `guide` shows; R is the width of a face's frame."""
    radius = max(2, round(WINDOW_SHARE * resolution))
    change = after.float().cpu() - before.float().cpu()
    return fit_change(guide.float().cpu(), change, radius, stride=max(1, radius // 3))


def enlarge_to(image: Tensor, width: int, height: int) -> Tensor:
    """[1, 3, h, w] float in [-1, 1] -> [3, height, width] uint8, by Lanczos."""
    array = to_uint8(image[0]).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(array)).resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
