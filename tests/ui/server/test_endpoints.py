from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from gan_space.errors import ConfigError
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.recipe import parse_recipe
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.ui.app import build_app, launch_options
from tests.test_defaults import defaults_of
from tests.ui.person.test_person_actions import SAMPLES, person_folder  # noqa: F401, a fixture

DOCS = Path(__file__).parents[3] / "docs"
API_PAGE, PARAMETERS_PAGE = ((DOCS / name).read_text(encoding="utf-8") for name in ("api.md", "api-parameters.md"))
ADDRESS = "http://127.0.0.1:7860"  # in the document's examples


EVERY = {"/generate", "/mix", "/interpolate", "/stylize", "/personalize"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", API_PAGE, re.DOTALL)


def serve(app: gr.Blocks, **options) -> str:
    """Start the real server on a free port; returns its address."""
    settings = {**launch_options(host="127.0.0.1", **options), "server_port": None}
    return app.launch(prevent_thread_lock=True, quiet=True, **settings)[1].rstrip("/")


@pytest.fixture(scope="module")
def whole_app(person_folder) -> gr.Blocks:  # noqa: F811
    """The app of a model that has everything."""
    app = build_app(GenerationPipeline.from_pretrained(person_folder))
    yield app
    app.close()


@pytest.fixture(scope="module")
def whole_url(whole_app) -> str:
    return serve(whole_app)


@pytest.fixture(scope="module")
def client(app_url, tmp_path_factory) -> Client:
    downloads = tmp_path_factory.mktemp("downloads")
    return Client(app_url, verbose=False, download_files=str(downloads), analytics_enabled=False)


def test_the_endpoints_have_typed_names(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/generate", "/mix", "/interpolate"}
    types = {p["parameter_name"]: p["python_type"]["type"] for p in named["/generate"]["parameters"]}
    assert types["seeds"] == "list[int]" and types["truncation_psi"] == "float" and types["visible_label"] == "bool"


def test_every_endpoint_returns_two_values(whole_app):
    named = whole_app.get_api_info()["named_endpoints"]
    for name, info in named.items():
        assert [one["python_type"]["type"] for one in info["returns"]] == ["list[dict(str, Any)]"] * 2, name


def test_generate_gives_labelled_files(client, tiny_pipe):
    options = {"truncation_psi": 0.5, "upscale_factor": 2}
    files, recipes = client.predict(seeds=[1, 2], visible_label=False, **options, api_name="/generate")
    marked, _ = client.predict(seeds=[1], **options, api_name="/generate")
    assert np.abs(np.asarray(Image.open(marked[0])).astype(int) - np.asarray(Image.open(files[0]))).max() > 50
    assert len(files) == len(recipes) == 2
    pictures = tiny_pipe(seeds=[1, 2], truncation_psi=0.5, upscale_factor=2).images
    for file, recipe, picture in zip(files, recipes, pictures, strict=True):
        label = read_provenance(file)
        assert label.is_ai_made and label.recipe == recipe
        assert np.abs(np.asarray(Image.open(file)).astype(int) - np.asarray(picture)).max() <= 2


def test_mix_and_interpolate(client):
    files, recipes = client.predict(seed=1, style_seed=2, layers="coarse", api_name="/mix")
    assert parse_recipe(recipes[0]).style_mixing_layers == "coarse" and read_provenance(files[0]).is_ai_made
    files, recipes = client.predict(seeds=[1, 2], frames_between=2, api_name="/interpolate")
    with Image.open(files[0]) as picture:
        assert picture.format == "WEBP" and picture.n_frames == 6
    assert read_provenance(files[0]).recipe == recipes[0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"seeds": []}, "1 to 16 seeds"),
        ({"seeds": [1], "truncation_psi": 50}, "truncation_psi"),
        ({"seeds": [-4]}, "-4"),
        ({"seeds": [1], "upscale_factor": 1000}, "upscale_factor"),
    ],
)
def test_faults_reach_the_caller(client, arguments, word):
    with pytest.raises(AppError, match=word):
        client.predict(**arguments, api_name="/generate")


def test_a_class_can_be_asked_for(client, tmp_path):
    generator = Generator(16, z_dim=8, w_dim=8, c_dim=3, channel_base=128, channel_max=8, num_mapping_layers=2)
    with torch.no_grad():
        generator.mapping.embed.weight.mul_(5)
    app = build_app(GenerationPipeline(generator))
    try:
        classes = Client(serve(app), verbose=False, download_files=str(tmp_path), analytics_enabled=False)
        pictures = []
        for label in (None, 0, 2):
            files, recipes = classes.predict(seeds=[1], label=label, api_name="/generate")
            assert recipes[0]["label"] == (label or 0)
            pictures.append(np.asarray(Image.open(files[0])))
        assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])
        _, recipes = classes.predict(seed=1, style_seed=2, label=2, api_name="/mix")
        assert recipes[0]["label"] == 2
        _, recipes = classes.predict(seeds=[1, 2], frames_between=1, label=1, api_name="/interpolate")
        assert recipes[0]["label"] == 1
        with pytest.raises(AppError, match="labels must be from 0 to 2, got 3"):
            classes.predict(seeds=[1], label=3, api_name="/generate")
    finally:
        app.close()
    with pytest.raises(AppError, match="this network has no classes"):
        client.predict(seeds=[1], label=1, api_name="/generate")


def test_a_look_of_the_first_page_over_a_photo(whole_app, whole_url, tmp_path):
    client = Client(whole_url, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
    Image.new("RGB", (64, 48), (90, 120, 150)).save(tmp_path / "sky.png")
    face, sky = (
        {"photo": handle_file(str(file)), "consent": True, "api_name": "/stylize"}
        for file in (SAMPLES / "woman-lake.jpg", tmp_path / "sky.png")
    )
    files, recipes = client.predict(look="golden-hour", **face)
    assert (recipes[0]["look"], recipes[0]["strength"]) == ("golden-hour", 0.8) and "golden-hour" in Path(files[0]).name
    assert read_provenance(files[0]).recipe == recipes[0]
    _, recipes = client.predict(look="pencil", **sky)  # needs no face, and says how strong it is
    assert recipes[0]["strength"] == 1.0
    (tmp_path / "mine.json").write_text("{}")
    for arguments, words in (
        ({"look": str(tmp_path / "mine.json")}, "there is no look .* here; there are "),
        ({"look": "golden-hour", "pack": "ink"}, "a look stands alone: leave out pack and reference"),
        ({"look": "golden-hour", "scope": "photo", "layers": "fine"}, "a look stands alone: leave out layers, scope"),
        ({}, "choose a look"),
    ):
        with pytest.raises(AppError, match=words):
            client.predict(**arguments, **face)
    with pytest.raises(AppError, match="no face"):
        client.predict(pack="ink", **sky)


def documented_parameters(text: str, pattern: str) -> dict[str, object]:
    return {name: json.loads(default) if default else None for name, default in re.findall(pattern, text)}


def test_the_document_names_every_endpoint_with_its_parameters_and_defaults(whole_app):
    named = whole_app.get_api_info()["named_endpoints"]
    assert named.keys() == EVERY
    documented = {}
    for name, cell in re.findall(r"^\| `(/\w+)` \| (.+?) \|", API_PAGE, re.MULTILINE):
        if section := re.search(r"\[(\w+)\]\(api-parameters\.md#", cell):
            text = PARAMETERS_PAGE.partition(f"\n## {section[1]}\n")[2].partition("\n## ")[0]
            documented[name] = documented_parameters(text, r"`(\w+)`(?: \(([^()]+)\))?[:;.]")
        else:
            documented[name] = documented_parameters(cell, r"`(\w+)`(?: \((.+?)\))?")
    # This model has no landmarker; the endpoint is called in tests/ui/person/test_own_portraits.py.
    assert "consent" in documented.pop("/portraits")
    assert documented == {
        name: {p["parameter_name"]: p.get("parameter_default") for p in info["parameters"]}
        for name, info in named.items()
    }
    assert all(info["description"] for info in named.values())


MADE_OF = {
    "/generate": GenerationPipeline.__call__,
    "/mix": GenerationPipeline.__call__,
    "/interpolate": GenerationPipeline.interpolate,
    "/stylize": StyleTransferPipeline.__call__,
    "/personalize": PersonalizationPipeline.__call__,
}
# Where another default is meant.
OTHER_WISHES = {
    ("/interpolate", "frames_between"): "as on the page, where smooth counts more than small files",
    ("/stylize", "faces"): "a word for what None is in Python",
}


@pytest.mark.parametrize("endpoint", MADE_OF)
def test_an_endpoint_begins_where_python_does(whole_app, endpoint):
    parameters = whole_app.get_api_info()["named_endpoints"][endpoint]["parameters"]
    ours = {p["parameter_name"]: p["parameter_default"] for p in parameters if p["parameter_has_default"]}
    theirs = defaults_of(MADE_OF[endpoint])
    shared = {name for name in ours.keys() & theirs.keys() if (endpoint, name) not in OTHER_WISHES}
    assert shared, "nothing to compare"
    assert {name: ours[name] or None for name in shared} == {name: theirs[name] for name in shared}


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_examples_run(whole_url, tmp_path, monkeypatch, number):
    code = blocks("python")[number].replace('pack="ink-wash"', 'pack="ink"')  # what the model of the test has
    assert ADDRESS in code
    shutil.copy(SAMPLES / "woman-lake.jpg", tmp_path / "me.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code.replace(ADDRESS, whole_url), f"docs/api.md, example {number}", "exec"), names)
    if "files" in names:
        assert all(read_provenance(file).is_ai_made for file in names["files"])


def test_the_javascript_examples_ask_for_what_there_is(whole_app):
    named = whole_app.get_api_info()["named_endpoints"]
    calls = [call for code in blocks("js") for call in re.findall(r'predict\("(/\w+)", \{ (.+?) \}\)', code)]
    assert {name for name, _ in calls} == named.keys()
    for name, arguments in calls:
        given = set(re.findall(r"(\w+): ", re.sub(r"\{.*?\}", "", arguments)))
        known = {p["parameter_name"]: p["parameter_has_default"] for p in named[name]["parameters"]}
        assert given <= known.keys() and {key for key in known if not known[key]} <= given, name


def test_where_to_listen_is_checked():
    assert launch_options()["server_name"] is None and not launch_options()["share"]
    options = launch_options(host="0.0.0.0", port=8080)
    assert (options["server_name"], options["server_port"]) == ("0.0.0.0", 8080)
    with pytest.raises(ConfigError, match="port must be from 1 to 65535, got 99999"):
        launch_options(port=99999)


def test_mcp_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ConfigError, match=r"pip install 'gradio\[mcp\]'"):
        launch_options(mcp=True)


@pytest.mark.slow
def test_the_endpoints_are_tools_over_mcp(person_folder):  # noqa: F811
    pytest.importorskip("mcp", reason="pip install 'gradio[mcp]' to try the tools")
    import httpx
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    app = build_app(GenerationPipeline.from_pretrained(person_folder))
    url = serve(app, mcp=True)

    async def talk() -> tuple[list, list]:
        async with (
            streamablehttp_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            answers = [
                await session.call_tool(name, arguments)
                for name, arguments in (
                    ("generate", {"seeds": [1]}),
                    ("personalize", {"seeds": [2], "attributes": {"smile": 1}}),
                    ("stylize", {"photo": uploaded, "consent": True, "pack": "ink"}),
                    ("generate", {"seeds": []}),
                    ("stylize", {"photo": elsewhere, "consent": True, "pack": "ink"}),
                    ("stylize", {"photo": {**uploaded, "path": f"{url}/a.jpg"}, "consent": True, "pack": "ink"}),
                    ("generate", {"seeds": [elsewhere]}),
                )
            ]
            return tools, answers

    try:
        photo = SAMPLES / "woman-lake.jpg"
        (path,) = httpx.post(f"{url}/gradio_api/upload", files={"files": ("me.jpg", photo.read_bytes())}).json()
        uploaded, elsewhere = ({"path": str(p), "meta": {"_type": "gradio.FileData"}} for p in (path, photo))
        tools, answers = asyncio.run(talk())
    finally:
        app.close()
    assert {f"/{tool.name}" for tool in tools} == EVERY
    for tool in tools:
        undescribed = [name for name, about in tool.inputSchema["properties"].items() if not about.get("description")]
        assert tool.description and not undescribed, (tool.name, undescribed)
    (generate,) = [tool for tool in tools if tool.name == "generate"]
    assert "1 to 16" in generate.inputSchema["properties"]["seeds"]["description"]
    texts = [answer.content[0].text for answer in answers]
    assert [answer.isError for answer in answers] == [False] * 3 + [True] * 4, texts
    assert "portrait-1.png" in texts[0] and '"smile"' in texts[1].replace("'", '"') and ".png" in texts[2]
    assert "1 to 16 seeds" in texts[3] and all("must be an uploaded file" in text for text in texts[4:6])
    assert "/gradio/" not in texts[6], "a file of the server was copied to where it can be fetched"
