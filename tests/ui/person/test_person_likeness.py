"""The likeness meter: with whom a picture is compared, what is shown, and that nothing of it stays."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect

from gan_space.errors import PackError
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.likeness import Likeness
from gan_space.ui.app import build_app
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.explore.actions import ExploreActions
from gan_space.ui.i18n import load_locale
from gan_space.ui.person.actions import KEPT_PROFILES, PersonActions
from gan_space.ui.person.likeness import likeness_html
from gan_space.ui.person.request import PersonRequest
from tests.ui.person.test_person_actions import QUICK, SAMPLES, make, person_folder  # noqa: F401, a fixture
from tests.ui.person.test_person_browser import move
from tests.ui.walking import at_tab, open_tab, served, switch_language

IDENTITY = {
    "eer": 0.2,
    "eer_threshold": 0.3,
    "mean_same": 0.6,
    "mean_different": 0.1,
    "num_people_with_pairs": 5,
    "num_same": 20,
    "num_different": 200,
    "quantiles": {"shares": [0.0, 0.05, 0.5, 0.95, 1.0], "same": [-0.2, 0.1, 0.6, 0.8, 1.0]}
    | {"different": [-0.5, -0.3, 0.1, 0.5, 0.7]},
}


@pytest.fixture(scope="module")
def judged_folder(person_folder, tmp_path_factory) -> Path:  # noqa: F811
    """The model of the other tests with an identity network of random weights, and made-up measurements of it."""
    folder = tmp_path_factory.mktemp("judged") / "model"
    shutil.copytree(person_folder, folder)
    torch.manual_seed(0)
    identity = FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()
    identity.save_pretrained(folder / "identity")
    text = json.dumps({"model_sha256": weights_sha256(identity), "identity": IDENTITY})
    (folder / "identity" / "metrics.json").write_text(text)
    return folder


@pytest.fixture(scope="module")
def actions(judged_folder) -> PersonActions:
    pipe = GenerationPipeline.from_pretrained(judged_folder)
    return PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)), identity_settings=QUICK)


@pytest.fixture(scope="module")
def profile_zip(person_folder, tmp_path_factory) -> Path:  # noqa: F811
    """A profile of the same generator; made without the network, which would not know two photos of one person."""
    pipe = GenerationPipeline.from_pretrained(person_folder)
    maker = PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)), identity_settings=QUICK)
    entry = make(maker, [str(SAMPLES / "woman-lake.jpg"), str(SAMPLES / "woman-park.jpg")])[-1].entry
    return Path(shutil.copy(entry.archive, tmp_path_factory.mktemp("zip") / "me.zip"))


def test_a_random_face_is_compared_with_itself_unchanged(actions):
    assert actions.preview(PersonRequest(seed=5)).likeness is None  # nothing was changed
    moved = actions.preview(PersonRequest(seed=5, amounts=(("smile", 1.0),)))
    further = actions.preview(PersonRequest(seed=5, amounts=(("smile", 2.0),)))
    judge = actions.comparisons.judge
    plain, drawn = (actions.pipe(seeds=[5], attributes=amounts).images for amounts in (None, {"smile": 1.0}))
    expected = judge.likeness(drawn, judge.embed(plain))[0].cosine
    assert moved.likeness.cosine == pytest.approx(expected, abs=0.01)  # the app enlarges before it looks
    assert further.likeness.cosine != moved.likeness.cosine
    assert "likeness" not in moved.recipe
    assert all(one.likeness is None for one in actions.variations(PersonRequest(amounts=(("smile", 1.0),)), [1, 2]))


def test_a_photo_is_compared_with_itself_unchanged(actions):
    opened = actions.open(str(SAMPLES / "woman-lake.jpg"))
    assert actions.preview(PersonRequest(source="photo", photo=opened)).likeness is None
    request = PersonRequest(source="photo", photo=opened, amounts=(("smile", 0.5),))
    assert 0 < actions.preview(request).likeness.cosine < 1
    assert actions.file(request, "png", False).likeness is None


def test_a_portrait_is_compared_with_the_person_until_it_is_forgotten(actions, profile_zip):
    entry = actions.add_profile(str(profile_zip))
    request = PersonRequest(source="profile", profile=entry, seed=3)
    shown = actions.preview(request)
    assert -1 <= shown.likeness.cosine <= 1
    person = actions._profiles.get(entry.folder)
    assert person.embedding.shape == (2, 8) and person.embedding.any()
    actions.delete_profile(entry)
    assert not person.embedding.any() and not person.pack.anchors.any()


def test_a_profile_that_falls_out_of_memory_stays_whole_for_whoever_draws_it(actions, profile_zip):
    entry = actions.add_profile(str(profile_zip))
    with actions._profiles.using(entry.folder, pytest.fail) as person:
        for _ in range(KEPT_PROFILES):  # other visitors, while it is being drawn
            actions.add_profile(str(profile_zip))
        assert actions._profiles.get(entry.folder) is None and person.pack.anchors.any()
    assert not person.pack.anchors.any()  # overwritten as soon as nobody draws it
    assert actions.preview(PersonRequest(source="profile", profile=entry, seed=3)).path  # read from its folder again


def test_nothing_is_kept_of_a_profile_whose_folder_was_swept_away(actions, profile_zip):
    swept, entry = (actions.add_profile(str(profile_zip)) for _ in range(2))
    actions.preview(PersonRequest(source="profile", profile=swept, seed=3))
    person = actions._profiles.get(swept.folder)
    assert person.embedding.any()
    shutil.rmtree(swept.folder)
    actions.preview(PersonRequest(source="random", seed=3))
    assert actions._profiles.get(swept.folder) is None
    assert not person.embedding.any() and not person.pack.anchors.any()
    actions.delete_profile(entry)


def test_what_is_deleted_while_it_is_drawn_leaves_no_file(actions, profile_zip, monkeypatch):
    entry = actions.add_profile(str(profile_zip))
    embed = actions.comparisons.judge.embed_pack

    def embed_late(*given):
        vectors = embed(*given)
        actions.delete_profile(entry)
        return vectors

    monkeypatch.setattr(actions.comparisons.judge, "embed_pack", embed_late)
    with pytest.raises(PackError, match="no longer on the server"):
        actions.preview(PersonRequest(source="profile", profile=entry, seed=3))
    assert not [path for path in actions._files.path.rglob(f"*{entry.token}*") if path.is_file()]


def test_a_model_without_an_identity_network_has_no_meter(person_folder):  # noqa: F811
    plain = PersonActions(ExploreActions(GenerationPipeline.from_pretrained(person_folder)))
    assert plain.preview(PersonRequest(amounts=(("smile", 1.0),))).likeness is None
    assert likeness_html(None, None, "random", "en") == ""


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_words_say_what_the_number_is_worth(actions, language):
    texts, judge = load_locale(language), actions.comparisons.judge
    cosines = {"likeness.strangers": 0.0, "likeness.undecided": 0.2, "likeness.rather_alike": 0.4}
    for key, cosine in (cosines | {"likeness.alike": 0.6}).items():
        shown = likeness_html(judge.judged(cosine), judge.scale, "profile", language)
        assert f"{texts[key]} · {cosine:.2f}" in shown
        assert texts["likeness.caveat"].format(errors=20) in shown and texts["likeness.from_drawn"] in shown
    known = dataclasses.replace(judge.judged(0.6), of_drawings=0.41)
    said = texts["likeness.of_drawings"].format(cosine="0.41")
    assert said in likeness_html(known, judge.scale, "profile", language) and said not in shown
    assert texts["likeness.no_scale"] in likeness_html(Likeness(0.5), None, "photo", language)


def test_the_meter_in_a_browser(judged_folder, new_page):
    english, chinese = load_locale("en"), load_locale("zh-CN")
    with served(build_app(GenerationPipeline.from_pretrained(judged_folder))) as url:
        page = new_page(at_tab(url, "tab.person"))
        open_tab(page, "tab.person")
        expect(page.locator("#person-picture img")).to_be_visible()
        expect(page.locator("#person-likeness")).to_be_hidden()
        meter = page.locator("#person-likeness")
        move(page, "attribute-smile", 0.9)
        expect(page.locator("#person-facts")).to_contain_text("Smile +0.9")
        expect(meter).to_contain_text(english["likeness.title_random"])
        first = meter.locator("b").inner_text()
        move(page, "attribute-smile", 1.8)
        expect(meter.locator("b")).not_to_have_text(first)
        switch_language(page, "中文")
        expect(meter).to_contain_text(chinese["likeness.title_random"])
        page.context.close()  # before its server
