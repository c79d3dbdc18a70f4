"""What the buttons of "Personalised" do, with tiny random networks and the real aligner."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import Cancelled, InputError, NoFaceError, PackError
from gan_space.latents.directions import DIRECTIONS_FOLDER, Direction, Directions, generator_hash
from gan_space.output.provenance import read_provenance
from gan_space.packs.identity_tuning import IdentitySettings
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.explore.actions import ExploreActions, recipe_from_text, recipe_to_text
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.pipes import limit_layers
from gan_space.ui.person.request import PersonRequest, is_personal, is_shareable, request_of, with_step

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
QUICK = IdentitySettings(num_steps=6, rank=2, num_random=2, random_batch=1, preview_every=2)


def add_directions(folder: Path) -> None:
    """Two directions that pull on each other, as all do."""
    pipe = GenerationPipeline.from_pretrained(folder)
    torch.manual_seed(3)
    shape = (pipe.generator.num_ws, pipe.generator.config.w_dim)
    smile = Direction(
        "smile",
        torch.randn(shape),
        label={"en": "Smile", "zh-CN": "微笑"},
        group="expression",
        safe_range=(-2, 2),
        effects={"smile": 1.0, "age": 0.5},
    )
    age = Direction(
        "age",
        torch.randn(shape),
        label={"en": "Age", "zh-CN": "年龄"},
        group="person",
        safe_range=(-2, 2),
        effects={"smile": 0.0, "age": 1.0},
    )
    Directions((smile, age), generator_hash(pipe.generator)).save_pretrained(folder / DIRECTIONS_FOLDER)


@pytest.fixture(scope="session")
def person_folder(style_folder, tmp_path_factory) -> Path:
    """The model of the style tests, with directions."""
    folder = tmp_path_factory.mktemp("person") / "model"
    shutil.copytree(style_folder, folder)
    add_directions(folder)
    return folder


@pytest.fixture(scope="module")
def actions(person_folder) -> PersonActions:
    pipe = GenerationPipeline.from_pretrained(person_folder)
    return PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)), identity_settings=QUICK)


@pytest.fixture
def uploads(tmp_path) -> list[str]:
    """Photos in a folder such as gradio's."""
    (tmp_path / "cache" / "a").mkdir(parents=True)
    return [shutil.copy(SAMPLES / name, tmp_path / "cache" / "a") for name in ("woman-lake.jpg", "woman-park.jpg")]


def make(actions: PersonActions, paths: list[str]):
    return list(actions.make_profile(paths, "a woman in sample pictures", "job"))


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_random_face_is_the_pipelines_own(actions):
    shown = actions.preview(PersonRequest(seed=5, amounts=(("smile", 1.0),), truncation_psi=0.5))
    expected = actions.pipe(seeds=[5], attributes={"smile": 1.0}, truncation_psi=0.5, upscale_factor=8)
    assert np.array_equal(pixels(shown.path), np.asarray(expected.images[0]))
    assert shown.recipe == expected.recipe[0]
    assert read_provenance(shown.path).is_ai_made


def test_keep_adds_what_undoes_the_others(actions):
    shown = actions.preview(PersonRequest(amounts=(("smile", 1.0),), keep=("age",)))
    assert shown.recipe["attributes"] == pytest.approx({"smile": 1.0, "age": -0.5})
    moved = actions.preview(PersonRequest(amounts=(("smile", 1.0), ("age", 2.0)), keep=("age",)))
    assert moved.recipe["attributes"] == {"smile": 1.0, "age": 2.0}  # a slider that was moved wins over its lock


def test_layers_limit_what_attributes_change(actions):
    request = PersonRequest(seed=2, amounts=(("smile", 1.5),))
    fine = actions.preview(replace(request, layers=("fine",)))
    limited = limit_layers(actions.directions, "fine", actions.pipe.generator.num_ws)
    plain = actions.pipe(seeds=[2], output_type="pt").w_plus
    expected = actions.pipe(seeds=[2], w_plus=plain + limited.shift({"smile": 1.5}), upscale_factor=8).images[0]
    assert np.array_equal(pixels(fine.path), np.asarray(expected))
    assert fine.recipe["attribute_layers"] == "fine" and not is_shareable(fine.recipe)
    every = actions.preview(replace(request, layers=tuple(actions.groups)))
    assert "attribute_layers" not in every.recipe


def test_a_link_brings_the_settings_back(actions):
    shown = actions.preview(PersonRequest(seed=9, amounts=(("age", -1.0), ("smile", 0.5)), truncation_psi=0.6))
    recipe = recipe_from_text(recipe_to_text(shown.recipe))
    assert is_personal(recipe) and is_shareable(recipe)
    again = actions.preview(request_of(recipe))
    assert np.array_equal(pixels(again.path), pixels(shown.path))
    assert not is_personal(recipe | {"style_mixing_seed": 3})
    assert not is_personal({"seed": 3})


def test_a_photo_is_edited_at_its_own_size(actions, uploads):
    opened = actions.open(uploads[0])
    request = PersonRequest(source="photo", photo=opened, amounts=(("smile", 1.5),))
    shown, saved = actions.preview(request), actions.file(request, "png", True)
    before = pixels(opened.path)
    assert pixels(saved.path).shape == before.shape
    assert max(Image.open(shown.path).size) <= 1024
    assert (pixels(saved.path) != before).any()
    assert read_provenance(saved.path).recipe["kind"] == "attributes"
    with pytest.raises(InputError, match="no variations"):
        actions.variations(request, [1])


def test_a_photo_without_a_face_is_refused(actions, tmp_path):
    Image.new("RGB", (300, 300), "gray").save(tmp_path / "wall.png")
    with pytest.raises(NoFaceError):
        actions.preview(PersonRequest(source="photo", photo=actions.open(str(tmp_path / "wall.png"))))


def test_a_look_goes_on_top_of_a_random_face(actions):
    request = PersonRequest(seed=4, amounts=(("smile", 1.0),))
    plain = actions.preview(request)
    styled = actions.preview(replace(request, look="ink", look_weight=1.0))
    assert pixels(styled.path).shape == pixels(plain.path).shape
    assert np.abs(pixels(styled.path) - pixels(plain.path)).mean() > 1
    assert styled.recipe == plain.recipe | {"packs": [{"name": "ink", "weight": 1.0}]}
    assert is_shareable(plain.recipe) and not is_shareable(styled.recipe)
    nothing = actions.preview(replace(request, look="ink", look_weight=0.0))
    assert np.array_equal(pixels(nothing.path), pixels(plain.path))


def test_a_profile_is_made_drawn_carried_and_deleted(actions, uploads, tmp_path):
    Image.new("RGB", (300, 300), "gray").save(tmp_path / "cache" / "a" / "wall.png")
    steps = make(actions, [*uploads, str(tmp_path / "cache" / "a" / "wall.png")])
    entry = steps[-1].entry
    assert [name for name, _ in steps[-1].refused] == ["wall.png"]
    assert entry.num_photos == 2 and any(step.preview for step in steps)
    assert [step.done for step in steps if step.stage == "steps"][-1] == QUICK.num_steps

    request = PersonRequest(source="profile", profile=entry, seed=4, amounts=(("smile", 1.0),))
    drawn = actions.variations(request, [4, 5])
    assert [item.recipe["seed"] for item in drawn] == [4, 5]
    assert (pixels(drawn[0].path) != pixels(drawn[1].path)).any()
    styled = actions.preview(replace(request, look="ink", look_weight=1.0))
    assert (pixels(styled.path) != pixels(drawn[0].path)).any()
    stranger = actions.preview(replace(request, identity_strength=0.0))
    plain = actions.preview(PersonRequest(seed=4, amounts=(("smile", 1.0),)))
    assert np.abs(pixels(stranger.path) - pixels(plain.path)).max() <= 1

    carried = shutil.copy(entry.archive, tmp_path / "mine.zip")
    with zipfile.ZipFile(carried) as archive:
        names = {Path(name).name for name in archive.namelist()}
        record = json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("pack.json"))))
    assert names == {"pack.safetensors", "pack.json", "preview.png"}
    assert record["consent"]["whose_face"] == "a woman in sample pictures"

    pack = actions._profiles.get(entry.folder).pack
    cached = tmp_path / "cache" / "b"
    cached.mkdir()
    copy = shutil.copy(drawn[0].path, cached)  # as gradio copies what it shows
    deleted = actions.delete_profile(entry, [tmp_path / "cache"])
    assert set(deleted.files) == names and deleted.uploads == 3 and not deleted.left
    gone = [entry.archive, entry.preview, copy, *(item.path for item in (*drawn, styled, stranger)), *uploads]
    assert not any(Path(path).exists() for path in (*gone, entry.folder))
    assert Path(plain.path).exists()  # what has nothing to do with the profile stays
    assert not pack.anchors.any() and not any(part.any() for part in pack.delta.parameters())
    with pytest.raises(PackError, match="no longer on the server"):
        actions.preview(request)

    again = actions.add_profile(str(carried))
    redrawn = actions.preview(replace(request, profile=again))
    assert redrawn.recipe == drawn[0].recipe
    actions.delete_profile(again)


def test_photos_without_a_face_make_no_profile(actions, tmp_path):
    Image.new("RGB", (300, 300), "gray").save(tmp_path / "wall.png")
    steps = make(actions, [str(tmp_path / "wall.png")])
    assert all(step.entry is None for step in steps)
    assert len(steps[-1].refused) == 1


def test_stopping_leaves_nothing(actions, uploads):
    steps = actions.make_profile(uploads, "me", "job")
    seen = [next(steps)]
    while seen[-1].preview is None:
        seen.append(next(steps))
    before = {path.name for path in actions._files.path.glob("*/*")}
    assert any(name.startswith("fitting-") for name in before)
    actions.stop_making("job")
    with pytest.raises(Cancelled):
        list(steps)
    left = {path.name for path in actions._files.path.glob("*/*")}
    assert not any(name.startswith("fitting-") for name in left)


def test_a_model_with_directions_alone_has_random_faces(person_folder):
    pipe = GenerationPipeline.from_pretrained(person_folder)
    actions = PersonActions(ExploreActions(pipe))
    assert actions.is_useful and actions.sources == ["random"]
    pipe.directions = None
    assert not PersonActions(ExploreActions(pipe)).is_useful


def test_a_zip_of_something_else_is_refused(actions, tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(PackError, match="no zip"):
        actions.add_profile(str(path))


@pytest.mark.parametrize("drawn_on_the_way", [(), (0.2,), (0.1, 0.2, 0.3)])
def test_moves_of_one_slider_are_one_step_however_many_were_drawn(drawn_on_the_way):
    start = PersonRequest(amounts=(("age", 1.0),))
    history = [start]
    for amount in (*drawn_on_the_way, 0.5):
        history = with_step(history, replace(start, amounts=(("age", 1.0), ("smile", amount))))
    assert [dict(step.amounts).get("smile") for step in history] == [None, 0.5]

    other = replace(history[-1], amounts=(("age", 1.5), ("smile", 0.5)))
    assert with_step(history, other) == [*history, other]
    assert with_step(history, start) == [start], "the slider came back to where it was"


def test_each_face_and_each_slider_is_a_step_of_its_own():
    history: list[PersonRequest] = []
    steps = [PersonRequest(seed=seed) for seed in (1, 2, 3)]
    steps += [PersonRequest(seed=3, truncation_psi=psi) for psi in (0.6, 0.5)]
    steps += [PersonRequest(seed=3, truncation_psi=0.5, amounts=(("smile", 1.0),))]
    for step in [*steps, steps[-1]]:
        history = with_step(history, step)
    assert [(step.seed, step.truncation_psi, step.amounts) for step in history] == [
        (1, 0.7, ()),
        (2, 0.7, ()),
        (3, 0.7, ()),
        (3, 0.5, ()),
        (3, 0.5, (("smile", 1.0),)),
    ]
