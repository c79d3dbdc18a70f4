"""A whole photo at the scale of its face, where networks that know faces can run on everything around one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.images import from_pil
from gan_space.photos.opening import to_picture
from gan_space.portraits.paste import soft_mask

MAX_CANVAS_PX = 768  # longer side; 36 times the pixels of a face, about as many times its cost
MARGIN_STEPS = 2


@dataclass(frozen=True)
class Canvas:
    """A photo made small, or large, so that a face has the size that the networks know.

    image: [1, 3, h, w] float in [-1, 1], its edge repeated on all sides: networks draw the outermost pixels badly, and
    sides must be whole numbers of steps. left, top, width, height: the part that shows the photo. photo_width,
    photo_height: of the photo itself. All in px. transforms: from the photo's pixels to the frames of its faces.
    """

    image: Tensor
    left: int
    top: int
    width: int
    height: int
    photo_width: int
    photo_height: int
    transforms: tuple[AlignTransform, ...]

    @classmethod
    def make(
        cls,
        photo: Tensor,
        transforms: Sequence[AlignTransform],
        resolution: int,
        step: int,
        max_side: int = MAX_CANVAS_PX,
    ) -> Canvas:
        """Resize a photo.

        Args:
            photo: [3, H, W] uint8.
            transforms: photo pixels -> frame of each face, the largest first.
            resolution: width that the largest frame shall have; less if the photo would not fit.
            step: sides of `image` become multiples of it.
            max_side: limit for the longer side in px.
        """
        photo_height, photo_width = photo.shape[1:]
        scale = min(resolution / transforms[0].frame_px, max_side / max(photo_width, photo_height))
        width, height = (max(1, round(side * scale)) for side in (photo_width, photo_height))
        picture = to_picture(photo).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        image = from_pil(picture)
        left = top = MARGIN_STEPS * step
        right, bottom = (MARGIN_STEPS * step + -side % step for side in (width, height))
        image = F.pad(image, (left, right, top, bottom), mode="replicate")
        return cls(image, left, top, width, height, photo_width, photo_height, tuple(transforms))

    def cut(self, image: Tensor) -> Tensor:
        """Take the margin off a picture of the canvas' size."""
        return image[:, :, self.top : self.top + self.height, self.left : self.left + self.width]

    def lay(self, image: Tensor, faces: Tensor, feather: float = 0.3) -> Tensor:
        """Blend aligned faces into a picture of the canvas' size, where they stand in the photo.

        Args:
            image: [1, 3, h, w]; is left as it is. faces: [N, 3, R, R], one for each of `transforms`.
        """
        for index in reversed(range(len(self.transforms))):  # the largest face last, on top
            image = self._lay_one(image, faces[index : index + 1], self.transforms[index], feather)
        return image

    def _lay_one(self, image: Tensor, face: Tensor, transform: AlignTransform, feather: float) -> Tensor:
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
