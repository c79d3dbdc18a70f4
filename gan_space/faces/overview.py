"""A photo with smaller copies beside it: looking at any part of it costs the same, however large photo and part are."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.photos.opening import check_photo

MAX_PX = 2**20  # of the first copy
BAND_PX = 2**22  # of the photo, read at once while that is made
ROWS_OF_A_BLOCK = 4  # that are read for an average; of a block of more rows, some are passed over
SMALLEST_SIDE_PX = 32


class Overview:
    """Smaller copies of a photo, each the average of blocks of pixels.

    The first is made once, in bands, by a whole factor that leaves it at most `MAX_PX`; each further one has half the
    width and height.

    Args:
        photo: [3, H, W] uint8, on any device, of any strides.
    """

    def __init__(self, photo: Tensor):
        self.photo = check_photo(photo)

    @classmethod
    def of(cls, photo: Tensor | Overview) -> Overview:
        """Return `photo` itself if it is one already."""
        return photo if isinstance(photo, cls) else cls(photo)

    @cached_property
    def copies(self) -> list[tuple[int, np.ndarray]]:
        """(photo pixels for one of the copy, [H, W, 3] uint8), the largest copy first."""
        import cv2

        height, width = self.photo.shape[1:]
        factor = max(1, int(np.ceil(np.sqrt(height * width / MAX_PX))))
        factor = min(factor, height, width)
        copies = [(factor, _first_copy(self.photo, factor))]
        while min(copies[-1][1].shape[:2]) >= 2 * SMALLEST_SIDE_PX:
            factor, copy = copies[-1]
            height, width = (side // 2 for side in copy.shape[:2])
            smaller = cv2.resize(copy[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
            copies.append((2 * factor, smaller))
        return copies

    def crop(self, transform: AlignTransform, resolution: int, *, rough: bool = False) -> Tensor:
        """Return what `transform.crop(photo, resolution)` shows, but for rounding, in a tenth of the time.

        Args:
            transform: photo pixels -> frame.
            resolution: R, width and height of the crop in px.
            rough: let the first copy do where only the photo itself would show all that there is to see.

        Returns:
            [1, 3, R, R] float32 in [-1, 1].
        """
        import cv2

        step = transform.frame_px / resolution  # photo pixels for one of the crop
        fitting = [(factor, copy) for factor, copy in self.copies if factor <= step]
        factor, corner, copy = 1, (0, 0), None
        if fitting or rough or self.copies[0][0] == 1:
            factor, copy = fitting[-1] if fitting else self.copies[0]
        else:
            factor, corner, copy = self._part(transform, max(1, int(step)))
        # Two samples a pixel in each direction, as one of the crop covers one to two of the copy.
        side = 2 * resolution
        to_px = transform.inverse.matrix  # [2, 3] frame -> photo
        matrix = np.column_stack([to_px[:, :2] / side, to_px[:, 2] - corner]) / factor
        matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5  # OpenCV counts from the middles of pixels
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        samples = cv2.warpAffine(copy, matrix, (side, side), flags=how, borderMode=cv2.BORDER_REFLECT)
        crop = cv2.resize(samples.astype(np.float32), (resolution, resolution), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(crop).permute(2, 0, 1)[None] / 127.5 - 1

    def _part(self, transform: AlignTransform, factor: int) -> tuple[int, np.ndarray, np.ndarray]:
        """(factor, corner [2] in photo px, averages of factor x factor pixels around a frame)."""
        corners = transform.inverse.apply([[0, 0], [1, 0], [0, 1], [1, 1]])
        size = np.array([self.photo.shape[2], self.photo.shape[1]])
        # A frame that lies outside altogether shows the mirror image of the strip at the edge.
        low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2 * factor, 0, size - factor)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2 * factor, low + factor, size)
        part = self.photo[:, low[1] : high[1], low[0] : high[0]]
        return factor, low, _first_copy(part, factor)

    def resized(self, scale: float) -> np.ndarray:
        """Return the photo at `scale` times its size: [H, W, 3] uint8."""
        import cv2

        height, width = (max(8, round(side * scale)) for side in self.photo.shape[1:])
        fitting = [copy for _, copy in self.copies if copy.shape[0] >= height and copy.shape[1] >= width]
        source = fitting[-1] if fitting else self.copies[0][1]
        how = cv2.INTER_AREA if fitting else cv2.INTER_LINEAR
        return cv2.resize(source, (width, height), interpolation=how)


def _first_copy(photo: Tensor, factor: int) -> np.ndarray:
    """[H, W, 3] averages of factor x factor pixels; what is left over at the right and lower edge is cut off."""
    import cv2

    if factor == 1:
        return np.ascontiguousarray(photo.permute(1, 2, 0).cpu().numpy())
    height, width = (side // factor for side in photo.shape[1:])
    copy = np.empty((height, width, 3), np.uint8)
    rows_read = min(factor, ROWS_OF_A_BLOCK)
    rows = ((np.arange(height * rows_read) + 0.5) * factor / rows_read).astype(int)
    step = max(1, BAND_PX // (width * factor * rows_read))  # rows of the copy
    for top in range(0, height, step):
        band_rows = torch.from_numpy(rows[top * rows_read : (top + step) * rows_read]).to(photo.device)
        for channel in range(3):
            band = photo[channel, :, : width * factor].index_select(0, band_rows).cpu().numpy()
            copy[top : top + step, :, channel] = cv2.resize(
                band, (width, len(band) // rows_read), interpolation=cv2.INTER_AREA
            )
    return copy
