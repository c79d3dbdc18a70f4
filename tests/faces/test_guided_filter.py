"""Masks that follow a picture's edges, read off in strips."""

from __future__ import annotations

import numpy as np
import pytest

from gan_space.faces import guided_filter
from gan_space.faces.guided_filter import fit_to_colors, read_off


def enlarged(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between middles of pixels, in float64."""
    for axis, count in enumerate(size):
        at = ((np.arange(count) + 0.5) * plane.shape[axis] / count - 0.5).clip(0, plane.shape[axis] - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if part == axis else 1 for part in range(2)])
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        plane = np.take(plane, low, axis) * (1 - share) + np.take(plane, high, axis) * share
    return plane


@pytest.mark.parametrize("size", [(91, 130), (24, 31), (24, 90)])
def test_masks_read_off_in_strips_are_those_of_the_whole_photo(size, monkeypatch):
    random, firm = np.random.RandomState(0), (0.2, 0.7)
    photo = random.randint(0, 256, (*size, 3), dtype=np.uint8)
    guide, masks = random.rand(24, 31, 3).astype(np.float32), random.rand(2, 24, 31).astype(np.float32)
    lines, other = fit_to_colors(guide, list(masks), 3), random.rand(24, 31).astype(np.float32)
    monkeypatch.setattr(guided_filter, "_STRIP_PIXELS", 7 * size[1])
    found, rows = np.zeros((3, *size)), 0
    for part, values in read_off(lines, photo, firm, [other]):
        found[:, part] = values
        rows += part.stop - part.start
    for mask, line in zip(found, lines, strict=False):
        *gains, value = (enlarged(plane.astype(np.float64), size) for plane in np.moveaxis(line, 2, 0))
        value = value + sum(gain * photo[..., channel] / 255 for channel, gain in enumerate(gains))
        np.testing.assert_allclose(mask, ((value - firm[0]) / (firm[1] - firm[0])).clip(0, 1), atol=2e-5)
    np.testing.assert_allclose(found[2], enlarged(other.astype(np.float64), size), atol=1e-5)
    assert rows == size[0]
