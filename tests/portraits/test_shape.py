"""The photo's own pixels move, the rest of the pipeline follows the face to where it stands then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.landmarks import MOUTH_CORNERS, find_landmarks
from gan_space.faces.shape import SLIDERS
from gan_space.photos.opening import OpenedPicture, open_photo
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.portraits.shape import reshape

PHOTO = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-lake.jpg"


@pytest.fixture(scope="module")
def portrait(person):
    return person.open(PHOTO)


def test_landmarks_go_where_they_were_sent_and_the_frame_with_them(person, portrait):
    shaped = reshape(portrait, person.landmarker, person.shapes, {"smile": 2.0, "face_length": 1.0})
    (before,), (face,) = portrait.landmarks(person.landmarker), shaped.chosen_faces
    sent = before.points + person.shapes.displace(before.points, {"smile": 2.0, "face_length": 1.0})
    found = find_landmarks(shaped.pixels, face.transform, person.landmarker)
    corners = list(MOUTH_CORNERS)
    sent_by, found_by = (points[corners] - before.points[corners] for points in (sent, found.points))
    assert np.linalg.norm(sent_by, axis=1).min() > 0.08 * before.eye_distance
    share = (found_by * sent_by).sum(axis=1) / (sent_by**2).sum(axis=1)
    assert (share > 0.25).all(), share  # the landmarker draws faces towards the usual one, lips off their seam
    assert abs(face.frame_px / portrait.chosen_faces[0].frame_px - 1) < 0.1
    far = np.ones(portrait.pixels.shape[1:], dtype=bool)
    far[30:470, 60:470] = False
    assert torch.equal(shaped.pixels[:, far], portrait.pixels[:, far])


def test_nothing_asked_is_nothing_changed(person, portrait):
    assert reshape(portrait, person.landmarker, person.shapes, {"smile": 0.0}) is portrait
    out = person.edit(portrait, {"face_width": 0.0})
    assert np.array_equal(np.asarray(out.image), portrait.pixels.permute(1, 2, 0).numpy())
    with pytest.raises(InputError, match="no shape slider"):
        reshape(portrait, person.landmarker, person.shapes, {"nose": 1.0})


def test_an_edit_moves_what_can_be_moved_and_draws_nothing_that_smears(person, portrait):
    moved = person.edit(portrait, {"smile": 1.0})
    alone = reshape(portrait, person.landmarker, person.shapes, {"smile": 1.0})
    assert np.array_equal(np.asarray(moved.image), alone.pixels.permute(1, 2, 0).numpy())  # nothing is drawn
    assert set(SLIDERS) <= set(person.photo_sliders) and "yaw" not in person.photo_sliders
    with pytest.raises(InputError, match="yaw as the networks draw it smears in a photo"):
        person.edit(portrait, {"smile": 1.0, "yaw": 1.0})
    both = person.edit(portrait, {"smile": 1.0, "yaw": 1.0}, transfer="picture")
    assert both.recipe["attributes"] == {"yaw": 1.0, "smile": 1.0}
    beyond = person.edit(portrait, {"mouth_open": 2.4}).recipe["attributes"]["mouth_open"]
    assert beyond == SLIDERS["mouth_open"].high  # of a slider that drawn faces have too, its end on photos
    with pytest.raises(InputError, match=r"face_width goes from -2\.25 to 1\.75, got 9"):
        person.edit(portrait, {"face_width": 9.0})


def test_directions_that_convince_in_photos_are_drawn(person, portrait):
    plain = PersonalizationPipeline.from_pipe(person)
    plain.landmarker = None
    assert not plain.photo_sliders  # by eye, none of the embedded model's own
    kept = tuple(replace(one, on_photos=one.name == "smile") for one in person.directions.items)
    plain.directions = replace(person.directions, items=kept)
    assert list(plain.photo_sliders) == ["smile"]
    out = plain.edit(portrait, {"smile": 1.0})
    assert not np.array_equal(np.asarray(out.image), np.asarray(person.edit(portrait, {"smile": 1.0}).image))
    with pytest.raises(InputError, match="face_width"):
        plain.edit(portrait, {"face_width": 1.0})


def test_transparency_stays_where_it_was(person):
    pixels = open_photo(PHOTO)
    alpha = torch.full(pixels.shape[1:], 255, dtype=torch.uint8)
    alpha[:40] = 0
    out = person.edit(OpenedPicture(pixels, alpha), {"smile": 1.0}).image
    assert out.mode == "RGBA" and np.asarray(out)[..., 3].tolist() == alpha.tolist()


def test_raised_brows_do_not_bend_the_glasses_that_a_face_wears(person):
    portrait = person.open(PHOTO.with_name("naval-officer.jpg"))
    (marks,) = portrait.landmarks(person.landmarker)
    edited = person.edit(portrait, {"brows_up": 1.5}).changed.pixels
    bent = reshape(portrait, person.landmarker, person.shapes, {"brows_up": 1.5}).pixels
    brow, lid = marks.points[[105, 334], 1].min(), marks.points[[159, 386], 1].mean()
    left, right = (int(marks.points[place, 0]) for place in (46, 276))
    above, lenses = slice(int(brow) - 6, int(brow) + 4), slice(int((brow + lid) / 2), int(lid) + 20)
    change, bending = ((one.int() - portrait.pixels).abs().float() for one in (edited, bent))
    assert change[:, above, left:right].mean() > 0.4 * bending[:, above, left:right].mean()
    assert change[:, lenses, left:right].mean() < 0.25 * bending[:, lenses, left:right].mean()
