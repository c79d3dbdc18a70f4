"""Whatever a program hands to a pipeline, the answer is a picture or one of our errors, in words and at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_space import hub
from gan_space.errors import InputError
from gan_space.looks.makeup_reference import check_strengths
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.own_portraits import PortraitSetMaker
from gan_space.pipelines.pack_fitting import read_look_pictures
from gan_space.pipelines.photo_filter import check_photos
from gan_space.portraits.choosing import parse_boxes, which_faults

NAN = float("nan")
STRANGE = {
    "text": "x",
    "bytes": b"x",
    "half": 1.5,
    "nan": NAN,
    "dict": {"x": 1},
    "list of None": [None],
    "array": np.zeros(3),
    "empty array": np.array([]),
    "scalar tensor": torch.tensor(NAN),
    "object": object(),
    "path": Path("/nowhere/x.png"),
    "function": len,
    "complex": 3 + 4j,
}
ARGUMENTS = (
    *("seeds", "num_images", "truncation_psi", "truncation_cutoff", "truncation", "noise_mode", "w_plus"),
    *("attributes", "labels", "rejection_sampling", "upscale_factor", "batch_size", "output_type"),
)
OF_INTERPOLATION = (
    *("seeds", "frames_between", "loop", "truncation_psi", "truncation", "noise_mode", "attributes", "label"),
    *("upscale_factor", "batch_size", "output_type"),
)


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("kind", STRANGE)
def test_drawing_refuses_strange_values_in_words(pipe, name, kind):
    value = STRANGE[kind]
    if name == "truncation_psi" and kind == "half":
        pytest.skip("a psi that draws")
    given = {"seeds": [1]} if name not in ("seeds", "num_images", "w_plus") else {}
    with pytest.raises(InputError, match=name) as caught:
        pipe(**{**given, name: value})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", OF_INTERPOLATION)
@pytest.mark.parametrize("kind", STRANGE)
def test_interpolation_refuses_strange_values_in_words(pipe, name, kind):
    if name == "truncation_psi" and kind == "half":
        pytest.skip("a psi that draws")
    with pytest.raises(InputError, match=name):
        pipe.interpolate(**{"seeds": [1, 2], "frames_between": 0, name: STRANGE[kind]})


@pytest.mark.parametrize("wrong", [1.5, "x", {"x": 1}, [None]])
def test_style_mixing_refuses_strange_seeds(pipe, wrong):
    with pytest.raises(InputError, match="style_mixing_seeds must be"):
        pipe(seeds=[1], style_mixing_seeds=wrong, style_mixing_layers="fine")


@pytest.mark.parametrize("number", [NAN, float("inf")])
def test_codes_that_are_not_finite_draw_nothing(pipe, number):
    codes = pipe(seeds=[1]).w_plus
    codes[0, 0, 0] = number
    with pytest.raises(InputError, match="w_plus must hold finite numbers"):
        pipe(w_plus=codes)


@pytest.mark.parametrize("side", ["more", "less"])
@pytest.mark.parametrize("wrong", [1, "x", [1.5, 2], None])
def test_marked_faces_are_seeds(pipe, side, wrong):
    with pytest.raises(InputError, match=f"{side} must be"):
        pipe.direction_from_seeds(**{"more": [1, 2], "less": [3, 4], side: wrong}, name="fringe")


@pytest.mark.parametrize("place", [1, 1.5, b"x", ["x"], True, object(), "x" * 5000])
def test_a_model_is_named_by_text_or_a_path(place):
    with pytest.raises(InputError, match="folder"):
        GenerationPipeline.from_pretrained(place)


def test_a_model_is_held_in_a_dtype_and_shared_by_a_pipeline():
    with pytest.raises(InputError, match=r"torch_dtype must be a dtype such as torch\.float32, got 'half'"):
        GenerationPipeline.from_pretrained(torch_dtype="half")
    with pytest.raises(InputError, match="one of gan_space's pipelines, got None"):
        GenerationPipeline.from_pipe(None)


@pytest.mark.parametrize("place", [None, 1, b"x", "", "file/inside", "zero\0"])
def test_a_model_is_saved_into_a_folder_or_not_at_all(pipe, place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="folder"):
        pipe.save_pretrained(tmp_path / place if place == "file/inside" else place)


@pytest.mark.parametrize(
    "wrong", [{"repo_id": 1}, {"repo_id": "x"}, {"tag": "a b"}, {"tag": 1}, {"parent_commit": "1"}]
)
def test_where_to_push_is_checked_before_anything_is_drawn(pipe, wrong, monkeypatch):
    monkeypatch.setattr(hub, "upload", lambda *args, **options: pytest.fail("it came as far as the upload"))
    monkeypatch.setattr(type(pipe), "__call__", lambda *args, **options: pytest.fail("pictures were drawn for it"))
    with pytest.raises(InputError, match=r"Hub id|tag|commit"):
        pipe.push_to_hub(**{"repo_id": "user/name", **wrong})


@pytest.mark.parametrize("photos", [None, 1, 1.5, "me.jpg", {"x": 1}, np.zeros(()), np.zeros((2, 2))])
def test_photos_of_a_person_and_of_a_look_come_as_a_list(photos):
    with pytest.raises(InputError, match="list of 1 to 100 photos"):
        check_photos(photos, None, 32)
    with pytest.raises(InputError, match="list of 1 to 100 pictures"):
        read_look_pictures(photos, None, 32)


def test_consent_is_asked_for_before_photos_are_looked_at():
    maker = PortraitSetMaker(*[None] * 6, resolution=32, model_name="", revision="")
    with pytest.raises(InputError, match="record of consent"):
        maker.portraits(["/nowhere.jpg"], consent=None)


@pytest.mark.parametrize(
    "boxes", [1, "x", [1], [(1, 2)], [(1, 2, NAN)], [(NAN, 2, 64)], [(1, 2, 64, float("inf"))], []]
)
def test_boxes_are_finite_numbers(boxes):
    with pytest.raises(InputError, match="box"):
        parse_boxes(boxes)


@pytest.mark.parametrize("kind", STRANGE)
def test_faces_and_shares_of_make_up_are_named(kind):
    assert which_faults(STRANGE[kind])
    with pytest.raises(InputError):
        check_strengths(STRANGE[kind])


@pytest.mark.parametrize("photo", [None, 1, b"bytes", {"a": 1}, np.zeros((8, 8, 3), np.uint8)])
def test_what_is_no_photo_is_one_error_and_no_list_of_photos(style_pipe, photo):
    with pytest.raises(InputError, match=f"^expected a picture of Pillow.* got {type(photo).__name__}"):
        style_pipe(photo, post_processing="film")
