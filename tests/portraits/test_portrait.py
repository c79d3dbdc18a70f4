"""A photo is found, placed and encoded once, whatever is done with it afterwards."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import FaceTooSmallError, FaceTooTurnedError, InputError, NoFaceError
from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import FaceBox
from gan_space.faces.find import Face
from gan_space.latents.directions import Direction, Directions
from gan_space.models.hashing import weights_sha256
from gan_space.models.segmenter import SegmenterOutput
from gan_space.packs.attaching import attached
from gan_space.photos.opening import OpenedPicture, open_picture
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.portrait import Portrait, open_portrait
from tests.counting import count_calls
from tests.pipelines.styling import PHOTO, REFERENCE, R, make_networks, make_pack, pixels, sample


@pytest.fixture(scope="module")
def style(aligner) -> StyleTransferPipeline:
    pipe = StyleTransferPipeline(*make_networks(), aligner)
    for name in ("ink", "oil", "film"):
        pipe.load_style_pack(make_pack(pipe.generator, pipe.encoder, name=name), name)
    return pipe


@pytest.fixture(scope="module")
def person(style) -> PersonalizationPipeline:
    pipe = PersonalizationPipeline.from_pipe(style)
    vector = torch.randn(pipe.generator.num_ws, 8, generator=torch.Generator().manual_seed(1))
    smile = Direction("smile", vector, safe_range=(-2, 2), effects={"smile": 1.0})
    pipe.directions = Directions((smile,), weights_sha256(pipe.generator), "tiny")
    return pipe


@pytest.fixture
def calls(monkeypatch) -> Counter:
    return count_calls(monkeypatch)


def test_one_photo_is_searched_placed_and_encoded_once(style, person, calls):
    portrait = style.open(PHOTO)
    opening = Counter(calls)
    assert opening["detector"] == 1 and opening["encoder"] == 0
    for step in range(10):
        person.edit(portrait, {"smile": step / 10})
    for pack in ("ink", "oil", "film"):
        style(portrait, pack=pack, scope="photo")
    refined = style.refine(portrait, 2)
    style(portrait, pack="ink", refined=refined).images[0].tobytes()
    assert calls["detector"] == opening["detector"] and calls["aligner"] == opening["aligner"]
    assert calls["encoder"] == calls["features"] == 1  # the face, and the whole photo


def test_a_portrait_gives_what_its_photo_gives(style, person):
    portrait = style.open(PHOTO)
    for scope in ("face", "photo"):
        again = style(portrait, REFERENCE, scope=scope).images[0]
        assert np.array_equal(pixels(style(PHOTO, REFERENCE, scope=scope).images[0]), pixels(again))
        assert np.array_equal(pixels(style(portrait, REFERENCE, scope=scope).images[0]), pixels(again))
    changed = person.edit(portrait, {"smile": 1.0}).image
    assert np.array_equal(pixels(person.edit(PHOTO, {"smile": 1.0}).image), pixels(changed))


def test_new_weights_are_asked_anew_and_packs_are_no_new_weights(style, calls):
    portrait = style.open(PHOTO)
    before = portrait.code(style.encoder).w_plus.clone()
    with attached(style.generator, [(style.get_pack("ink").delta, 1.0)]):
        portrait.code(style.encoder)
    style(portrait, pack="oil")
    assert calls["encoder"] == 1
    drawn = portrait.remember("reconstruction", [style.encoder, style.generator], lambda: "forgotten")
    assert drawn != "forgotten"
    with torch.no_grad():
        style.encoder.code_head.bias.add_(0.5)
    try:
        assert not torch.equal(portrait.code(style.encoder).w_plus, before)
    finally:
        with torch.no_grad():
            style.encoder.code_head.bias.sub_(0.5)
    other = make_networks()[1]
    portrait.code(other)
    assert calls["encoder"] == 3


def test_who_asks_for_all_faces_of_a_group_gets_the_small_ones_too(style):
    """Six people in a row, 46 px each, are too small for a portrait of the largest one."""
    group, one = Image.new("RGB", (1500, 900), (90, 110, 130)), PHOTO.convert("RGB")
    for number in range(6):
        group.paste(one.resize((110, 110)), (60 + 240 * number, 380))
    portrait = style.open(group, "all")
    assert np.allclose([face.frame_px for face in portrait.faces], 46, atol=2)
    assert portrait.chosen == (0, 1, 2, 3, 4, 5)
    assert portrait.thumbnail(750).chosen == portrait.chosen
    assert portrait.choose("largest").chosen == ()
    tiny = style.open(group.resize((750, 450)), "all")  # 23 px
    with pytest.raises(FaceTooSmallError, match="faces=0"):
        _ = tiny.chosen_faces


def test_copies_of_other_sizes_share_what_is_known(style, calls):
    portrait = style.open(PHOTO)
    small = portrait.thumbnail(100)
    assert max(small.pixels.shape) == 100 and portrait.thumbnail(1000) is portrait
    scale = small.pixels.shape[2] / portrait.pixels.shape[2]
    np.testing.assert_allclose(small.faces[0].landmarks, portrait.faces[0].landmarks * scale)
    np.testing.assert_allclose(small.faces[0].frame_px, portrait.faces[0].frame_px * scale)
    code = portrait.code(style.encoder)
    assert small.choose("all").choose("largest").code(style.encoder) is code
    assert calls["encoder"] == 1
    shown = style(small, pack="ink", scope="photo").images[0]
    assert shown.size == small.pixels.shape[:0:-1]
    large = pixels(style(portrait, pack="ink", scope="photo").images[0].resize(shown.size))
    assert np.abs(large - pixels(shown)).mean() < 2  # the same drawing, put back at two sizes


def test_faces_are_chosen_among_those_found(style):
    portrait = style.open(PHOTO)
    assert portrait.chosen == (0,) and portrait.which == "largest"
    assert style(portrait, pack="ink", faces=0).recipe[0]["faces"] == 0
    assert style(portrait.choose("all"), pack="ink").recipe[0]["faces"] == "all"
    with pytest.raises(InputError, match=r"numbered from 0, the largest first; got number 3"):
        portrait.choose(3)
    with pytest.raises(InputError, match="faces must be 'largest', 'all' or the number"):
        portrait.choose("left")
    with pytest.raises(InputError, match="boxes and detector are for opening a photo"):
        style.open(portrait, boxes=[(0, 0, 50)])


def test_a_face_that_is_named_is_taken_also_where_it_is_turned_and_the_error_says_so(style):
    """A half profile is refused unasked, and often comes out well."""
    found = style.open(PHOTO)
    turned = replace(found, faces=(replace(found.faces[0], yaw=0.5),))
    assert turned.chosen == ()
    with pytest.raises(FaceTooTurnedError, match=r"yaw 0\.50.*; faces=0 takes the largest one all the same"):
        style(turned, pack="ink")
    assert style(turned, pack="ink", faces=0).recipe[0]["faces"] == 0


def test_a_photo_without_a_face_opens_and_says_so_when_one_is_needed(style):
    portrait = style.open(torch.zeros(3, 80, 80, dtype=torch.uint8))
    assert portrait.faces == portrait.chosen == () and portrait.picture().size == (80, 80)
    with pytest.raises(NoFaceError):
        style(portrait, pack="ink")
    placed = style.open(portrait.pixels, boxes=[(10, 10, 50)])
    assert style(placed, pack="ink").images[0].size == (80, 80)


@pytest.mark.parametrize("box", [(90_000, 2, 50), (-60, 10, 50), (10, 60, 50), (0, 0, 1e9)])
def test_a_box_beside_the_photo_is_no_face(style, box):
    with pytest.raises(InputError, match="outside of the photo of 80 x 80 px"):
        style.open(torch.zeros(3, 80, 80, dtype=torch.uint8), boxes=[(10, 10, 50), box])


def test_a_copy_in_another_process_starts_without_memory(style):
    portrait = style.open(PHOTO)
    code = portrait.code(style.encoder)
    packed = pickle.dumps(portrait)
    assert b"models.aligner" not in packed  # no network travels along
    copy: Portrait = pickle.loads(packed)
    assert torch.equal(copy.pixels, portrait.pixels)
    assert torch.equal(copy.code(style.encoder).w_plus, code.w_plus) and copy.code(style.encoder) is not code
    assert copy.crops(R).shape == (1, 3, R, R)


def test_pixels_made_of_what_is_seen_get_no_second_white_under_what_is_transparent():
    stored, alpha = torch.full((3, 8, 8), 60, dtype=torch.uint8), torch.full((8, 8), 128, dtype=torch.uint8)
    portrait = Portrait(OpenedPicture(stored, alpha), ())
    seen = portrait.pixels
    assert seen.float().mean() > 150  # half of it is paper
    torch.testing.assert_close(portrait.painted_over(seen.clone(), on_white=True).pixels, seen)
    torch.testing.assert_close(portrait.painted_over(stored.clone()).pixels, seen)


def test_masks_of_the_whole_photo_go_with_it_and_not_with_its_small_copy():
    """A small copy lives for an hour in the app; masks of 12 megapixels must not live as long."""
    calls = []

    class Nothing(torch.nn.Module):
        resolution = 32

        def forward(self, images):
            calls.append(len(images))
            nothing = torch.full(images[:, 0].shape, -9.0)
            return SegmenterOutput(nothing, nothing)

    network = Nothing().eval()
    box = FaceBox(20, 20, 60)
    face = Face(box, box.transform, np.zeros((3, 2)), 0.9, 0.0, 0.0)
    whole = Portrait(open_picture(torch.zeros(3, 100, 100, dtype=torch.uint8)), (face,), 0, True)
    small = whole.thumbnail(50)
    assert whole.heads(network)[0] is whole.heads(network)[0] and calls == [4]
    assert small.heads(network)[0].hair.shape != whole.heads(network)[0].hair.shape and calls == [4, 4]
    small.over(whole.opened).heads(network)
    assert small.heads(network)[0].hair.shape[0] <= 50 and calls == [4, 4, 4]


class Anywhere:
    """Stands for a segmenter: hair and person are where a photo's red is high."""

    resolution = 96

    def __call__(self, images: torch.Tensor) -> SegmenterOutput:
        return SegmenterOutput(12 * images[:, 0], 12 * images[:, 0])


def test_a_wall_is_put_behind_everybody_although_one_face_was_meant(style, monkeypatch):
    """The search for the largest face stops at it; who else is there is searched once, when that counts."""
    asked, near, far = [], face_at(150, 100, 30), face_at(450, 100, 26)

    def find(photo, aligner, **others):
        asked.append(others)
        return [near, far]

    monkeypatch.setattr("gan_space.portraits.choosing.find_faces", find)
    monkeypatch.setattr("gan_space.portraits.portrait.search", lambda *_, **__: [near])
    picture = np.full((360, 600, 3), 30, np.uint8)
    for x in (150, 450):
        picture[30:, x - 60 : x + 60] = 220
    portrait = open_portrait(torch.from_numpy(picture).permute(2, 0, 1), style.aligner)
    segmenter = torch.nn.Identity()
    segmenter.forward, segmenter.resolution = Anywhere().__call__, Anywhere.resolution
    for _ in range(2):
        person = portrait.person(segmenter)
    assert len(asked) == 1 and asked[0]["thorough"]
    assert person[150, 150] == person[150, 450] == 255 and person[150, 300] == 0
    assert len(portrait.faces) == len(portrait.heads(segmenter)) == 1
    portrait.painted_over(portrait.pixels.clone()).person(segmenter)
    small = portrait.thumbnail(300).person(segmenter)
    assert small[75, 75] == small[75, 225] == 255 and small[75, 150] == 0
    pickle.loads(pickle.dumps(portrait)).person(segmenter)
    assert len(asked) == 1  # other pixels, another size: the same faces
    open_portrait(torch.from_numpy(picture).permute(2, 0, 1), style.aligner, "all").person(segmenter)
    assert len(asked) == 1  # the search was thorough


def test_whoever_a_quick_search_left_out_is_found_for_a_wall(style):
    """By the shipped aligner: a small face beside a large one."""
    wide = Image.new("RGB", (900, 512), (90, 110, 130))
    wide.paste(sample("woman-lake", 512), (0, 0))
    wide.paste(sample("naval-officer", 128), (700, 200))
    portrait = style.open(wide)
    assert len(portrait.faces) == 1
    half = portrait.thumbnail(450)
    (left_out,) = half._left_out.beside(half.faces, half.pixels)
    (again,) = portrait._left_out.beside(portrait.faces, portrait.pixels)
    np.testing.assert_allclose(again.landmarks, 2 * left_out.landmarks)
    x, y = again.landmarks.mean(axis=0)
    assert 700 < x < 828 and 200 < y < 328


def face_at(x: float, y: float, eyes_px: float) -> Face:
    points = np.array([[x - eyes_px / 2, y], [x + eyes_px / 2, y], [x, y + eyes_px]])
    transform = AlignTransform.from_landmarks(points)
    return Face(FaceBox(x - 40, y - 40, 80), transform, points, 1.0, 0.01, 0.0)
