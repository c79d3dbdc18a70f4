"""Disturbed faces: the answers fit the pictures, and nothing but the generator decides."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.models.aligner import MEAN_POINTS
from training.common.disturb import MAX_SHIFT, MAX_VIEW, MIN_VIEW, background, disturb, jpeg_like, mirror_half


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def marked_faces(num: int, point: int) -> torch.Tensor:
    """Dark pictures with a bright disk at one of the three places: [N, 3, 96, 96] uint8."""
    y, x = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    px, py = MEAN_POINTS[point]
    disk = ((x - px * 96) ** 2 + (y - py * 96) ** 2) < 7**2
    return (disk * 255).to(torch.uint8).expand(num, 3, 96, 96).contiguous()


@pytest.mark.parametrize("point", [0, 1, 2])
def test_the_points_are_where_the_picture_shows_them(point):
    batch = disturb(marked_faces(160, point), 64, generator(point))
    inside = ((batch.points[:, point] > 0.1) & (batch.points[:, point] < 0.9)).all(dim=1)
    errors = []
    for index in torch.nonzero(batch.is_face & inside).flatten():
        # The background is made of the same disks; look only near the answer, where a wrong one would show nothing.
        picture = batch.images[index].mean(dim=0)
        y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
        px, py = batch.points[index, point] * 64
        near = (((x - px).abs() < 14) & ((y - py).abs() < 14)).float()
        weight = (picture - picture.min()) * near
        weight = (weight > 0.5 * weight.max()).float()
        middle = torch.stack([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        errors.append(float((middle - torch.stack([px, py])).norm()))
    assert len(errors) > 60
    assert np.median(errors) < 1.0


def test_the_disturbances_fill_their_range():
    batch = disturb(marked_faces(600, 0), 32, generator())
    faces = batch.is_face
    assert 0.7 < faces.float().mean() < 0.9
    eyes = (batch.points[:, 1] - batch.points[:, 0])[faces]
    roll_deg = torch.rad2deg(torch.atan2(eyes[:, 1], eyes[:, 0]))
    assert -46 < roll_deg.min() < -38
    assert 38 < roll_deg.max() < 46
    view = 0.39 / batch.eye_distance[faces]
    assert MIN_VIEW - 0.01 < view.min() < 0.7
    assert 1.4 < view.max() < MAX_VIEW + 0.01
    torch.testing.assert_close(eyes.norm(dim=1), batch.eye_distance[faces])
    # The middle of the frame is the point at (0.5, 0.5), between eyes and mouth.
    mean = torch.tensor(MEAN_POINTS)
    share = (0.5 - mean[0, 1]) / (mean[2, 1] - mean[0, 1])
    middle = batch.points[:, :2].mean(dim=1) * (1 - share) + batch.points[:, 2] * share
    shift = (middle[faces] - 0.5).norm(dim=1)
    assert shift.max() <= MAX_SHIFT * 2**0.5 + 1e-3
    assert shift.max() > 0.2


def test_the_same_seed_makes_the_same_batch():
    faces = marked_faces(16, 0)
    one, again, other = (disturb(faces, 32, generator(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.images, other.images)
    assert one.images.min() >= -1
    assert one.images.max() <= 1


def test_backgrounds_have_the_size_asked_for():
    scenery = background(torch.rand(3, 3, 96, 96) * 2 - 1, 40, generator())
    assert scenery.shape == (3, 3, 40, 40)
    assert scenery.isfinite().all()


def test_quantised_blocks_look_like_libjpegs():
    y, x = np.mgrid[:32, :32]
    gray = (127 + 60 * np.sin(x / 3) + 50 * np.cos(y / 5)).astype(np.uint8)
    picture = np.stack([gray] * 3, axis=-1)
    for quality in (20, 60):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=quality, subsampling=0)
        wanted = np.asarray(Image.open(stream)).astype(np.float64)[..., 0]
        tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        got = (jpeg_like(tensor, torch.tensor([float(quality)]))[0, 0].double().numpy() + 1) * 127.5
        assert np.abs(got - wanted).mean() < 1.0
        assert np.abs(gray - wanted).mean() > 1.0, "the comparison would see an unchanged picture"


def test_a_mirrored_face_is_turned_to_the_other_side():
    images, yaw = torch.arange(6).expand(40, 3, 6, 6), torch.full([40], 0.25)
    mixed, turns = mirror_half(images, yaw, torch.Generator().manual_seed(0))
    falls = mixed[:, 0, 0, 0] > mixed[:, 0, 0, -1]
    assert 10 < falls.sum() < 30 and torch.equal(turns, torch.where(falls, -0.25, 0.25))
    assert torch.equal(mixed, torch.where(falls.view(-1, 1, 1, 1), images.flip(3), images))
