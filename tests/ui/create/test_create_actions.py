"""What the buttons of "Create a look" do, with tiny untrained networks, the real aligner and photos of the tests."""

from __future__ import annotations

import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_space.errors import Cancelled, InputError, NoFaceError, PackError
from gan_space.output.provenance import read_provenance, save_image
from gan_space.packs.consent import time_faults
from gan_space.packs.style import StylePack
from gan_space.packs.tuning import TuneSettings
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.styles.settings import StyleSettings
from gan_space.ui.create.actions import KEPT_LOOKS, CreateActions, StyleRequest, style_pipeline
from gan_space.ui.i18n import load_locale
from gan_space.ui.opened_photos import SHOWN_PX
from gan_space.ui.server.folder import server_folder

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
QUICK = TuneSettings(num_steps=4, batch_size=2, rank=2, num_faces=4, preview_every=2)


@pytest.fixture(scope="module")
def actions(style_folder) -> CreateActions:
    return CreateActions(style_pipeline(GenerationPipeline.from_pretrained(style_folder)), tune_settings=QUICK)


@pytest.fixture(scope="module")
def photo_path(tmp_path_factory) -> str:
    """A portrait in a wider picture, larger than what is shown, turned by EXIF as phones do, labelled as AI-made."""
    face = Image.open(SAMPLES / "woman-lake.jpg").convert("RGB").resize((700, 700))
    wide = Image.new("RGB", (1400, 900), (90, 120, 80))
    wide.paste(face, (500, 100))
    folder = tmp_path_factory.mktemp("photo")
    labelled = save_image(wide, folder / "labelled.png", recipe={"seed": 5})
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(labelled) as picture:
        turned = picture.transpose(Image.Transpose.ROTATE_90)
        turned.save(folder / "me.jpg", quality=95, exif=exif, xmp=picture.info["xmp"])
    return str(folder / "me.jpg")


@pytest.fixture(scope="module")
def opened(actions, photo_path):
    return actions.open(photo_path)


@pytest.fixture(scope="module")
def ink(actions) -> StyleRequest:
    return StyleRequest(look=next(look for look in actions.looks if look.key == "ink"))


@pytest.fixture(scope="module")
def group(actions, tmp_path_factory):
    """Two people side by side, opened."""
    both = Image.new("RGB", (1000, 500))
    for number, name in enumerate(("woman-lake", "naval-officer")):
        both.paste(Image.open(SAMPLES / f"{name}.jpg").convert("RGB").resize((500, 500)), (500 * number, 0))
    path = tmp_path_factory.mktemp("group") / "both.png"
    both.save(path)
    return actions.open(str(path))


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_looks_are_the_packs_of_the_model(actions):
    assert [look.key for look in actions.looks] == ["ink", "soft"]
    assert actions.looks[0].name == {"en": "Ink", "zh-CN": "水墨"}
    assert all(read_provenance(look.preview).is_ai_made for look in actions.looks)


def test_a_model_without_an_encoder_has_no_such_pipeline(tiny_pipe):
    assert style_pipeline(tiny_pipe) is None


def test_a_photo_is_opened_upright_with_its_face(opened):
    assert opened.size == (1400, 900) and len(opened.faces) == 1
    assert Image.open(opened.before).size == (SHOWN_PX, round(900 * SHOWN_PX / 1400))
    x, y = opened.faces[0].landmarks.mean(axis=0)
    assert 700 < x < 1000 and 300 < y < 600
    assert not Image.open(opened.before).getexif()


def test_preview_and_file_are_labelled_and_show_the_same(actions, opened, ink):
    preview, file = actions.preview(opened, ink), actions.file(opened, ink, "png", False)
    label = read_provenance(file.path)
    assert label.is_ai_made and "composite" in label.digital_source_type
    assert label.recipe["pack"] == "ink" and label.recipe["faces"] == "largest"
    assert len(label.inherited) == 1  # the photo itself was AI-made
    assert read_provenance(preview.path).is_ai_made
    assert Image.open(file.path).size == (1400, 900) and file.path.endswith("me-ink.png")
    shrunk = Image.open(file.path).resize(Image.open(preview.path).size, Image.Resampling.LANCZOS)
    apart = np.abs(np.asarray(shrunk).astype(int) - pixels(preview.path)).mean()
    changed = np.abs(pixels(preview.path) - pixels(opened.before)).mean()
    assert changed > 5 and apart < 0.35 * changed


def test_format_and_visible_label(actions, opened, ink):
    plain, marked = (actions.file(opened, ink, "jpeg", visible) for visible in (False, True))
    assert Image.open(plain.path).format == "JPEG"
    difference = np.abs(pixels(plain.path) - pixels(marked.path))
    assert difference[-100:].max() > 60 and difference[:450].max() == 0
    with pytest.raises(InputError, match="format must be one of png, jpeg"):
        actions.file(opened, ink, "bmp", False)


def test_a_reference_is_read_once(actions, opened):
    request = StyleRequest(reference=str(SAMPLES / "naval-officer.jpg"), settings=StyleSettings(scope="face"))
    first = actions.preview(opened, request)
    look = actions._references.get(request.reference)
    second = actions.preview(opened, request)
    assert actions._references.get(request.reference) is look
    assert np.array_equal(pixels(first.path), pixels(second.path))
    assert len(first.recipe["reference_sha256"]) == 16 and "pack" not in first.recipe


def test_the_chosen_face_alone_takes_the_look(actions, group):
    assert len(group.faces) == 2
    changed = {}
    for which in (0, 1, "all"):
        settings = StyleSettings(scope="face", strength=1.5, faces=which)
        drawn = actions.preview(group, StyleRequest(actions.looks[1], settings=settings))
        change = np.abs(pixels(drawn.path) - pixels(group.before)).mean(axis=(0, 2))
        changed[which] = (change[:500].mean() > 1.5, change[500:].mean() > 1.5)
    left = [face.landmarks[:, 0].mean() < 500 for face in group.faces]
    assert changed["all"] == (True, True)
    assert changed[0] == (left[0], not left[0]) and changed[1] == (left[1], not left[1])
    picture = pixels(actions.faces_picture(group, "largest"))
    green = (np.abs(picture - [90, 240, 120]).max(axis=2) < 25).sum(axis=0)
    assert (green[:500].sum() > 50) == left[0] and (green[500:].sum() > 50) == left[1]


def test_a_click_takes_a_face_or_makes_one(actions, group, tmp_path):
    number = next(n for n, face in enumerate(group.faces) if face.landmarks[:, 0].mean() > 500)
    x, y = group.faces[number].landmarks.mean(axis=0)
    assert actions.mark(group, x, y) == (group, number)

    Image.new("RGB", (300, 300), "gray").save(tmp_path / "nobody.png")
    nobody = actions.open(str(tmp_path / "nobody.png"))
    request = StyleRequest(look=actions.looks[0])
    with pytest.raises(NoFaceError):
        actions.preview(nobody, request)
    marked, number = actions.mark(nobody, 150, 120)
    assert number == 0 and len(marked.faces) == 1
    middle = marked.faces[0].transform.inverse.apply([0.5, 0.5])
    assert np.abs(middle - [150, 120]).max() < 1  # nothing there to move it
    drawn = actions.preview(marked, StyleRequest(look=actions.looks[0], settings=StyleSettings(faces=0)))
    assert drawn.recipe["faces"] == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda ink: StyleRequest(), "choose a look"),
        (lambda ink: replace(ink, settings=StyleSettings(faces=7)), "numbered from 0"),
    ],
)
def test_bad_requests_are_input_errors(actions, opened, ink, change, word):
    with pytest.raises(InputError, match=word):
        actions.preview(opened, change(ink))


def test_a_broken_photo_is_an_input_error(actions, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read as a picture"):
        actions.open(str(tmp_path / "broken.jpg"))


def test_several_photos_become_files_and_a_zip(actions, ink, tmp_path, photo_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = [str(SAMPLES / "woman-park.jpg"), str(tmp_path / "broken.jpg"), photo_path]
    steps = list(actions.many(paths, ink, "jpeg", False))
    assert [(step.done, len(step.shown)) for step in steps] == [(0, 0), (1, 1), (2, 1), (3, 2), (3, 2)]
    ((name, error),) = steps[-1].failed
    assert name == "broken.jpg" and "cannot be read" in str(error)
    with zipfile.ZipFile(steps[-1].archive) as archive:
        assert archive.namelist() == ["01-woman-park-ink.jpg", "02-me-ink.jpg"]
        assert all(read_provenance(archive.read(name)).is_ai_made for name in archive.namelist())
    with pytest.raises(InputError, match="1 to 24 photos, got 0"):
        next(actions.many([], ink, "jpeg", False))


def test_a_pack_is_made_saved_and_brought_again(actions, opened):
    (opened_steps, *_, last) = steps = list(actions.make_pack([str(SAMPLES / "naval-officer.jpg")], "Deep Blue!", "a"))
    assert opened_steps.done == 0 and [step.done for step in steps[1:-1]] == [1, 2, 3, 4]
    previews = [step.preview for step in steps[1:-1] if step.preview]
    assert len(previews) == 2 and all(read_provenance(path).is_ai_made for path in previews)
    assert last.look.name == {"en": "Deep Blue!", "zh-CN": "Deep Blue!"}
    drawn = actions.preview(opened, StyleRequest(look=last.look))
    assert drawn.recipe["pack"] == "deep-blue" and drawn.recipe["packs"][0]["name"] == "deep-blue"

    assert Path(last.archive).name == "deep-blue.zip"
    brought = actions.add_pack(last.archive)
    assert brought.key != last.look.key
    again = actions.preview(opened, StyleRequest(look=brought))
    assert np.array_equal(pixels(again.path), pixels(drawn.path))
    assert [look.key for look in actions.looks] == ["ink", "soft"]  # others do not see it
    training = StylePack.from_pretrained(brought.folder).training
    assert training["source"] == "1 picture"
    assert load_locale("en")["style.consent"].startswith(training["consent"]["agreed"])
    assert time_faults("when", training["consent"]["when"]) == []


def test_visitors_packs_do_not_pile_up_in_memory(actions, opened):
    (*_, last) = actions.make_pack([str(SAMPLES / "naval-officer.jpg")], "靛蓝", "a")
    for _ in range(KEPT_LOOKS):
        actions.add_pack(last.archive)
    assert last.look.key not in actions.pipe.packs and len(actions.pipe.packs) == 2 + KEPT_LOOKS
    assert actions.preview(opened, StyleRequest(look=last.look)).recipe["pack"].startswith("look-")


def test_making_can_be_stopped(actions):
    steps = actions.make_pack([str(SAMPLES / "naval-officer.jpg")], "never", "visit")
    before = dict(actions.pipe.packs)
    assert next(steps).done == 0
    assert next(steps).done == 1
    actions.stop_making("visit")
    with pytest.raises(Cancelled):
        list(steps)
    assert actions.pipe.packs == before
    assert list(actions.make_pack([str(SAMPLES / "naval-officer.jpg")], "now", "visit"))[-1].look is not None


def test_making_needs_a_name_and_a_face(actions, tmp_path):
    Image.new("RGB", (300, 300), "gray").save(tmp_path / "nobody.png")
    with pytest.raises(InputError, match="2 problems"):
        next(actions.make_pack([], " ", "a"))
    with pytest.raises(NoFaceError, match=r"nobody\.png: no face was found"):
        next(actions.make_pack([str(tmp_path / "nobody.png")], "grey", "a"))


def write_zip(path: Path, contents: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return str(path)


def test_hostile_zips_are_pack_errors(actions, style_folder, tmp_path):
    good = {path.name: path.read_bytes() for path in (style_folder / "packs" / "ink").iterdir()}
    for number, contents in enumerate(
        [
            {},
            {"a/pack.json": good["pack.json"]},
            good | {"pack.json": b"[" * 100_000},
            good | {"pack.json": b'{"id": 7}'},
            good | {"other/pack.json": good["pack.json"]},
            good | {"pack.safetensors": bytes(50_000_000)},  # a few kB in the zip
            good | {"pack.safetensors": good["pack.safetensors"][:-1] + b"x"},
        ]
    ):
        with pytest.raises(PackError):
            actions.add_pack(write_zip(tmp_path / f"{number}.zip", contents))
    (tmp_path / "text.zip").write_bytes(b"no zip")
    with pytest.raises(PackError, match="no zip of a pack"):
        actions.add_pack(str(tmp_path / "text.zip"))
    climbing = {f"../../{name}": content for name, content in good.items()}
    look = actions.add_pack(write_zip(tmp_path / "climbing.zip", climbing))
    assert Path(look.folder).is_relative_to(actions._files.path)


def test_old_files_are_swept_but_the_looks_stay(actions, ink, photo_path):
    old = actions.open(photo_path)
    long_ago = time.time() - 7200
    os.utime(Path(old.before).parent, (long_ago, long_ago))
    server_folder().sweep()
    with pytest.raises(InputError, match="choose it again"):
        actions.preview(old, ink)
    assert all(Path(look.preview).is_file() for look in actions.looks)


def test_what_uses_the_networks_is_handed_to_the_gpu_wrapper(style_folder, photo_path, gpu_calls):
    pipe = style_pipeline(GenerationPipeline.from_pretrained(style_folder))
    actions = CreateActions(pipe, gpu_calls, QUICK)
    actions.preview(actions.open(photo_path), StyleRequest(look=actions.looks[0]))
    list(actions.make_pack([photo_path], "x", "a"))
    assert gpu_calls.names == ["find", "draw", "find", "tune"]
