"""Glasses on the face that the shape model calls average, and on real photos through the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import InputError, NoFaceError
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.regions import find_skin
from gan_space.faces.shape import ShapeModel
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.portraits import glasses
from gan_space.portraits.glasses import FRAMES, _Drawing, _Head, look_around, put_on_glasses

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 150.0]), (360, 400)
SKIN = torch.tensor([200, 160, 140], dtype=torch.uint8)


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape")


TAN_PALE_AND_HAIR = ((190, 135, 95), (226, 188, 170), (70, 45, 30))


def marks_of(places: np.ndarray) -> Landmarks:
    return Landmarks(UNIT * places + MIDDLE, np.zeros(468), 1.0, np.zeros(3))


def drawing_on(photo: torch.Tensor, marks: Landmarks) -> _Drawing:
    head = _Head(marks.points)
    return _Drawing(photo, head, head.box(tuple(photo.shape[1:])), FRAMES["square"], look_around(photo, marks))


def skin(brightness: float = 1.0) -> torch.Tensor:
    """Skin and red lips: of one hue it would be a photo in one tone."""
    photo = (brightness * SKIN.float()).byte()[:, None, None].repeat(1, *SIZE)
    photo[:, 222:247, 165:235] = (brightness * torch.tensor([180.0, 80.0, 90.0])).byte()[:, None, None]
    return photo


def changed(photo: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    return (photo.int() - after.int()).abs().amax(dim=0).numpy()


@pytest.mark.parametrize("name", FRAMES)
def test_a_rim_stands_around_each_eye_and_nothing_else_changes_much(model, name):
    photo = skin()
    after = put_on_glasses(photo, marks_of(model.mean), name)
    assert torch.equal(photo, skin()) and after.shape == photo.shape
    far = changed(photo, after)
    assert not far[:60].any() and not far[260:].any() and not far[:, :60].any() and not far[:, 340:].any()
    for x in (160, 240):  # the middle of each eye
        assert far[140:165, x - 15 : x + 15].max() < 25  # lenses are clear
        column = far[:, x]
        assert column[100:150].max() > 50 and column[150:215].max() > 50  # a rim above and below
    assert abs(far - far[:, ::-1]).mean() < 2  # light from one side alone
    assert far[125:160, 200].max() > 60  # the bridge


@pytest.mark.parametrize("name", ["square", "cat-eye"])
def test_slabs_are_stronger_above_and_no_blacker_than_the_photo(model, name):
    clear, faded = skin(), skin()
    clear[:, 195:198], faded[:, 195:198] = 0, 25  # the deepest shade around the eyes
    drawn = [put_on_glasses(photo, marks_of(model.mean), name) for photo in (clear, faded)]
    above, below = ((changed(clear, drawn[0])[rows, 155:165] > 60).sum() for rows in (slice(105, 150), slice(150, 190)))
    assert above > 1.25 * below > 0
    rim = changed(clear, drawn[0])[:190] > 100
    assert drawn[1][:, :190][:, rim].float().mean() > drawn[0][:, :190][:, rim].float().mean() + 10


def test_glasses_turn_with_the_head(model):
    turn = model.fields["turn"][0]
    left, right = (put_on_glasses(skin(), marks_of(model.mean + sign * 3 * turn), "square") for sign in (-1, 1))

    def middle(after: torch.Tensor) -> float:
        return float((changed(skin(), after) > 60).nonzero()[1].mean())

    straight = middle(put_on_glasses(skin(), marks_of(model.mean), "square"))
    assert middle(left) < straight - 1 and middle(right) > straight + 1
    with pytest.raises(InputError, match="turned by"):
        put_on_glasses(skin(), marks_of(model.mean + 40 * turn), "square")
    with pytest.raises(InputError, match="round, square, aviator, cat-eye, got 'monocle'"):
        put_on_glasses(skin(), marks_of(model.mean), "monocle")


def test_an_arm_ends_at_the_first_hair_and_leaves_no_pieces(model):
    drawing = drawing_on(skin(), marks_of(model.mean))
    left, top, right, bottom = drawing.box
    bare = np.ones((bottom - top, right - left), np.float32)
    whole = drawing.arm(1, bare)
    start, end = whole[:, 0].min() / drawing.fine, whole[:, 0].max() / drawing.fine
    middle = int((start + end) / 2)
    strand, hidden = bare.copy(), bare.copy()
    strand[:, middle : middle + 4] = 0  # skin again beyond it
    hidden[:, int(start) - 4 :] = 0
    assert drawing.arm(1, strand)[:, 0].max() / drawing.fine == pytest.approx(middle, abs=3)
    assert drawing.arm(1, hidden) is None
    here, _ = drawing._close(whole)
    x, y = ((whole[:2] + whole[:1:-1]) / 2).T.round().astype(int)  # where it starts and ends
    start, end = drawing._fading(whole, here)[y - here[0].start, x - here[1].start]
    assert start == 1 and end < 0.2


def test_metal_is_dimmer_in_a_dim_photo_and_a_face_at_the_edge_is_no_fault(model):
    bright, dim = (put_on_glasses(skin(b), marks_of(model.mean), "round") for b in (1.0, 0.3))
    rim = changed(skin(), bright) > 60
    assert dim[:, rim].float().mean() < 0.7 * bright[:, rim].float().mean()
    away = Landmarks(UNIT * model.mean - (500, 0), np.zeros(468), 1.0, np.zeros(3))
    assert torch.equal(put_on_glasses(skin(), away, "round"), skin())
    half = Landmarks(UNIT * model.mean + (0, 150), np.zeros(468), 1.0, np.zeros(3))
    assert not torch.equal(put_on_glasses(skin(), half, "round"), skin())


def test_a_fringe_hangs_over_the_rim_and_neither_a_brow_nor_hair_beside_the_eyes_does(model):
    hair = torch.tensor([40, 28, 22], dtype=torch.uint8)[:, None, None]
    marks = marks_of(model.mean)
    fringe, brow = skin(), skin()
    fringe[:, :95] = brow[:, :85] = hair  # hair above both; a fringe down to the left eye, a brow with skin above it
    fringe[:, :132, 130:190] = hair
    brow[:, 112:130, 130:190] = hair
    hidden, seen = (changed(photo, put_on_glasses(photo, marks, "round"))[:128] for photo in (fringe, brow))
    assert hidden[:, 166:180].max() < 12 and hidden[:, 215:265].max() > 60
    assert seen[:, 140:180].max() > 60
    beside = skin()
    beside[:, :85] = beside[:, :, :150] = hair[..., :]
    far = int(MIDDLE[0] - 0.75 * UNIT)
    bare, behind = (
        changed(photo, put_on_glasses(photo, marks, "round"))[:, far - 20 : far] for photo in (skin(), beside)
    )
    rim = bare > 60
    assert rim.sum() > 80 and (behind[rim] > 0).mean() > 0.9


def test_skin_that_shines_where_its_colour_is_read_is_not_hair_elsewhere(model):
    """Below the eyes it mirrors white light, on the forehead and beside the nose it has its own colour."""
    marks = marks_of(model.mean)
    photo = skin()
    photo[:] = torch.tensor([190, 135, 95], dtype=torch.uint8)[:, None, None]
    for places in ((118, 119, 101), (347, 348, 330), (9, 8, 6), (6, 197, 5)):
        x, y = marks.points[list(places)].mean(axis=0).astype(int)
        photo[:, y - 14 : y + 15, x - 14 : x + 15] = torch.tensor([226, 188, 170], dtype=torch.uint8)[:, None, None]
    photo[:, :75] = photo[:, y : y + 1, x : x + 1]  # and so does the top of the head
    far = changed(photo, put_on_glasses(photo, marks, "square"))
    assert far[125:160, 200].max() > 60 and min(far[95:135, x].max() for x in range(150, 185)) > 60


def test_a_temple_that_shines_like_the_nose_is_no_hair_over_an_arm(model):
    marks = marks_of(model.mean)
    tan, pale, hair = (torch.tensor(color, dtype=torch.uint8)[:, None, None] for color in TAN_PALE_AND_HAIR)
    photo = skin()
    photo[:] = tan
    for x, y in marks.points[[4, 51, 281, 3, 248]].astype(int):
        photo[:, y - 4 : y + 5, x - 4 : x + 5] = pale
    shining, covered = photo.clone(), photo.clone()
    temple = slice(int(marks.points[263, 0]) + 3, None)
    shining[:, :, temple], covered[:, :, temple] = pale, hair
    drawing = drawing_on(photo, marks)
    seen = [
        drawing.arm(1, find_skin(marks.points, one, drawing.box, any_light=True)) for one in (photo, shining, covered)
    ]
    assert seen[2] is None and np.allclose(seen[0], seen[1])


def test_an_edit_puts_glasses_on_and_refuses_a_second_pair(person):
    portrait = person.open(SAMPLES / "woman-lake.jpg")
    plain = person.edit(portrait, {"smile": 1.0})
    out = person.edit(portrait, {"smile": 1.0}, glasses="square")
    assert out.recipe == plain.recipe | {"glasses": "square"}
    far = np.abs(np.asarray(out.image, int) - np.asarray(plain.image, int)).max(axis=2)
    assert (far > 60).sum() > 300
    x, y = portrait.landmarks(person.landmarker)[0].points[[33, 133, 263, 362]].mean(axis=0)
    assert np.abs(np.argwhere(far > 60).mean(axis=0) - (y, x)).max() < 0.2 * portrait.chosen_faces[0].transform.frame_px
    alone = person.edit(portrait, {}, glasses="square", paste_back=False).image
    without = person.edit(portrait, {}, paste_back=False).image
    assert (np.abs(np.asarray(alone, int) - np.asarray(without, int)).max(axis=2) > 60).sum() > 300
    with pytest.raises(InputError, match="seems to wear glasses already"):
        person.edit(SAMPLES / "naval-officer.jpg", {}, glasses="round")


def test_who_wears_glasses_is_told_as_edit_sees_it(person):
    worn, bare = (person.open(SAMPLES / name) for name in ("naval-officer.jpg", "woman-lake.jpg"))
    assert person.wears_glasses(worn) and not person.wears_glasses(bare)
    blind = PersonalizationPipeline.from_pipe(person)
    blind.analyzer = None
    assert blind.wears_glasses(worn) and not blind.wears_glasses(bare)  # by what crosses the nose
    with pytest.raises(NoFaceError):
        person.wears_glasses(person.open(skin()))


def test_another_frame_on_an_open_photo_does_not_look_around_again(person, monkeypatch):
    """A choice is shown at once, but what is known must be of these very pixels."""
    portrait = person.open(SAMPLES / "woman-lake.jpg")
    (marks,) = portrait.landmarks(person.landmarker)
    wanted = {kind: put_on_glasses(portrait.pixels, marks, kind) for kind in ("round", "square")}
    looked, find = [], glasses.find_skin
    monkeypatch.setattr(glasses, "find_skin", lambda *args, **options: looked.append(1) or find(*args, **options))
    for kind, picture in wanted.items():
        assert torch.equal(person.edit(portrait, {}, glasses=kind).changed.pixels, picture)
    assert len(looked) == 1
    person.edit(portrait, {"smile": 1}, glasses="round")
    assert len(looked) == 2
