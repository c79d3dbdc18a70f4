"""The way back: what was drawn at the networks' size returns to a photo of any size."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.images import from_pil, from_uint8, to_uint8
from gan_space.models.guided_upscaler import FACTOR, GuidedUpscaler
from gan_space.photos.opening import to_picture
from gan_space.portraits.canvas import Canvas
from gan_space.portraits.detail import WINDOW_SHARE, ChangeMap, change_face, change_photo, fit_change
from gan_space.portraits.paste import paste_face

MAX_FRAME_PX = 1024  # of a face that is returned without its photo
PHOTO_REST = 0.5  # of what no window explains; all of it draws halos around hair against the sky
MAX_PASSES = 2  # of the upscaler: four times; a filter does the rest
WORTH_A_PASS = 1.2  # what has to become larger by no more than this is resampled alone
STRETCH = math.sqrt(2)  # a drawing is stretched by no more than this before passes that land on the wanted size
PhotoAt = Callable[[int, int], Tensor]  # height and width -> [1, 3, height, width] in [-1, 1]


def put_back(
    photo: Tensor,
    transform: AlignTransform,
    crop: Tensor,
    before: Tensor,
    after: Tensor,
    *,
    transfer: str,
    paste_back: bool,
    upscaler: GuidedUpscaler | None = None,
) -> Tensor:
    """Bring what was done to a face at the networks' size into the photo.

    Args:
        photo: [3, H, W] uint8; is left as it is.
        transform: photo pixels -> tight frame.
        crop: [1, 3, R, R] in [-1, 1], the face as it is in the photo.
        before, after: the same shape: as redrawn without and with the edit.
        transfer: "change" adds the difference of the two to the photo's own pixels; "picture" takes `after` itself.
        paste_back: False returns the frame alone.
        upscaler: enlarges a picture beside the photo, on the device of `after`; without it a bicubic filter does.

    Returns:
        [3, H, W] uint8, or [3, S, S] for the frame alone; new tensors. With "change" and equal pictures, the photo.
    """
    if transfer == "change" and paste_back and torch.equal(before, after):
        return photo.clone()
    resolution, after = crop.shape[-1], after.float().clamp(-1, 1)
    side = min(max(resolution, round(transform.frame_px)), MAX_FRAME_PX)
    if transfer == "picture":
        if upscaler is not None:
            after = enlarge_beside(upscaler, after, before, side, side, lambda size, _: transform.crop(photo, size))
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
    upscaler: GuidedUpscaler | None = None,
) -> Tensor:
    """Return the same for a whole photo that was redrawn at the scale of its face.

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
            after = enlarge_beside(upscaler, after, before, height, width, lambda *size: photo_at(photo, *size))
        return enlarge_to(after.cpu(), width, height)
    return change_photo(photo, _fit(canvas.cut(canvas.image), before, after, resolution), rest=PHOTO_REST)


def enlarge_beside(
    upscaler: GuidedUpscaler, drawn: Tensor, source: Tensor, height: int, width: int, photo: PhotoAt
) -> Tensor:
    """Double a drawing once, twice or not at all beside its photo, so that it comes near the wanted size.

    Args:
        drawn: [1, 3, h, w] float in [-1, 1].
        source: the same shape: what was drawn from, which is the photo as far as the networks know it.
        height, width: that it shall have in the end.
        photo: what the drawing shows, at any size.

    Returns:
        The same range and device; the wanted size, or a smaller one where that is more than two passes away.
    """
    factor = width / drawn.shape[3]
    if factor <= WORTH_A_PASS:
        return drawn
    passes = min(MAX_PASSES, max(1, math.ceil(math.log(factor / STRETCH, FACTOR))))
    scale = FACTOR**passes
    if factor > scale * STRETCH:
        height, width = (scale * side for side in drawn.shape[2:])
    else:
        size = [max(1, round(side / scale)) for side in (height, width)]
        drawn, source = _resized(drawn, *size), _resized(source, *size)
    beside = photo(height, width).to(drawn)
    beside = _padded(beside, *(-(-side // scale) * scale for side in (height, width)))
    size = [side // scale for side in beside.shape[2:]]
    drawn, source = _padded(drawn, *size), _padded(source.to(drawn), *size)
    for further in reversed(range(passes)):
        drawn, source = upscaler.enlarge(drawn, F.avg_pool2d(beside, FACTOR**further), source).clamp(-1, 1), None
    return drawn[:, :, :height, :width]


def photo_at(photo: Tensor, height: int, width: int) -> Tensor:
    """Map [3, H, W] uint8 -> [1, 3, height, width] in [-1, 1], antialiased."""
    if photo.shape[1:] == (height, width):
        return from_uint8(photo[None])
    return from_pil(to_picture(photo).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))


def _padded(images: Tensor, height: int, width: int) -> Tensor:
    """Repeat the last row and column until the size is reached."""
    return F.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]), mode="replicate")


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    if images.shape[2:] == (height, width):
        return images
    images = F.interpolate(images, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return images.clamp(-1, 1)


def _fit(guide: Tensor, before: Tensor, after: Tensor, resolution: int) -> ChangeMap:
    """The change from `before` to `after`, to be applied to what `guide` shows; R is the width of a face's frame."""
    radius = max(2, round(WINDOW_SHARE * resolution))
    change = after.float().cpu() - before.float().cpu()
    return fit_change(guide.float().cpu(), change, radius, stride=max(1, radius // 3))


def enlarge_to(image: Tensor, width: int, height: int) -> Tensor:
    """Map [1, 3, h, w] float in [-1, 1] -> [3, height, width] uint8, by Lanczos."""
    array = to_uint8(image[0]).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(array)).resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
