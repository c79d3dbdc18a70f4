"""On the page, photos are moved by the mesh, and drawn faces by the networks, with the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_space.faces.shape import SLIDERS
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.explore.actions import ExploreActions
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.request import PersonRequest

PHOTO = Path(__file__).resolve().parents[2] / "data" / "samples" / "woman-lake.jpg"


@pytest.fixture(scope="module")
def actions() -> PersonActions:
    pipe = GenerationPipeline.from_pretrained()
    return PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)))


def test_sliders_of_the_mesh_are_those_that_drawn_faces_lack(actions):
    assert "face_width" in actions.shapes and "smile" not in actions.shapes and "smile" in actions.moved_on_photos
    assert set(actions.shapes) | set(actions.moved_on_photos) == {*SLIDERS, "age"}
    assert set(actions.hidden_on_photos) == {"male", "glasses", "yaw"}


def test_both_tabs_draw_with_the_same_networks(actions):
    for name in ("encoder", "aligner", "landmarker", "generator"):
        assert actions.person.components[name] is actions.style.pipe.components[name], name


def test_a_photo_is_moved_and_a_random_face_is_not(actions):
    amounts = (("face_width", -1.0), ("smile", 1.0), ("yaw", 1.0))
    photo = actions.open(str(PHOTO))
    shown = actions.preview(PersonRequest(source="photo", photo=photo, amounts=amounts))
    assert shown.recipe["attributes"] == {"smile": 1.0, "face_width": -1.0}
    shown = actions.preview(PersonRequest(source="random", amounts=amounts))
    assert shown.recipe["attributes"] == {"smile": 1.0, "yaw": 1.0}
