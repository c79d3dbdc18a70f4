"""Edges and pale colours of drawings, where one picture holds one thing: a disc, a step, a field."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from gan_space.looks.drawing.draw import draw
from gan_space.looks.drawing.formulas import POSTER_STOPS

SIDE = 384


def test_a_poster_has_no_rim_of_other_inks_between_dark_and_light():
    picture = np.full((SIDE, SIDE), 235, np.uint8)
    picture[:, SIDE // 2 :] = 15
    picture = cv2.GaussianBlur(picture, (0, 0), 4.0)  # as soft as the edge of a head
    drawn = draw(torch.from_numpy(picture).expand(3, -1, -1).contiguous(), "poster").permute(1, 2, 0).numpy()
    inks = np.unique([ink for _, ink in POSTER_STOPS], axis=0).astype(float)
    nearest = np.linalg.norm(drawn[:, :, None] - inks, axis=3).argmin(axis=2)
    near = nearest[SIDE // 2, SIDE // 2 - 12 : SIDE // 2 + 12]
    assert near[0] != near[-1]
    assert (~np.isin(near, near[[0, -1]])).sum() < 4  # pixels


def test_a_watercolour_wash_ends_in_long_waves():
    """Hair had an edge like a saw's."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2 + 0.5
    disc = np.where(np.hypot(x, y) < 110, 40, 225).astype(np.uint8)
    drawn = draw(torch.from_numpy(disc).expand(3, -1, -1).contiguous(), "watercolour").float().mean(dim=0).numpy()
    around = cv2.warpPolar(drawn, (SIDE // 2, 720), (SIDE / 2 - 0.5, SIDE / 2 - 0.5), SIDE / 2, cv2.WARP_POLAR_LINEAR)
    edge = (around < 130).sum(axis=1).astype(np.float32)[None]
    rough = edge - cv2.blur(edge, (21, 1))  # 10 degrees
    assert edge.std() > 0.3  # it is no ruler's
    assert rough.std() < 0.5


def test_pale_green_stays_green_in_halftone():
    field = torch.tensor((185, 200, 185), dtype=torch.uint8).view(3, 1, 1).expand(3, SIDE, SIDE).contiguous()
    red, green, blue = draw(field, "halftone").float()[:, 40:-40, 40:-40].mean(dim=(1, 2))
    assert green > red + 5 and green > blue + 3
