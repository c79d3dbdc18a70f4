"""`/stylize` over HTTP, as programs call it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from gan_space.errors import InputError
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import PackRequest
from gan_space.ui.app import build_app

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
PHOTO, REFERENCE = SAMPLES / "woman-lake.jpg", SAMPLES / "naval-officer.jpg"


@pytest.fixture(scope="module")
def client(style_url, tmp_path_factory) -> Client:
    downloads = tmp_path_factory.mktemp("downloads")
    return Client(style_url, verbose=False, download_files=str(downloads), analytics_enabled=False)


def test_the_endpoint_is_there_with_typed_names(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert {"/generate", "/mix", "/interpolate", "/stylize"} <= set(named)
    parameters = {p["parameter_name"]: p for p in named["/stylize"]["parameters"]}
    assert parameters["consent"]["python_type"]["type"] == "bool" and not parameters["consent"]["parameter_has_default"]
    assert parameters["strength"]["python_type"]["type"] == "None | float"  # None: that of the look
    assert "labelled file" in named["/stylize"]["description"]


def test_a_pack_or_a_reference_gives_a_labelled_file(client):
    files, recipes = client.predict(photo=handle_file(PHOTO), consent=True, pack="ink", api_name="/stylize")
    assert Image.open(files[0]).size == Image.open(PHOTO).size and files[0].endswith(".png")
    label = read_provenance(files[0])
    assert label.recipe == recipes[0] and recipes[0]["pack"] == "ink" and recipes[0]["strength"] == 0.8
    files, recipes = client.predict(
        photo=handle_file(PHOTO),
        consent=True,
        reference=handle_file(REFERENCE),
        strength=0.5,
        faces="0",
        post_processing="film:0.5",
        image_format="jpeg",
        api_name="/stylize",
    )
    assert recipes[0]["post_processing"] == [["film", 0.5]] and "reference_sha256" in recipes[0]
    assert read_provenance(files[0]).is_ai_made and files[0].endswith(".jpg")


def test_a_drawn_picture_is_enlarged_as_asked(client):
    asked = {"photo": handle_file(PHOTO), "consent": True, "pack": "ink", "api_name": "/stylize"}
    answers = {upscale: client.predict(**asked, upscale=upscale) for upscale in ("auto", "network", "plain")}
    assert [answers[upscale][1][0]["upscale"] for upscale in answers] == ["network", "network", "plain"]
    assert [Image.open(files[0]).size for files, _ in answers.values()] == [Image.open(PHOTO).size] * 3


def test_the_document_tells_of_every_parameter_and_default(style_app):
    page = (Path(__file__).parents[3] / "docs" / "api-parameters.md").read_text(encoding="utf-8")
    section = page.partition("\n## Photos\n")[2].partition("\n## ")[0]
    found = re.findall(r"`(\w+)`(?: \(([^()]+)\))?[:;.]", section)
    documented = {name: json.loads(default) if default else None for name, default in found}
    parameters = style_app.get_api_info()["named_endpoints"]["/stylize"]["parameters"]
    assert documented == {p["parameter_name"]: p.get("parameter_default") for p in parameters}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"consent": False, "pack": "ink"}, "consent must be true"),
        ({"pack": "nowhere"}, "there are ink, soft"),
        ({}, "choose a look"),
        ({"pack": "ink", "faces": "every"}, "faces must be"),
        ({"pack": "ink", "strength": 7}, "strength"),
    ],
)
def test_faults_reach_the_caller(client, arguments, word):
    with pytest.raises(AppError, match=word):
        client.predict(**{"photo": handle_file(PHOTO), "consent": True, **arguments}, api_name="/stylize")


def test_files_of_the_server_cannot_be_named(client, style_folder):
    inside = str(style_folder / "packs" / "ink" / "preview.png")
    for photo in ({"path": inside}, {"path": inside, "meta": {"_type": "other"}}, {"path": 5}):
        with pytest.raises(AppError, match="photo must be an uploaded file"):
            client.predict(photo=photo, consent=True, pack="ink", api_name="/stylize")


def test_packs_of_the_environment_stand_beside_those_of_the_model(style_folder, tiny_pipe, tmp_path):
    with pytest.raises(InputError, match="takes no style packs"):
        build_app(tiny_pipe, packs=[PackRequest("ink")])
    pipe = GenerationPipeline.from_pretrained(style_folder)
    (style_folder / "packs" / "ink").rename(tmp_path / "ink")
    try:
        page = build_app(pipe, packs=[PackRequest(str(tmp_path / "ink"))])
    finally:
        (tmp_path / "ink").rename(style_folder / "packs" / "ink")
    (gallery,) = [block for block in page.blocks.values() if getattr(block, "elem_id", None) == "looks"]
    assert [item["caption"] for item in gallery.value] == ["Ink", "Soft"]
