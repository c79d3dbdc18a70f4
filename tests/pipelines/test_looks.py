"""Looks over the model in the package: whole trips of a photo."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError, NoFaceError
from gan_space.looks import apply
from gan_space.looks.recipe import LookRecipe, shipped_looks
from gan_space.models.segmenter import SegmenterOutput
from gan_space.pipelines.looks import faults_beside
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.portrait import Portrait
from gan_space.styles.settings import StyleSettings
from tests.pipelines.styling import pixels, sample

PHOTO = sample("woman-lake")
TITLE = {"en": "Mine", "zh-CN": "我的"}
SHAPED = LookRecipe("shaped", TITLE, "mine", shape={"eye_size": 1.0}, packs={"soft-glow": 1})
TONED = LookRecipe("toned", TITLE, "mine", post_processing=[("temperature", 0.5)])


@pytest.fixture(scope="module")
def style() -> StyleTransferPipeline:
    return StyleTransferPipeline.from_pretrained()


@pytest.fixture(scope="module")
def portrait(style) -> Portrait:
    return style.open(PHOTO)


@pytest.mark.parametrize("look", [SHAPED, TONED, "poster"])
def test_strength_0_is_the_photo_to_the_bit_and_more_is_further_from_it(style, portrait, look):
    moved = [
        np.abs(pixels(style(portrait, look=look, strength=strength).images[0]) - pixels(PHOTO)).mean()
        for strength in (0, 0.3, 1)
    ]
    assert moved[0] == 0 and 0 < moved[1] < moved[2]


def test_the_look_is_in_the_record_with_its_own_strength(style, portrait):
    record = style(portrait, look="pencil").recipe[0]
    pencil = style.looks["pencil"]
    assert (record["kind"], record["look"], record["look_sha256"]) == ("style", "pencil", pencil.digest)
    assert record["strength"] == pencil.strength


def test_a_look_comes_by_name_by_file_and_as_itself(style, portrait, tmp_path):
    file = TONED.save(tmp_path / "toned.json")
    drawn = [style(portrait, look=look).images[0] for look in (TONED, file, str(file))]
    assert all(np.array_equal(pixels(drawn[0]), pixels(other)) for other in drawn[1:])
    with pytest.raises(InputError, match="no look 'nothing'"):
        style(portrait, look="nothing")


@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.66)])
def test_make_up_of_a_photo_in_one_tone_keeps_it(style, tone):
    grey = np.asarray(PHOTO.convert("L"), np.float32)[..., None]
    before = np.round(grey * np.float32(tone)).astype(np.uint8)
    bold = replace(style.looks["bold-make-up"], grade={})
    after = pixels(style(Image.fromarray(before), look=bold, strength=1.0).images[0]).astype(float)
    assert np.abs(after - before).max() > 30  # lips are darker
    assert np.abs(after - after[..., :1] * tone).max() < 6


def test_the_next_look_takes_what_was_found_for_the_one_before(style, monkeypatch):
    alone = style(style.open(PHOTO), look="smoky").images[0]
    opened = style.open(PHOTO)
    style(opened, look="red-lip", strength=0.3)
    for name in ("skin.find_skin", "makeup.snap_outlines"):
        monkeypatch.setattr(f"gan_space.looks.{name}", None)  # whoever looks again fails
    assert np.array_equal(pixels(style(opened, look="smoky").images[0]), pixels(alone))


def test_of_a_large_photo_no_faces_at_full_size_are_kept(style, monkeypatch):
    cut = []
    real = apply.cut_patches
    monkeypatch.setattr(apply, "cut_patches", lambda *given: cut.append(1) or real(*given))
    for limit, times in ((256 * 256, 1), (256 * 256 - 1, 2)):
        cut.clear()
        monkeypatch.setattr(apply, "MAX_KEPT_PIXELS", limit)
        opened = style.open(PHOTO)
        small, large = (pixels(style(opened, look="red-lip").images[0]) for _ in range(2))
        assert len(cut) == times and np.array_equal(small, large)


def test_another_segmenter_is_asked_anew(style):
    class Says(torch.nn.Module):
        resolution = 32

        def __init__(self, word: float) -> None:
            super().__init__()
            self.word = word

        def forward(self, images: torch.Tensor) -> SegmenterOutput:
            said = torch.full_like(images[:, 0], self.word)
            return SegmenterOutput(said, said)

    opened, looks = style.open(PHOTO), shipped_looks()
    for look in (looks["copper-hair"], looks["id-photo-red"]):
        for word in (9.0, -9.0):
            segmenter, fresh = Says(word), opened.painted_over(opened.pixels)
            given = {"landmarker": style.landmarker, "segmenter": segmenter}
            after, alone = (apply.apply_look(one, look, 1.0, **given) for one in (opened, fresh))
            assert torch.equal(after, alone), (look.name, word)


def test_threads_find_a_thing_once():
    findings, found = apply.Findings(), []

    def find() -> int:
        time.sleep(0.02)
        found.append(1)
        return len(found)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: findings.once("thing", find), range(4))) == {1}


def test_post_processing_comes_after_the_look(style, portrait):
    one = style(portrait, look=TONED, post_processing="saturation:-1").images[0]
    assert np.ptp(pixels(one), axis=2).max() <= 1


def test_what_does_not_go_with_a_look_is_refused_at_once(style, portrait):
    with pytest.raises(InputError) as caught:
        style(portrait, PHOTO, look=TONED, pack="poster", paste_back=False)
    assert all(word in str(caught.value) for word in ("reference", "pack", "paste_back"))


@pytest.mark.parametrize(
    "given",
    [
        {"layers": "fine", "preserve_color": True, "keep_identity": 0.0},
        {"scope": "photo", "transfer": "picture", "upscale": "plain", "refine_steps": 2},
    ],
)
def test_settings_that_a_look_does_not_follow_are_refused(style, portrait, given):
    with pytest.raises(InputError) as caught:
        style(portrait, look=TONED, **given)
    told = str(caught.value)
    assert told.startswith("a look stands alone: leave out") and all(name in told for name in given)
    assert not faults_beside(style, SHAPED, StyleSettings(upscale="plain"))  # which is for what its pack draws


def test_a_look_for_all_of_a_photo_needs_no_face(style):
    wall = Image.fromarray(np.random.default_rng(0).integers(90, 160, (64, 80, 3), dtype=np.uint8))
    assert style(wall, look=TONED).images[0].size == (80, 64)
    with pytest.raises(NoFaceError):
        style(wall, look=SHAPED)
    assert {name for name, _ in style.thumbnails(wall)} == {
        name for name, look in style.looks.items() if not look.needs_faces
    }


def test_a_model_shows_the_looks_that_it_can_give(networks, aligner):
    tiny = StyleTransferPipeline(*networks, aligner)
    assert set(tiny.looks) == {
        name
        for name, look in shipped_looks().items()
        if not (look.shape or look.skin or look.makeup or look.hair or look.background or look.packs)
    }
    with pytest.raises(InputError, match=r"(?s)a landmarker.*shape sliders.*soft-glow"):
        tiny(PHOTO, look=SHAPED)


def test_thumbnails_come_in_the_order_of_the_strip_and_show_the_look(style, portrait):
    looks = {"plain": LookRecipe("plain", TITLE, "mine"), "toned": TONED, "shaped": SHAPED}
    shown = dict(style.thumbnails(portrait, 48, looks))
    assert list(shown) == list(looks) and {picture.size for picture in shown.values()} == {(48, 48)}
    plain, toned, shaped = (pixels(picture) for picture in shown.values())
    assert np.abs(toned - plain).mean() > 1 and np.abs(shaped - plain).mean() > 0.5


def test_a_thumbnail_goes_as_near_as_its_look_is_small(style, portrait):
    """Lips are as wide in pixels as make-up needs them; who turns from look to look sees hair with all of the head."""
    looks = {
        "plain": LookRecipe("plain", TITLE, "mine"),
        "lips": LookRecipe("lips", TITLE, "mine", makeup={"lipstick": {"color": "#c2182b", "amount": 0.01}}),
        "hair": LookRecipe("hair", TITLE, "mine", hair={"color": "#6b3f1d", "amount": 0.01}),
    }
    plain, lips, hair = (
        style.open(picture).faces[0].frame_px for picture in dict(style.thumbnails(portrait, 256, looks)).values()
    )
    assert lips > 1.2 * plain > 1.2 * 1.2 * hair


def test_a_look_is_the_same_alone_and_after_others(style, portrait):
    """What is found for one look is used for the next: none may change it."""
    looks = {name: look for name, look in style.looks.items() if look.drawing or look.skin}
    assert len(looks) > 15
    together = dict(style.thumbnails(portrait, 32, looks))
    for name, look in looks.items():
        ((_, alone),) = style.thumbnails(portrait, 32, {name: look})
        assert np.array_equal(pixels(alone), pixels(together[name])), name


def test_what_is_found_in_a_photo_holds_for_looks_with_a_shape(style, portrait, monkeypatch):
    found = []
    find = apply.cut_patches
    monkeypatch.setattr(apply, "cut_patches", lambda *args: found.append(1) or find(*args))
    portrait = portrait.thumbnail(512)
    for name in ("evening-glam", "k-beauty-gloss", "rosy-blush"):
        assert style.looks[name].shape and style.looks[name].makeup
        style(portrait, look=name)
    assert len(found) == 1


def test_eyes_are_never_searched_in_a_drawing(style):
    wide = {
        name: LookRecipe(name, TITLE, "mine", shape={"eyes_open": 1.0}, drawing=drawing)
        for name, drawing in (("lines", "line-art"), ("wide", None))
    }
    *_, (_, after) = style.thumbnails(style.open(sample("astronaut")), 128, wide)
    ((_, alone),) = style.thumbnails(style.open(sample("astronaut")), 128, {"wide": wide["wide"]})
    assert np.array_equal(pixels(after), pixels(alone))


def test_networks_look_at_one_small_face_for_all_thumbnails(style, portrait, monkeypatch):
    calls = []
    encode = type(style.encoder).forward
    monkeypatch.setattr(type(style.encoder), "forward", lambda *args, **more: calls.append(1) or encode(*args, **more))
    looks = {name: LookRecipe(name, TITLE, "mine", packs={name: 1}) for name in ("poster", "pencil", "soft-glow")}
    torch.manual_seed(0)
    assert len(list(style.thumbnails(portrait, 32, looks))) == len(looks)
    assert len(calls) == 1


def test_hair_is_dyed_and_what_is_behind_changes(style, portrait):
    """By the shipped segmenter: the bob, the lake and the face of the example photo."""
    before, places = pixels(PHOTO).astype(int), {"hair": (150, 185), "lake": (165, 20), "cheek": (165, 118)}
    copper, wall, blur = (
        pixels(style(portrait, look=look, strength=1.0).images[0]).astype(int)
        for look in ("copper-hair", "id-photo-red", "strong-bokeh")
    )

    def moved(picture: np.ndarray, place: str) -> float:
        row, column = places[place]
        here = (slice(row - 3, row + 4), slice(column - 3, column + 4))
        return float(np.abs(picture[here] - before[here]).mean())

    assert moved(copper, "hair") > 15 and moved(copper, "lake") == 0 and moved(copper, "cheek") < 1
    row, column = places["lake"]
    assert np.abs(wall[row, column] - (217, 0, 27)).max() <= 2 and moved(wall, "cheek") == 0
    assert moved(wall, "hair") < 3 and moved(blur, "cheek") == 0 and moved(blur, "lake") > 0


def test_a_photo_that_was_cut_out_stands_before_a_wall(style):
    photo = PHOTO.convert("RGBA")
    photo.paste((9, 200, 9, 0), (0, 0, photo.width, 30))
    portrait = style.open(photo)
    assert style(portrait, look="soft-background").images[0].mode == "RGBA"
    walled = style(portrait, look="id-photo-white", strength=1.0).images[0]
    assert walled.mode == "RGB" and pixels(walled)[:25, :60].min() >= 250
    assert style(portrait, look="id-photo-white", strength=0).images[0].mode == "RGBA"


def test_a_model_without_a_segmenter_says_so_and_offers_no_such_look(style):
    parts = {name: part for name, part in style.components.items() if name != "segmenter"}
    bare = StyleTransferPipeline(**parts)
    assert not [name for name, look in bare.looks.items() if look.hair or look.background]
    with pytest.raises(InputError, match="a segmenter"):
        bare(PHOTO, look=shipped_looks()["copper-hair"])
