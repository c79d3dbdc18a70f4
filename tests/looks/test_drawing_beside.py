"""Faces beside each other are drawn as they are alone: no skin gets lighter by its neighbour's."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_space.faces.landmarks import FACE_OVAL, Landmarks
from gan_space.faces.regions import find_region
from gan_space.images import luminance
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.draw import draw
from tests.looks.painted_face import portrait

Made = tuple[torch.Tensor, list[Landmarks]]


def beside(one: Made, other: Made) -> Made:
    """Set two portraits side by side, the first on the left, on a ground of one grey."""
    height, width = max(one[0].shape[1], other[0].shape[1]), one[0].shape[2]
    pixels, more = (F.pad(made[0], (0, 0, 0, height - made[0].shape[1]), value=205) for made in (one, other))
    moved = [replace(face, points=face.points + np.array([width, 0])) for face in other[1]]
    return torch.cat([pixels, more], dim=2), [*one[1], *moved]


def part(marks: Landmarks, name: str, picture: torch.Tensor) -> torch.Tensor:
    size = tuple(picture.shape[-2:])
    return find_region(marks.points, name, size).full(*size) > 0.9


def dark_portrait(px: int) -> Made:
    """Of another hue than the light ones."""
    pixels, marks = portrait(px, 75)
    warmer = torch.where(pixels > 200, pixels, pixels * torch.tensor([1.1, 0.95, 0.75]).view(3, 1, 1))
    return warmer.to(torch.uint8), marks


@pytest.mark.parametrize("name", ["line-art", "poster", "ink-wash", "charcoal", "risograph"])
def test_a_dark_face_beside_a_light_one_is_drawn_as_it_is_alone(name):
    faces = [dark_portrait(176), portrait(176, 215)]
    pixels, marks = beside(*faces)
    together = luminance(draw(pixels, name, marks)[None].float())[0, 0]
    for (alone, own), face in zip(faces, marks, strict=True):
        drawn = luminance(draw(alone, name, own)[None].float())[0, 0]
        one, other = drawn[part(own[0], "skin", drawn)].mean(), together[part(face, "skin", together)].mean()
        assert abs(other - one) < 3, (one, other)


def test_pale_lips_beside_a_larger_face_are_drawn_as_they_are_alone():
    """Their darkness is taken against the skin around them, not half of it against a neighbour's."""
    small, large = portrait(128, 215), dark_portrait(320)
    lips = find_region(small[1][0].points, "lips", (128, 128)).full(128, 128)
    pale = small[0] * (1 - lips) + torch.tensor([215.0, 140, 140]).view(3, 1, 1) * lips
    small = (pale.to(torch.uint8), small[1])
    taken = []
    for pixels, marks in (small, beside(small, large)):
        canvas = Canvas.of(pixels, marks, 0)
        mouth = part(canvas.shrunk.faces[0], "lips", canvas.shrunk.y)
        taken.append(float(canvas._unflushed[0, 0][mouth].mean()))
    assert taken[0] < -0.01 and abs(taken[1] - taken[0]) < 0.006


def test_rough_dark_skin_beside_a_light_face_is_no_beard():
    """Chins are told by their own cheeks."""
    pixels, marks = dark_portrait(224)
    noise = np.random.default_rng(0).normal(1, 0.6, (224, 224)).astype(np.float32)
    chin = find_region(marks[0].points, "face", (224, 224)).full(224, 224)
    chin = chin * (torch.arange(224)[:, None] > marks[0].points[2, 1])
    rough = torch.lerp(torch.ones(224, 224), torch.from_numpy(cv2.GaussianBlur(noise, (0, 0), 0.8)), chin)
    photo = (pixels * rough).clamp(0, 255).to(torch.uint8)
    for made in ((photo, marks), beside((photo, marks), portrait(288, 215))):
        assert Canvas.of(*made, 0).beard_room.max() < 0.1


@pytest.mark.parametrize("name", ["line-art", "charcoal"])
def test_a_face_in_front_of_another_keeps_its_own_light_where_both_are(name):
    """What both claim is the skin of the one whose colour it has; else a dark face turns black there."""
    front, across = dark_portrait(176), 70
    pixels, marks = beside(portrait(176, 215), (torch.full((3, 176, 176), 205, dtype=torch.uint8), []))
    face = replace(front[1][0], points=front[1][0].points + np.array([across, 0]))
    inside = np.zeros((176, 352), np.uint8)
    cv2.fillPoly(inside, [cv2.convexHull(face.of(FACE_OVAL).astype(np.float32)).astype(np.int32)], 1)
    shifted = F.pad(front[0], (across, 352 - 176 - across))
    drawn = draw(torch.where(torch.from_numpy(inside).bool(), shifted, pixels), name, [*marks, face])
    both = part(marks[0], "skin", drawn) & part(face, "skin", drawn)
    together = luminance(drawn[None].float())[0, 0][both]
    alone = luminance(draw(front[0], name, front[1])[None].float())[0, 0][both[:, across : across + 176]]
    assert together.mean() > 0.55 * alone.mean()
