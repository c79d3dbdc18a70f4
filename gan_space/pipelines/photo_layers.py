"""A whole photo at the scale of its face, where networks that know faces can run on everything around one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.faces.paste import soft_mask
from gan_space.images import from_pil, from_uint8, to_uint8
from gan_space.output.detail import PIXELS_AT_ONCE, frame_bounds
from gan_space.output.postprocess import apply_steps
from gan_space.photos.opening import to_picture
from gan_space.pipelines.looks import frame_weight

MAX_CANVAS_PX = 768  # longer side; 36 times the pixels of a face, about as many times its cost
MARGIN_STEPS = 2
LIGHT_ATTRIBUTE = "brightness"  # the one that is about light itself, so `keep_light` is not for it
BROAD = 0.06  # Gaussian width, as a share of the frame, of the colours that `settle` takes from the photo


@dataclass(frozen=True)
class Canvas:
    """A photo made small, or large, so that a face has the size that the networks know.

    image: [1, 3, h, w] float in [-1, 1], its edge repeated on all sides: networks draw the outermost pixels badly, and
    sides must be whole numbers of steps. left, top, width, height: the part that shows the photo. photo_width,
    photo_height: of the photo itself. All in px.
    """

    image: Tensor
    left: int
    top: int
    width: int
    height: int
    photo_width: int
    photo_height: int

    @classmethod
    def make(cls, photo: Tensor, frame_px: float, resolution: int, step: int, max_side: int = MAX_CANVAS_PX) -> Canvas:
        """Resize a photo.

        Args:
            photo: [3, H, W] uint8.
            frame_px: width of the face's frame in the photo.
            resolution: width that the frame shall have; less if the photo would not fit.
            step: sides of `image` become multiples of it.
            max_side: limit for the longer side in px.
        """
        photo_height, photo_width = photo.shape[1:]
        scale = min(resolution / frame_px, max_side / max(photo_width, photo_height))
        width, height = (max(1, round(side * scale)) for side in (photo_width, photo_height))
        picture = to_picture(photo).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        image = from_pil(picture)
        left = top = MARGIN_STEPS * step
        right, bottom = (MARGIN_STEPS * step + -side % step for side in (width, height))
        image = F.pad(image, (left, right, top, bottom), mode="replicate")
        return cls(image, left, top, width, height, photo_width, photo_height)

    def cut(self, image: Tensor) -> Tensor:
        """Take the margin off a picture of the canvas' size."""
        return image[:, :, self.top : self.top + self.height, self.left : self.left + self.width]

    def lay(self, image: Tensor, face: Tensor, transform: AlignTransform, feather: float = 0.3) -> Tensor:
        """Blend an aligned face into a picture of the canvas' size, where it stands in the photo.

        Args:
            image: [1, 3, h, w]; is left as it is. face: [1, 3, R, R]. transform: photo pixels -> frame.
        """
        height, width = image.shape[2:]
        # Sizes are whole numbers, so the scale is not quite the same in x and y.
        x = (np.arange(width) - self.left + 0.5) * (self.photo_width / self.width)
        y = (np.arange(height) - self.top + 0.5) * (self.photo_height / self.height)
        places = transform.apply(np.stack(np.meshgrid(x, y), axis=-1))  # [h, w, 2]
        mask = torch.from_numpy(soft_mask(places, feather).astype(np.float32)).to(image)
        grid = torch.from_numpy((places * 2 - 1).astype(np.float32)).to(image)[None]
        step = transform.scale * face.shape[-1] * self.photo_width / self.width  # px of the face for one of the canvas
        if step > 1.5:
            side = max(1, round(face.shape[-1] / step))
            face = F.interpolate(face, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        placed = F.grid_sample(face.to(image), grid, mode="bicubic", padding_mode="border", align_corners=False)
        return torch.lerp(image, placed, mask)


def settle(drawn: Tensor, photo: Tensor, frame_px: int) -> Tensor:
    """What has to be added to a redrawn picture so that its broad colours are those of the photo.

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


def enlarge_to(image: Tensor, width: int, height: int) -> Tensor:
    """[1, 3, h, w] float in [-1, 1] -> [3, height, width] uint8, by Lanczos."""
    array = to_uint8(image[0]).permute(1, 2, 0).cpu().numpy()
    picture = Image.fromarray(np.ascontiguousarray(array)).resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def finish_photo(photo: Tensor, steps: tuple[tuple[str, float], ...], seed: int) -> Tensor:
    """Post-process a whole photo, [3, H, W] uint8; the photo itself without steps."""
    return to_uint8(apply_steps(from_uint8(photo), steps, seed)) if steps else photo


def finish_face(photo: Tensor, transform: AlignTransform, steps: tuple[tuple[str, float], ...], seed: int) -> Tensor:
    """Post-process a photo inside a face's soft mask only; outside not a bit changes."""
    left, top, right, bottom = frame_bounds(transform, photo.shape[2], photo.shape[1])
    if not steps or right <= left or bottom <= top:
        return photo
    old = photo[:, top:bottom, left:right]
    colors = from_uint8(old)
    done = apply_steps(colors, steps, seed)
    result = photo.clone()
    step = max(1, PIXELS_AT_ONCE // (right - left))
    for first in range(top, bottom, step):
        rows = slice(first - top, min(first + step, bottom) - top)
        x, y = np.arange(left, right) + 0.5, np.arange(first, first + rows.stop - rows.start) + 0.5
        mask = soft_mask(transform.apply(np.stack(np.meshgrid(x, y), axis=-1)))
        mask = torch.from_numpy(mask.astype(np.float32))
        new = to_uint8(torch.lerp(colors[:, rows], done[:, rows], mask))
        result[:, first : first + rows.stop - rows.start, left:right] = torch.where(mask > 0, new, old[:, rows])
    return result
