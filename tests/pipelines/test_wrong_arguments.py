"""Whatever a program hands to a pipeline, the answer is a picture or one of our errors, in words and at once."""

from __future__ import annotations

import io
import os
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch

from gan_space import hub
from gan_space.errors import InputError
from gan_space.looks.makeup_reference import check_strengths
from gan_space.packs.consent import Consent
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.own_portraits import PortraitSetMaker
from gan_space.pipelines.pack_fitting import read_look_pictures
from gan_space.pipelines.photo_filter import check_photos
from gan_space.portraits.choosing import parse_boxes, which_faults
from gan_space.settings import as_list, least_faults, positive_faults
from gan_space.whole_files import make_folder
from tests.pipelines.styling import PHOTO

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


@pytest.mark.parametrize("place", [1, 1.5, b"x", ["x"], True, object(), "", "x" * 5000])
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


@pytest.mark.parametrize("photos", [None, 1, 1.5, "me.jpg", {"x": 1}, np.zeros(()), np.zeros((2, 2)), io.BytesIO(b"x")])
def test_photos_of_a_person_and_of_a_look_come_as_a_list(photos):
    with pytest.raises(InputError, match="list of 1 to 100 photos"):
        check_photos(photos, None, 32)
    with pytest.raises(InputError, match="list of 1 to 100 pictures"):
        read_look_pictures(photos, None, 32)


def test_consent_is_asked_for_before_photos_are_looked_at():
    maker = PortraitSetMaker(*[None] * 7, resolution=32, model_name="", revision="")
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


@pytest.mark.parametrize("photo", [None, 1, b"bytes", {"a": 1}, np.zeros((8, 8, 3), np.uint8), np.zeros(3)])
def test_what_is_no_photo_is_one_error_and_no_list_of_photos(style_pipe, photo):
    with pytest.raises(InputError, match=f"^expected a picture of Pillow.* got {type(photo).__name__}"):
        style_pipe(photo, post_processing="film")


# Whatever holds several things is taken as a list of them, and what is one thing is none.

NUMBERS = {
    "list": lambda: [1, 2],
    "range": lambda: range(1, 3),
    "generator": lambda: (seed for seed in (1, 2)),
    "set": lambda: {1, 2},
    "names of a dict": lambda: {1: "a", 2: "b"}.keys(),
    "values of a dict": lambda: {"a": 1, "b": 2}.values(),
    "array": lambda: np.array([1, 2]),
    "tensor": lambda: torch.tensor([1, 2]),
    "list of tensors": lambda: list(torch.tensor([1, 2])),
    "list of NumPy's numbers": lambda: [np.int64(1), np.uint8(2)],
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_come_in_anything_that_holds_several(pipe, kind):
    make = NUMBERS[kind]
    assert [recipe["seed"] for recipe in pipe(seeds=make(), output_type="pt").recipe] == [1, 2]
    mixed = pipe(seeds=[3, 4], style_mixing_seeds=make(), style_mixing_layers="fine", output_type="pt").recipe
    assert [recipe["style_mixing_seed"] for recipe in mixed] == [1, 2]
    assert pipe.interpolate(make(), frames_between=0, output_type="pt").animation_recipe["seeds"] == [1, 2]
    assert pipe.direction_from_seeds(make(), [3, 4], name="fringe").direction.name == "fringe"


@pytest.mark.parametrize("one", ["12", b"12", bytearray(b"12"), {1: 2}, io.BytesIO(b"1\n2\n"), 12, Path("/x"), None])
def test_what_is_one_thing_is_no_list(one):
    assert as_list(one) is None


def test_boxes_come_in_anything_that_holds_several():
    box = (1.0, 2.0, 64.0)
    for boxes in ((one for one in [box]), {box}, {"me": box}.values(), np.array([box]), torch.tensor([box])):
        (face,) = parse_boxes(boxes)
        assert (face.x, face.y, face.size) == box


@pytest.fixture
def files(tmp_path) -> list[str]:
    for name in ("a.png", "b.png"):
        PHOTO.save(tmp_path / name)
    return [str(tmp_path / name) for name in ("a.png", "b.png")]


def test_an_opened_file_is_one_photo(style_pipe, files):
    with open(files[0], "rb") as file:
        for photo in (file, io.BytesIO(Path(files[0]).read_bytes())):
            assert len(style_pipe(photo, post_processing="film").images) == 1
    with open(files[0], encoding="latin-1") as text, pytest.raises(InputError, match="expected a picture"):
        style_pipe(text, post_processing="film")


def test_photos_come_in_anything_that_holds_several(style_pipe, files):
    for photos in (set(files), {1: files[0], 2: files[1]}.values(), np.array(files), (name for name in files)):
        assert len(style_pipe(photos, post_processing="film").images) == 2
    for photos in (set(files), dict.fromkeys(files).keys(), np.array(files), (name for name in files)):
        assert len(read_look_pictures(photos, None, 32).faces) == 2
    for photos in (set(files), dict.fromkeys(files).keys(), np.array(files), (name for name in files)):
        assert len(check_photos(photos, style_pipe.aligner, 32).photos) == 2


def test_a_set_is_made_of_photos_that_can_be_gone_through_once(monkeypatch):
    maker, seen = PortraitSetMaker(*[None] * 7, resolution=32, model_name="", revision=""), []
    monkeypatch.setattr(PortraitSetMaker, "check_own_photos", lambda self, photos, limits: seen.append(list(photos)))
    monkeypatch.setattr(
        PortraitSetMaker, "each_portrait", lambda self, photos, **options: seen.append(list(photos)) or iter(())
    )
    maker.portraits((name for name in ("a.png", "b.png")), consent=Consent("Ann", "Ann"))
    assert seen == [["a.png", "b.png"]] * 2


LAYOUTS = {
    "array": lambda codes: codes.numpy(),
    "array backwards": lambda codes: codes.numpy()[::-1].copy()[::-1],
    "big-endian array": lambda codes: codes.numpy().astype(">f4"),
    "array of float64 by columns": lambda codes: np.asfortranarray(codes.numpy().astype(np.float64)),
    "list of tensors": list,
    "list of arrays": lambda codes: list(codes.numpy()),
    "lists of numbers": lambda codes: codes.tolist(),
    "tensor with gradients": lambda codes: codes.clone().requires_grad_(),
    "list of tensors with gradients": lambda codes: [code.clone().requires_grad_() for code in codes],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_codes_are_numbers_of_any_layout(pipe, layout):
    codes = pipe(seeds=[1, 2], output_type="pt").w_plus
    assert torch.equal(pipe(w_plus=LAYOUTS[layout](codes), output_type="pt").w_plus, codes)


@pytest.mark.parametrize("wrong", [np.full((1, 8, 16), 1j), np.full((1, 8, 16), "1"), np.full((1, 8, 16), None)])
def test_what_holds_no_numbers_holds_no_codes(pipe, wrong):
    with pytest.raises(InputError, match=r"w_plus must be a tensor or an array .* of numbers"):
        pipe(w_plus=wrong)


class OwnPath:
    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return self.name


def entry_of(folder: Path):
    (found,) = [entry for entry in os.scandir(folder.parent) if entry.name == folder.name]
    return found


@pytest.mark.parametrize("kind", [str, PurePosixPath, lambda folder: OwnPath(str(folder)), entry_of])
def test_a_folder_is_named_by_any_path(pipe, tmp_path, kind):
    folder = tmp_path / "model"
    folder.mkdir()
    assert make_folder(kind(folder)) == folder
    pipe.save_pretrained(kind(folder))
    assert hub.is_folder(kind(folder)) and hub.resolve_folder(kind(folder)) == folder
    assert GenerationPipeline.from_pretrained(kind(folder)).model_name


def test_a_path_that_is_no_folder_is_named_as_it_is(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"^'{tmp_path}/file' is neither a folder nor a Hub id"):
        hub.resolve_folder(entry_of(tmp_path / "file"))
    for load in (hub.resolve_folder, GenerationPipeline.from_pretrained):
        with pytest.raises(InputError, match=f"works for Hub ids only, not for the folder {tmp_path}"):
            load(OwnPath(str(tmp_path)), revision="main")


@pytest.mark.parametrize("place", ["", OwnPath(""), OwnPath(b"x"), b"x", None])
def test_what_names_no_folder_is_refused_alike(place):
    for use in (hub.is_folder, make_folder):
        with pytest.raises(InputError, match=r"^expected .*folder.*, got "):
            use(place)


def test_a_wrong_slider_is_answered_by_those_that_work(person):
    drawn_only = {one.name for one in person.directions if not one.on_photos} - set(person.photo_sliders)
    assert drawn_only
    for transfer, named in (("picture", set(person.photo_sliders) | drawn_only), ("change", set(person.photo_sliders))):
        with pytest.raises(InputError, match="there is no slider 'beauty'; there are ") as caught:
            person.edit(PHOTO, {"beauty": 1}, transfer=transfer)
        assert set(str(caught.value).split("there are ")[1].split(", ")) == named


@pytest.mark.parametrize("wrong", [NAN, float("inf"), -1, "x", None, True])
def test_a_number_of_a_record_of_settings_is_finite(wrong):
    assert least_faults(1, {"rank": wrong}) == [f"rank must be a finite number of 1 or more, got {wrong!r}"]
    assert positive_faults({"lr": wrong}, "--") == [f"--lr must be a finite number of more than 0, got {wrong!r}"]
    assert least_faults(1, {"rank": 1}) == positive_faults({"lr": 1e-9}) == []
