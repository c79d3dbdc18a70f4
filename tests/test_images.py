"""Between tensors and pictures: luminance as others compute it."""

from __future__ import annotations

import numpy as np
import torch

from gan_space.images import from_uint8, luminance, to_pil


def test_luminance_is_pillows_grey_in_the_range_of_the_picture():
    images = from_uint8(torch.randint(0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0)))
    grey = np.stack([np.array(picture.convert("L")) for picture in to_pil(images)])
    assert torch.allclose(luminance(images)[:, 0], from_uint8(torch.from_numpy(grey)), atol=2 / 255)
    assert torch.equal(luminance(images[0]), luminance(images)[0])
    assert luminance(torch.full([1, 3, 2, 2], -1.0)).allclose(torch.tensor(-1.0))
