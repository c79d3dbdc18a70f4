"""Portraits from a visitor's photos: made with consent, kept for the visit and deleted with it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import gradio as gr
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from benchmarks.server import Server
from gan_space.errors import Cancelled, InputError
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.explore.actions import ExploreActions
from gan_space.ui.i18n import Texts
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.events import PersonTab
from gan_space.ui.person.own_portraits import photos_of
from gan_space.ui.person.own_profiles import ProfileEntry
from gan_space.ui.server.folder import server_folder
from tests.ui.server.test_server import assert_is_a_sentence, refusal
from tests.ui.walking import at_tab, bring_files, open_tab, served

PHOTO = Path(__file__).resolve().parents[2] / "data" / "samples" / "woman-lake.jpg"
QUICK = {"num": 2, "looks": [], "age": 0.0}


@pytest.fixture(scope="module")
def pipe() -> GenerationPipeline:
    return GenerationPipeline.from_pretrained()


@pytest.fixture(scope="module")
def actions(pipe) -> PersonActions:
    return PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)))


@pytest.fixture
def sent(tmp_path) -> str:
    """A photo in a folder such as gradio's."""
    (tmp_path / "cache" / "a").mkdir(parents=True)
    return shutil.copy(PHOTO, tmp_path / "cache" / "a")


def traces(actions: PersonActions) -> list[Path]:
    return [path for path in actions._files.path.glob("*/*") if path.is_file()]


def test_a_set_is_labelled_zipped_and_gone_when_it_is_deleted(actions, sent, tmp_path):
    *_, last, made = actions.make_portraits([sent], "me", "visit", **QUICK)
    assert len(last.shown) == len(made.shown) == 2 and not last.archive
    assert all(read_provenance(one.path).recipe == one.recipe for one in made.shown)
    assert zipfile.ZipFile(made.archive).namelist() == ["portrait01.jpg", "portrait02.jpg"]
    copies = [shutil.copy(path, tmp_path / "cache" / "a") for path in (made.shown[0].path, made.archive)]
    actions.delete_portraits(made, [tmp_path / "cache"])
    gone = [sent, made.archive, *copies, *(one.path for one in made.shown)]
    assert not any(Path(path).exists() for path in gone) and not traces(actions)


def test_the_next_set_of_the_same_photos_keeps_them(actions, sent, tmp_path):
    *_, made = actions.make_portraits([sent], "me", "visit", **QUICK)
    actions.delete_portraits(made, [tmp_path / "cache"], photos=False)
    assert Path(sent).exists() and not traces(actions)
    outside = shutil.copy(PHOTO, tmp_path)  # what lies elsewhere was never sent by a visitor
    *_, made = actions.make_portraits([outside], "me", "visit", **QUICK)
    actions.delete_portraits(made, [tmp_path / "cache"])
    assert Path(outside).exists()


def test_the_end_of_a_visit_deletes_portraits_and_photos(actions):
    sent = shutil.copy(PHOTO, get_upload_folder())
    with gr.Blocks():
        tab = PersonTab(actions, Texts(), gr.Textbox())
    *_, made = actions.make_portraits([sent], "me", "visit", **QUICK)
    tab.memory.portraits.delete_callback(made)  # gradio calls it when the visit is over
    assert not Path(sent).exists() and not traces(actions)


def test_portraits_of_a_profile_go_with_it(actions, sent, tmp_path):
    entry = ProfileEntry(str(tmp_path / "none"), "", "", "0123abcd", "me", 1, (sent, str(tmp_path / "gone.jpg")))
    assert photos_of(entry) == [sent] and photos_of(None) == []
    *_, made = actions.make_portraits(photos_of(entry), entry.whose_face, "visit", token=entry.token, **QUICK)
    deleted = actions.delete_profile(entry, [tmp_path / "cache"])
    assert deleted.pictures == 3 and not deleted.left  # two portraits and the zip
    assert not Path(made.archive).exists() and not Path(sent).exists()


def test_a_set_ends_with_what_could_be_made(actions, sent, tmp_path):
    same = {"num": 16, "looks": [], "frames": ["photo"], "expression": 0.0, "age": 0.0}
    *_, made = actions.make_portraits([sent], "me", "visit", **same)
    assert 1 <= len(made.shown) < made.total and "ask for fewer" in str(made.fault)
    with zipfile.ZipFile(made.archive) as archive:
        assert len(archive.namelist()) == len(made.shown)
    actions.delete_portraits(made, [tmp_path / "cache"])
    assert not traces(actions)


def test_a_set_that_is_stopped_or_fails_leaves_nothing(actions, sent):
    steps = actions.make_portraits([sent], "me", "visit", **QUICK)
    next(steps)
    actions.stop_making("visit")
    with pytest.raises(Cancelled):
        list(steps)
    assert not traces(actions)
    with pytest.raises(InputError, match="whose_face"):
        list(actions.make_portraits([sent], " ", "visit", **QUICK))
    with pytest.raises(InputError, match="frames must be"):
        list(actions.make_portraits([sent], "me", "visit", frames=["oval"]))
    assert not traces(actions)


@pytest.fixture(scope="module")
def url(pipe) -> str:
    with served(build_app(pipe)) as url:
        yield url


@pytest.mark.slow
def test_programs_need_consent_and_get_labelled_files(url, tmp_path):
    client = Client(url, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    photos = [handle_file(str(PHOTO))]
    with pytest.raises(AppError, match="consent must be true"):
        client.predict(photos, num=1, api_name="/portraits")
    with pytest.raises(AppError, match="frames must be some of"):
        client.predict(photos, consent=True, frames=["oval"], api_name="/portraits")
    files, recipes = client.predict(photos, consent=True, num=2, looks=[], frames=["4x5"], api_name="/portraits")
    assert len(files) == 2 and {recipe["frame"] for recipe in recipes} == {"4x5"}
    found = read_provenance(files[0]["path"] if isinstance(files[0], dict) else files[0])
    assert found.is_ai_made and found.recipe == recipes[0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("photos", ([], None, 5, ["me.jpg"], [{"path": "/etc/hostname"}], [{}])),
        ("consent", (False, None, "true", 1)),
        ("whose_face", ("", 5, None, "x" * 5000)),
        ("num", (0, -1, 1.5, "many", None, 10**6)),
        ("seed", (-1, 2**32, "one", 0.5)),
        ("looks", (["no such look"], [5], "evening-glam", ["../look.json"], {})),
        ("frames", (["oval"], [5], [[]], "wide")),
        ("attributes", ({"smile": "much"}, {"smile": 99}, {"unheard": 1}, {"smile": None}, {"smile": True}, [1], 5)),
        ("expression", (-1, 99, "x", None)),
        ("age", (-1, 99, "x", None)),
        ("image_format", ("gif", 5, None)),
        ("visible_label", ("yes", 2, None)),
    ],
)
def test_wrong_values_get_a_sentence(url, name, values):
    server = Server(url, 0, server_folder().path)
    for value in values:
        right = {"photos": [server.upload("me.jpg", PHOTO.read_bytes())], "consent": True, "num": 1, "looks": []}
        assert_is_a_sentence(refusal(server, "/portraits", right | {name: value}))


def test_a_visitor_makes_sees_and_deletes_portraits(url, new_page):
    page = new_page(at_tab(url, "tab.person"))
    open_tab(page, "tab.person", "en-US")
    page.locator("#person-source label", has_text="profile").click()
    page.locator("#mine-start").click()
    expect(page.locator(".toast-body")).to_contain_text("Choose the photos first")
    bring_files(page, "#profile-photos", PHOTO)
    page.locator("#profile-whose input, #profile-whose textarea").first.fill("a free photo")
    page.locator("#profile-agreed input").check()
    page.locator("#mine-count input[type=number]").fill("2")
    page.locator("#mine-start").click()
    expect(page.locator("#mine-progress")).to_contain_text("2 portraits")
    expect(page.locator("#mine-gallery img").nth(1)).to_be_visible()
    address = page.locator("#mine-gallery img").first.get_attribute("src")
    assert read_provenance(page.request.get(address).body()).recipe["kind"] == "portrait from a photo"
    page.locator("#mine-delete").click()
    expect(page.locator("#mine-progress")).to_contain_text("deleted")
    expect(page.locator("#mine-gallery")).to_be_hidden()
    assert page.request.get(address).status != 200  # gradio's copy is gone too
