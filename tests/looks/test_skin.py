"""Retouching: what goes, what stays, and that nobody's skin gets lighter."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.mesh import face_frame
from gan_space.faces.regions import find_region
from gan_space.looks.skin import AMOUNTS, FaceView, find_skin, retouch

FULL = dict.fromkeys(AMOUNTS, 1.0)
CHEEK = 280  # a place of the mesh on the cheek that is turned to us


def lightness(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).numpy().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]


def energy(photo: torch.Tensor, mask: np.ndarray) -> float:
    """Mean gradient energy under a mask."""
    light = lightness(photo)
    return float(((cv2.Sobel(light, -1, 1, 0) ** 2 + cv2.Sobel(light, -1, 0, 1) ** 2) * mask).sum() / mask.sum())


def region(marks: Landmarks, photo: torch.Tensor, name: str) -> np.ndarray:
    size = tuple(photo.shape[1:])
    return find_region(marks.points, name, size, photo=photo).full(*size).numpy()


def enlarged(photo: torch.Tensor, marks: Landmarks) -> tuple[torch.Tensor, Landmarks]:
    """Three times as large."""
    large = cv2.resize(np.ascontiguousarray(photo.permute(1, 2, 0).numpy()), None, fx=3, fy=3)
    return torch.from_numpy(large).permute(2, 0, 1), replace(marks, points=marks.points * 3)


def add_spot(photo: torch.Tensor, marks: Landmarks, radius: float, change: tuple[float, ...]) -> torch.Tensor:
    """Add a soft spot to a cheek; radius in distances between the eyes."""
    x, y = marks.points[CHEEK]
    rows, columns = np.mgrid[: photo.shape[1], : photo.shape[2]]
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (radius * marks.eye_distance) ** 2)
    added = torch.from_numpy(spot)[None] * torch.tensor(change)[:, None, None]
    return (photo + added).round().clamp(0, 255).to(torch.uint8)


def test_without_amounts_it_is_the_photo_and_far_from_the_face_it_stays_so(face):
    photo, marks = face
    assert torch.equal(retouch(photo, [marks], {}), photo)
    assert torch.equal(retouch(photo, [marks], {"even": 0}), photo)
    assert torch.equal(retouch(photo, [], FULL), photo)
    changed = (retouch(photo, [marks], FULL) != photo).any(dim=0).numpy()
    left, top, right, bottom = FaceView.cut(photo, marks).box
    outside = np.ones(changed.shape, bool)
    outside[top:bottom, left:right] = False
    assert outside.any() and not changed[outside].any() and changed.any()


def test_the_mean_lightness_of_the_skin_stays(face):
    marks = face[1]
    for photo in (face[0], (face[0] * 0.45).to(torch.uint8)):
        view = FaceView.cut(photo, marks)
        skin = find_skin(view)
        for amounts in (FULL, *({name: 1.0} for name in ("even", "dark_circles", "matte", "dewy"))):
            new = FaceView.cut(retouch(photo, [marks], amounts), marks)
            assert abs(((new.lab - view.lab)[..., 0] * skin).sum() / skin.sum()) < 0.3


def test_a_blemish_goes_and_a_mole_stays(face):
    photo, marks = face
    left = {}
    for name, change in (("blemish", (-2.0, -18.0, -14.0)), ("mole", (-120.0, -110.0, -90.0))):
        marked = add_spot(photo, marks, 0.035, change)
        x, y = marks.points[CHEEK].astype(int)
        without, with_spot = (retouch(one, [marks], {"even": 1})[:, y, x].int() for one in (photo, marked))
        left[name] = float((with_spot - without).abs().sum() / (marked - photo.int())[:, y, x].abs().sum())
    assert left["blemish"] < 0.6 and left["mole"] > 0.85


def test_a_nose_keeps_its_form_and_loses_its_spots(face):
    photo, marks = face
    frame = face_frame(marks.points)
    rows, columns = np.mgrid[: photo.shape[1], : photo.shape[2]]
    places = frame.apply(np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5).reshape(*rows.shape, 2)
    x, y = np.moveaxis(places - frame.apply(marks.points)[4], -1, 0)  # from its tip
    # A lit ridge between two shaded sides, as wide as noses have them, and a small red spot.
    form = np.exp(-((x / 0.06) ** 2)) - np.exp(-(((np.abs(x) - 0.13) / 0.05) ** 2))
    form *= np.exp(-((y / 0.25) ** 4))
    left = {}
    spot = np.exp(-(((x + 0.03) ** 2 + (y + 0.05) ** 2) / 0.018**2))
    for name, shape in (("form", 14 * form), ("spot", -14 * spot)):
        shaped = (photo + torch.from_numpy(shape)).round().clamp(0, 255).to(torch.uint8)
        change = [
            lightness(one) - lightness(two)
            for one, two in (
                (shaped, photo),
                (retouch(shaped, [marks], {"even": 1}), retouch(photo, [marks], {"even": 1})),
            )
        ]
        where = np.abs(shape) > 7
        left[name] = (change[0] * change[1])[where].sum() / (change[0] ** 2)[where].sum()
    assert left["form"] > 0.88 and left["spot"] < 0.75


def test_taken_off_shine_is_as_colored_as_the_skin_around(face):
    """It mirrors white light: darkened alone it is a grey patch."""
    photo, marks = face
    shining = add_spot(photo, marks, 0.06, (25.0, 48.0, 60.0))
    x, y = marks.points[CHEEK].astype(int)
    colors = [
        cv2.cvtColor(one.permute(1, 2, 0).numpy().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[y, x]
        for one in (photo, shining, retouch(shining, [marks], {"matte": 1}))
    ]
    plain, before, after = (np.hypot(*color[1:]) for color in colors)
    assert colors[2][0] < colors[1][0] and after - before > 0.18 * (plain - before) > 2


def test_pores_stay(face):
    photo, marks = enlarged(*face)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 4, photo.shape[1:]))
    rough = (photo + noise).round().clamp(0, 255).to(torch.uint8)
    done = lightness(retouch(rough, [marks], {"even": 1})) - lightness(retouch(photo, [marks], {"even": 1}))
    cheeks = region(marks, photo, "cheeks") > 0.5
    assert done[cheeks].std() > 0.97 * (lightness(rough) - lightness(photo))[cheeks].std()


@pytest.mark.parametrize("name", ["lips", "brows", "eyes"])
def test_lips_brows_and_lids_keep_their_edges(face, name):
    photo, marks = face
    skin_only = {key: 1.0 for key in AMOUNTS if key not in ("eyes", "teeth")}
    mask = region(marks, photo, name)
    assert energy(retouch(photo, [marks], skin_only), mask) == pytest.approx(energy(photo, mask), rel=0.03)


def test_a_strand_over_the_cheek_and_a_beard_are_no_skin(face):
    photo, marks = face
    picture = np.ascontiguousarray(photo.permute(1, 2, 0).numpy())
    x, y = marks.points[CHEEK].astype(int)
    cv2.line(picture, (x - 30, y - 40), (x + 10, y + 40), (40, 28, 20), 4, cv2.LINE_AA)
    jaw = region(marks, photo, "face") * (np.arange(512)[:, None] > marks.points[17, 1])  # below the lips
    hair = np.random.default_rng(1).uniform(20, 90, (512, 512, 1)) * (1.0, 0.8, 0.7)
    picture = np.where(jaw[..., None] > 0.5, hair, picture).astype(np.uint8)
    photo = torch.from_numpy(picture).permute(2, 0, 1)
    skin = find_skin(FaceView.cut(photo, marks))
    left, top, right, bottom = FaceView.cut(photo, marks).box
    skin = cv2.resize(skin, (right - left, bottom - top))
    assert skin[y - top, x - 10 - left] < 0.1
    assert skin[(jaw > 0.9)[top:bottom, left:right]].mean() < 0.05
    x, y = marks.points[151].astype(int)  # on the forehead
    assert skin[y - top, x - left] > 0.8


def test_covered_eyes_and_a_covered_mouth_stay(face):
    photo, marks = face
    covered = replace(marks, covered=np.ones(3))
    assert not torch.equal(retouch(photo, [marks], {"eyes": 1}), photo)
    assert torch.equal(retouch(photo, [covered], {"eyes": 1, "teeth": 1}), photo)


def test_a_large_photo_gets_the_same_change_as_a_small_one(face):
    photo, marks = face
    large, large_marks = enlarged(photo, marks)
    done = retouch(large, [large_marks], FULL)
    change = cv2.resize((done.int() - large.int()).permute(1, 2, 0).numpy().astype(np.float32), (512, 512))
    small = (retouch(photo, [marks], FULL).int() - photo.int()).permute(1, 2, 0).numpy()
    moved = np.abs(small).sum(axis=2) > 3
    assert np.abs(change - small)[moved].mean() < 0.5 * np.abs(small)[moved].mean()


def test_faults_are_told_at_once(face):
    photo, marks = face
    with pytest.raises(InputError) as caught:
        retouch(photo, [marks], {"bleach": 1, "even": 2, "eyes": "much"})
    assert all(word in str(caught.value) for word in ("bleach", "even", "eyes"))
    with pytest.raises(InputError, match="uint8"):
        retouch(photo.float(), [marks], {"even": 1})
