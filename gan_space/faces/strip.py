"""A part of a photo straightened along a line between two places, and what tells two kinds of its pixels apart."""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.faces.mesh import face_frame

STEP = 0.008  # face units between rows of a strip


class Strip:
    """A part of the photo in which a line between two corners lies level.

    u runs from the first corner (0) to the second (1), v is the distance from that line in face units, above 0 upwards
    as the face sees it, which may lie or stand on its head.
    """

    def __init__(self, pixels, points, unit, corners, low: float, high: float, stations: np.ndarray) -> None:
        self.first, last = points[list(corners)]
        along = last - self.first
        self.width = float(max(np.hypot(*along), 1e-6))  # px
        self.along = along / self.width
        up = np.array([self.along[1], -self.along[0]])
        down = face_frame(points).matrix[1][:2]
        self.up, self.unit = (up if up @ down < 0 else -up), unit
        self.u, self.v = stations, np.arange(low, high + STEP / 2, STEP)  # [S], [R]
        places = (
            self.first + (stations * self.width)[None, :, None] * self.along + (self.v * unit)[:, None, None] * self.up
        )  # [R, S, 2]
        corner = np.floor(places.reshape(-1, 2).min(axis=0)).astype(int) - 2
        corner = corner.clip(0, None)
        end = (np.ceil(places.reshape(-1, 2).max(axis=0)).astype(int) + 2).clip(0, None)
        part = np.ascontiguousarray(pixels[corner[1] : end[1], corner[0] : end[0]])
        if 0 in part.shape:
            part, corner = np.zeros((1, 1, 3), np.uint8), np.zeros(2, int)
        sigma = 0.5 * STEP * unit
        if sigma > 0.4:
            part = cv2.GaussianBlur(part, (0, 0), sigma)
        where = (places - corner - 0.5).astype(np.float32)
        light = cv2.remap(part, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self.light = light.astype(np.float32)  # [R, S, 3] sRGB codes

    def local(self, places: np.ndarray) -> np.ndarray:
        """Map [K, 2] photo pixels -> u, v."""
        away = places - self.first
        return np.stack([away @ self.along / self.width, away @ self.up / self.unit], axis=1)

    def photo(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Map u, v [K] -> [K, 2] photo pixels."""
        return self.first + (u * self.width)[:, None] * self.along + (v * self.unit)[:, None] * self.up

    def curve(self, places: np.ndarray) -> np.ndarray:
        """Return v of a curve at the stations, [S]."""
        local = self.local(places)
        order = np.argsort(local[:, 0])
        return np.interp(self.u, local[order, 0], local[order, 1])

    def shifted(self, places: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Return [K, 2] photo pixels, moved up by what `shift` [S] says there."""
        u = self.local(places)[:, 0]
        return places + (np.interp(u, self.u, shift) * self.unit)[:, None] * self.up


def color_features(linear: np.ndarray) -> np.ndarray:
    """Compute what tells lips and eyes from skin: [R, S, 3] log red over green, log blue over green, log luminance."""
    logs = np.log(linear + 0.004)
    return np.stack([logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1], 0.5 * logs.mean(axis=2)], axis=2)


def discriminant(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    """Return Fisher's: direction [3], distance of the means in deviations, mean of `b`, distance of the means."""
    if len(a) < 12 or len(b) < 12:
        return np.zeros(3), 0.0, 0.0, 1.0
    scatter = (np.cov(a.T) + np.cov(b.T)) / 2 + 2e-4 * np.eye(3)
    direction = np.linalg.solve(scatter, a.mean(axis=0) - b.mean(axis=0))
    at_a, at_b = a @ direction, b @ direction
    width = max(float(at_a.mean() - at_b.mean()), 1e-6)
    return direction, width / (np.sqrt((at_a.var() + at_b.var()) / 2) + 1e-6), float(at_b.mean()), width
