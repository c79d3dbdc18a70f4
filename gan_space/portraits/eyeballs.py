"""Let lids move over eyeballs that stay: the photo's own lids and lashes, and behind them the photo's own eyes.

A warp alone drags irises along or, where it holds them, holds the lids as well. So the warped photo is only the lids,
and the eyeball is laid into what shows between them. What a lid uncovers is not in the photo: it is continued from
what shows, along circles around the iris, so that irises stay round.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.eyes import Eyeball
from gan_space.faces.masks import draw_soft
from gan_space.faces.mesh import Flow

_BAND = 0.012  # face units of what shows that go with the lid: its shadow and the roots of the lashes
_FEATHER = 0.014  # of the lids' edge
_TOO_FAR = 0.07  # face units along a circle beyond which nothing is continued
_RADII, _ANGLES = 1.0, 1.0  # samples a pixel, from the centre outwards and along the iris's edge
_BRIGHTEST = 1.2  # of what is continued inside an iris, against the mean there: a light shows once


def draw_eyeballs(photo: Tensor, warped: Tensor, flow: Flow, eyeballs: tuple[Eyeball, ...]) -> Tensor:
    """Lay eyeballs into a warped photo.

    Args:
        photo, warped: [3, H, W] uint8 before and after the flow.
        flow: how the lids moved.
        eyeballs: where each goes instead.

    Returns:
        `warped` where there is nothing to do, else a new photo of the same size.
    """
    result = warped.clone() if eyeballs else warped
    for eyeball in eyeballs:
        _draw(photo, result, flow, eyeball)
    return result


def _draw(photo: Tensor, result: Tensor, flow: Flow, eyeball: Eyeball) -> None:
    size, unit = tuple(photo.shape[1:]), eyeball.eye.strip.unit
    before = eyeball.eye.outline(_BAND)
    opening = draw_soft([flow.move(before)], size, _FEATHER * unit)
    left, top, right, bottom = opening.box
    if 0 in opening.values.shape:
        return
    x, y = np.arange(left, right) + 0.5, (np.arange(top, bottom) + 0.5)[:, None]
    places = eyeball.before(np.stack(np.broadcast_arrays(x, y), axis=-1))  # [h, w, 2] of the photo
    around = np.concatenate([places.reshape(-1, 2), before])
    low = (np.floor(around.min(axis=0)).astype(int) - 3).clip(0, (size[1] - 1, size[0] - 1))
    high = (np.ceil(around.max(axis=0)).astype(int) + 3).clip(low + 1, (size[1], size[0]))
    part = photo[:, low[1] : high[1], low[0] : high[0]].permute(1, 2, 0).cpu().numpy()
    part = np.ascontiguousarray(part)
    shows = draw_soft([before], size, 1.0, (*low, *high)).values
    seen, known = _read(part, places - low, cv2.INTER_CUBIC), _read(shows, places - low)[..., None]
    hidden, near = _continued(part, shows, places - low, eyeball.eye.iris - (*low, 0), unit)
    drawn = known * seen + (1 - known) * hidden
    share = opening.values[..., None] * (known + (1 - known) * near)
    target = result[:, top:bottom, left:right]
    lids = target.permute(1, 2, 0).cpu().numpy()
    drawn = np.round(lids + share * (drawn - lids)).clip(0, 255).astype(np.uint8)
    target.copy_(torch.from_numpy(drawn).permute(2, 0, 1))


def _continued(
    part: np.ndarray, shows: np.ndarray, places: np.ndarray, iris: np.ndarray, unit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Continue what shows of an eyeball along circles around its iris.

    Returns:
        [h, w, 3] colours at the places, and [h, w, 1] how near they are to what shows, in [0, 1].
    """
    (x, y), radius = iris[:2], iris[2]
    away = places - (x, y)
    rows = int(np.ceil(np.hypot(*away.reshape(-1, 2).T).max() * _RADII)) + 2
    columns = int(np.ceil(2 * np.pi * max(radius, 8.0) * _ANGLES))
    radii, angles = (np.arange(rows)[:, None] + 0.5) / _RADII, np.arange(columns) * (2 * np.pi / columns)
    circles = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=-1)  # [rows, columns, 2]
    colors, shown = _read(part, circles), _read(shows, circles) > 0.9
    light, inside = colors.mean(axis=2), radii < radius
    mean = (light * shown).sum(axis=1, keepdims=True) / shown.sum(axis=1, keepdims=True).clip(1)
    colors *= np.where(inside, np.minimum(1, _BRIGHTEST * mean / light.clip(1)), 1)[..., None]
    # The nearest place that shows on both sides, on circles unrolled three times.
    turns, number = np.tile(shown, (1, 3)), np.arange(3 * columns)
    before = np.maximum.accumulate(np.where(turns, number, -(10**6)), axis=1)[:, columns : 2 * columns]
    after = np.minimum.accumulate(np.where(turns, number, 10**6)[:, ::-1], axis=1)[:, ::-1][:, columns : 2 * columns]
    here, row = number[columns : 2 * columns], np.arange(rows)[:, None]
    total, weights = 0.0, 0.0
    for edge, far, sign in ((before, here - before, -1), (after, after - here, 1)):
        beyond = (edge + sign * (far // 2)) % columns  # mirrored, at half the pace: lights and lashes do not repeat
        found = colors[row, np.where(shown[row, beyond], beyond, edge % columns)]
        weight = 1 / (far[..., None] ** 2 + 0.5)
        total, weights = total + weight * found, weights + weight
    far = np.minimum(here - before, after - here) * (2 * np.pi / columns) * radii / (_TOO_FAR * unit)
    near = np.exp(-(np.minimum(far, 9.0) ** 2))
    filled = np.concatenate([total / weights, near[..., None]], axis=2)
    filled = np.concatenate([filled, filled[:, :1]], axis=1).astype(np.float32)  # the circle closes
    turn = np.arctan2(away[..., 1], away[..., 0]) % (2 * np.pi) * (columns / (2 * np.pi))
    found = cv2.remap(
        filled,
        turn.astype(np.float32),
        (np.hypot(away[..., 0], away[..., 1]) * _RADII - 0.5).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return found[..., :3], found[..., 3:]


def _read(picture: np.ndarray, places: np.ndarray, kind: int = cv2.INTER_LINEAR) -> np.ndarray:
    """A picture at [h, w, 2] places, float32."""
    found = cv2.remap(picture, (places - 0.5).astype(np.float32), None, kind, borderMode=cv2.BORDER_REPLICATE)
    return found.astype(np.float32)
