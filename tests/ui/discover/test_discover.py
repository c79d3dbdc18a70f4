"""The tab "New sliders", on a generator that came with nothing else, and in a real browser."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.errors import InputError
from gan_space.models.analyzer import Analyzer
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.discover.actions import DiscoverActions
from gan_space.ui.explore.actions import ExploreActions
from gan_space.ui.i18n import load_locale
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.own_directions import MAX_OWN
from gan_space.ui.person.request import PersonRequest, is_shareable
from tests.ui.person.test_person_actions import SAMPLES, person_folder  # noqa: F401, a fixture
from tests.ui.person.test_person_browser import move, save
from tests.ui.walking import (
    DESK,
    PHONE,
    expect_changed,
    expect_no_text_of,
    expect_to_fit,
    open_tab,
    switch_language,
    turn,
)

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")


@pytest.fixture(scope="module")
def actions(tiny_pipe) -> DiscoverActions:
    return DiscoverActions(ExploreActions(tiny_pipe))


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_sheets_are_labelled_and_show_less_and_more(actions):
    found = actions.find("ganspace", ["coarse", "middle"], 2)
    assert found[0].layers == tuple(range(7))
    sheet = actions.sheet(found[0], 3, 2.0)
    label = read_provenance(sheet.path)
    assert label.is_ai_made and label.recipe["amounts"] == [-2.0, 0.0, 2.0] and label.recipe["seeds"] == [3, 4]
    picture = pixels(sheet.path)
    third = picture.shape[1] // 3
    turned = pixels(actions.sheet(dataclasses.replace(found[0], vector=-found[0].vector), 3, 2.0).path)
    # Turned round, less and more change places, and the middle stays; the edges of cells mix when they are enlarged.
    assert np.abs(picture[:, third + 8 : 2 * third - 8] - turned[:, third + 8 : 2 * third - 8]).mean() < 1
    assert np.abs(picture[:, 8 : third - 8] - turned[:, 2 * third + 8 : 3 * third - 8]).mean() < 1
    assert np.abs(picture[:, 8 : third - 8] - turned[:, 8 : third - 8]).mean() > 1
    with pytest.raises(InputError, match="at least one group"):
        actions.find("sefa", [], 2)
    with pytest.raises(InputError, match="method must be"):
        actions.find("magic", ["coarse"], 99)


def test_marks_become_a_slider(actions):
    faces = [*actions.faces(0), *actions.faces(20)]
    assert len({face.recipe["seed"] for face in faces}) == 40
    marks = {face.recipe["seed"]: 1 if number % 2 else -1 for number, face in enumerate(faces)}
    fitted = actions.from_marks(marks, ["coarse", "middle", "fine"])
    own = actions.keep((), fitted.direction, "Something", "marks", accuracy=fitted.accuracy)
    assert own[0].name == "something" and own[0].accuracy == fitted.accuracy
    assert not own[0].direction.effects  # no analyzer, so nothing was measured
    with pytest.raises(InputError, match="at least 2 faces"):
        actions.from_marks({1: 1, 2: 1, 3: -1, 4: 0}, ["coarse"])


def test_own_sliders_are_drawn_with_and_never_linked(actions, tiny_pipe):
    person = PersonActions(ExploreActions(tiny_pipe))
    own = actions.keep((), actions.find("sefa", ["coarse"], 1)[0], "Shape", "sefa", turned=True)
    direction = own[0].direction
    request = PersonRequest(seed=5, amounts=(("shape", 1.5),), own=(direction,))
    shown = person.preview(request)
    expected = tiny_pipe.with_directions([direction])(seeds=[5], attributes={"shape": 1.5}, upscale_factor=8).images[0]
    assert np.array_equal(pixels(shown.path), np.asarray(expected))
    assert shown.recipe["own_directions"]["shape"]["label"] == "Shape" and not is_shareable(shown.recipe)
    assert person.shelf.get("random", (), (direction,)) is person.shelf.get("random", (), (direction,))
    fine = person.preview(dataclasses.replace(request, layers=("fine",)))
    plain = person.preview(PersonRequest(seed=5))
    assert np.array_equal(pixels(fine.path), pixels(plain.path))  # nothing of it lies in the fine layers
    assert "own_directions" not in plain.recipe


def test_own_sliders_change_photos_and_keep_company_with_the_models_own(person_folder):  # noqa: F811
    pipe = GenerationPipeline.from_pretrained(person_folder)
    person = PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)))
    finder = DiscoverActions(ExploreActions(pipe))
    own = finder.keep((), finder.find("ganspace", ["coarse", "middle"], 1)[0], "Smile", "ganspace")
    assert own[0].name == "smile_2"  # the model has a smile
    opened = person.open(str(SAMPLES / "woman-lake.jpg"))
    amounts = (("smile_2", 2.0),)
    request = PersonRequest(source="photo", photo=opened, amounts=amounts, keep=("age",), own=(own[0].direction,))
    shown = person.preview(request)
    assert list(shown.recipe["own_directions"]) == ["smile_2"]
    assert shown.recipe["attributes"] == {"smile_2": 2.0}  # what it does to age is not known, so nothing is undone
    assert (pixels(shown.path) != pixels(person.preview(dataclasses.replace(request, amounts=())).path)).any()
    both = dataclasses.replace(request, amounts=(*amounts, ("smile", 1.0)))
    assert person.preview(both).recipe["attributes"] == pytest.approx({"smile": 1.0, "age": -0.5, "smile_2": 2.0})


def test_an_analyzer_says_what_else_a_direction_changes(tiny_pipe):
    torch.manual_seed(0)
    analyzer = Analyzer(resolution=32, width=4, features_dim=16, embedding_dim=8).eval()
    identity = FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()
    actions = DiscoverActions(ExploreActions(tiny_pipe), analyzer, identity)
    own = actions.keep((), actions.find("sefa", ["coarse"], 1)[0], "Shape", "sefa")
    assert set(own[0].direction.effects) == set(analyzer.config.attributes)
    assert own[0].skin_tone is not None and own[0].direction.identity > 0


def test_names_stay_apart_and_some_are_refused(actions):
    (found,) = actions.find("sefa", ["coarse"], 1)
    own = actions.keep(actions.keep((), found, "Hair", "sefa"), found, "Hair", "sefa")
    assert [one.name for one in own] == ["hair", "hair_2"]
    for text in ("", "lighter skin", "美白"):
        with pytest.raises(InputError):
            actions.keep((), found, text, "sefa")
    many = own
    while len(many) < MAX_OWN:
        many = actions.keep(many, found, "Hair", "sefa")
    with pytest.raises(InputError, match="room"):
        actions.keep(many, found, "Hair", "sefa")


def test_a_zip_brings_them_back_to_the_same_model_only(actions, tmp_path):
    own = actions.keep((), actions.find("ganspace", ["fine"], 1)[0], "光", "ganspace", accuracy=0.75)
    archive = actions.archive(own)
    with zipfile.ZipFile(archive) as content:
        assert sorted(content.namelist()) == ["directions/directions.json", "directions/directions.safetensors"]
    (again,) = actions.bring((), archive)
    assert again.origin == "file" and again.accuracy == 0.75 and again.direction.text("en") == "光"
    assert torch.equal(again.direction.vector, own[0].direction.vector)
    with pytest.raises(InputError, match="named own already"):
        actions.bring(own, archive)
    with pytest.raises(InputError, match="no directions to save"):
        actions.archive(())
    torch.manual_seed(9)
    other = Generator(resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=2)
    with pytest.raises(InputError, match="nothing in another network"):
        DiscoverActions(ExploreActions(GenerationPipeline(other.eval()))).bring((), archive)
    (tmp_path / "x.zip").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no zip of directions"):
        actions.bring((), str(tmp_path / "x.zip"))
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(damaged, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".json"):
                record = json.loads(data)
                record["directions"][0]["label"] = {"en": "skin tone"}
                data = json.dumps(record).encode()
            target.writestr(name, data)
    with pytest.raises(InputError, match="race or skin tone"):
        actions.bring((), str(damaged))


def test_a_generator_with_classes_takes_part():
    torch.manual_seed(0)
    size = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "num_mapping_layers": 2}
    pipe = GenerationPipeline(Generator(resolution=16, c_dim=3, **size).eval())
    actions = DiscoverActions(ExploreActions(pipe))
    own = actions.keep((), actions.find("sefa", ["coarse"], 1)[0], "Shape", "sefa")
    request = PersonRequest(seed=1, amounts=(("shape", 1.0),), own=(own[0].direction,))
    assert PersonActions(ExploreActions(pipe)).preview(request).recipe["label"] == 0
    build_app(pipe)


# In the browser


@pytest.fixture
def used_page(kept_page, app_url) -> Page:
    """A page that tests use one after another."""
    page = kept_page(app_url, first="#recipe-link")  # the first tab has greeted
    open_tab(page, "tab.discover")
    return page


def test_a_direction_is_found_named_used_saved_and_brought_back(used_page, tmp_path):
    page = used_page
    page.locator("#discover-search").click()
    sheets = page.locator("#discover-found .thumbnail-item")
    expect(sheets).to_have_count(6)
    sheets.nth(2).click()
    strip = page.locator("#discover-strip img")
    expect(strip).to_be_visible()
    before = strip.get_attribute("src")
    page.locator("#discover-turn input").check()
    expect_changed(strip, before)
    page.locator("#discover-keep").click()
    expect(page.get_by_text(ENGLISH["error.no_slider_name"]).first).to_be_visible()
    page.locator("#discover-name input, #discover-name textarea").first.fill("Chin")
    page.locator("#discover-keep").click()
    expect(page.locator("#discover-list li")).to_contain_text("Chin")
    expect(page.locator("#discover-list li")).to_contain_text(ENGLISH["discover.not_measured"])
    archive = save(page, "#discover-archive", tmp_path)
    assert zipfile.is_zipfile(archive)

    open_tab(page, "tab.person")
    picture = page.locator("#person-picture img")
    expect(picture).to_be_visible()
    expect(page.locator("#own-attribute-0")).to_contain_text("Chin")
    before = picture.get_attribute("src")
    move(page, "own-attribute-0", 0.9)
    expect(picture).not_to_have_attribute("src", before)
    expect(page.locator("#person-facts")).to_contain_text("Chin +0.9")
    expect(page.locator("#person-link")).to_have_count(0)
    page.locator("#person-undo").click()
    expect(page.locator("#own-attribute-0 input[type=number]")).to_have_value("0")

    open_tab(page, "tab.discover")
    page.locator("#discover-remove").click()
    expect(page.locator("#discover-list")).to_contain_text(ENGLISH["discover.none"])
    with page.expect_file_chooser() as chooser:
        page.locator("#discover-bring").click()
    chooser.value.set_files(str(archive))
    expect(page.locator("#discover-list li")).to_contain_text("Chin")
    expect(page.locator("#discover-list li")).to_contain_text(ENGLISH["discover.origin_file"])


def test_faces_are_sorted(used_page):
    page = used_page
    page.locator("#discover-method label", has_text=ENGLISH["discover.marks"]).click()
    faces = page.locator("#discover-faces .thumbnail-item")
    expect(faces).to_have_count(20)
    page.locator("#discover-fit").click()
    expect(page.get_by_text(ENGLISH["discover.too_few"]).first).to_be_visible()
    for number in range(4):  # each counts, however fast they come
        faces.nth(number).click()
    for number in range(4):
        expect(faces.nth(number)).to_contain_text(ENGLISH["discover.more"])
    for number in (1, 3):
        faces.nth(number).click()
        expect(faces.nth(number)).to_contain_text(ENGLISH["discover.less"])
    expect(page.locator("#discover-marked")).to_contain_text(ENGLISH["discover.marked"].format(more=2, less=2))
    page.locator("#discover-fit").click()
    expect(page.locator("#discover-trust")).to_contain_text("50 is chance")
    expect(page.locator("#discover-strip img")).to_be_visible()
    page.locator("#discover-more-faces").click()
    expect(faces).to_have_count(40)
    assert Path(page.locator("#discover-faces img").first.get_attribute("src")).suffix == ".png"


def test_no_phone_scrolls_sideways_and_the_switch_changes_every_text(used_page):
    page = used_page
    page.locator("#discover-method label", has_text=ENGLISH["discover.sefa"]).click()
    page.locator("#discover-search").click()
    page.locator("#discover-found .thumbnail-item").first.click()
    expect(page.locator("#discover-strip img")).to_be_visible()
    for texts in (ENGLISH, CHINESE):
        if texts is CHINESE:
            switch_language(page, "中文")
            expect(page.locator("#discover-faces .thumbnail-item").nth(0)).to_contain_text(CHINESE["discover.more"])
            expect_no_text_of(page, ENGLISH)
        turn(page, PHONE)
        for method, part in (("discover.sefa", "#discover-search"), ("discover.marks", "#discover-faces img")):
            page.locator("#discover-method label", has_text=texts[method]).click()
            expect(page.locator(part).first).to_be_visible()
            expect_to_fit(page, method)
        turn(page, DESK)
