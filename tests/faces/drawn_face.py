"""A face made of ellipses, whose areas are known."""

from __future__ import annotations

import numpy as np

from gan_space.faces import regions
from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import NUM_LANDMARKS

# Middle, half width and half height in face units (eyes at -0.5 and 0.5, y down).
OVAL = ((0.0, 0.45), (1.0, 1.25))
LIPS = ((0.0, 1.0), (0.45, 0.2))
OPENING = ((0.0, 1.0), (0.35, 0.08))
EYES = (((-0.5, 0.0), (0.22, 0.11)), ((0.5, 0.0), (0.22, 0.11)))


def ellipse(ellipse_, count: int, start: float, turn: int) -> np.ndarray:
    """Points on an ellipse from an angle on; `turn` 1 runs clockwise in the picture."""
    (x, y), (a, b) = ellipse_
    angle = start + turn * np.arange(count) * 2 * np.pi / count
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)


def drawn_face(unit: float = 100.0, middle=(200.0, 160.0), roll_deg: float = 0.0) -> np.ndarray:
    """Landmarks [468, 2] in photo pixels of an upright or rolled face of ellipses; the rest fills the oval evenly."""
    points = np.zeros((NUM_LANDMARKS, 2))
    # A sunflower's seeds: even, and no two in one place.
    seed = np.arange(NUM_LANDMARKS)
    radius, angle = 0.95 * np.sqrt((seed + 0.5) / NUM_LANDMARKS), seed * 2.399963
    points[:, 0] = radius * np.cos(angle)
    points[:, 1] = 0.45 + 1.25 * radius * np.sin(angle)
    points[list(FACE_OVAL)] = ellipse(OVAL, len(FACE_OVAL), -np.pi / 2, 1)
    points[list(regions._LIPS_OUTER[0])] = ellipse(LIPS, 20, np.pi, -1)
    points[list(regions._LIPS_INNER[0])] = ellipse(OPENING, 20, np.pi, -1)
    points[list(regions._EYE_LEFT[0])] = ellipse(EYES[0], 16, np.pi, -1)
    points[list(regions._EYE_RIGHT[0])] = ellipse(EYES[1], 16, 0.0, 1)
    eyes = np.array([points[list(corners)].mean(axis=0) for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS)])
    assert np.allclose(eyes, [[-0.5, 0], [0.5, 0]])
    roll = np.deg2rad(roll_deg)
    turned = points @ np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    return turned * unit + middle
