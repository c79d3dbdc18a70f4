from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from gan_space.errors import ConfigError
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.recipe import parse_recipe
from gan_space.ui.app import build_app, launch_options

API_PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"  # in the document's examples


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", API_PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def client(app_url, tmp_path_factory) -> Client:
    downloads = tmp_path_factory.mktemp("downloads")
    return Client(app_url, verbose=False, download_files=str(downloads), analytics_enabled=False)


def test_the_endpoints_have_typed_names(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/generate", "/mix", "/interpolate"}
    types = {p["parameter_name"]: p["python_type"]["type"] for p in named["/generate"]["parameters"]}
    assert types["seeds"] == "list[int]" and types["truncation_psi"] == "float" and types["visible_label"] == "bool"


def test_generate_gives_labelled_files(client, tiny_pipe):
    files, recipes = client.predict(seeds=[1, 2], truncation_psi=0.5, upscale_factor=2, api_name="/generate")
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


def test_the_document_names_every_endpoint_with_its_parameters_and_defaults(app):
    named = app.get_api_info()["named_endpoints"]
    documented = {}
    for name, parameters in re.findall(r"^\| `(/\w+)` \| (.+?) \|", API_PAGE, re.MULTILINE):
        documented[name] = {
            parameter: json.loads(default) if default else None
            for parameter, default in re.findall(r"`(\w+)`(?: \((.+?)\))?", parameters)
        }
    assert documented == {
        name: {p["parameter_name"]: p.get("parameter_default") for p in info["parameters"]}
        for name, info in named.items()
    }
    assert all(info["description"] for info in named.values())


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_examples_run(app_url, tmp_path, monkeypatch, number):
    code = blocks("python")[number]
    assert ADDRESS in code
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code.replace(ADDRESS, app_url), f"docs/api.md, example {number}", "exec"), names)
    if "files" in names:
        assert all(read_provenance(file).is_ai_made for file in names["files"])


def test_the_javascript_examples_ask_for_what_there_is(app):
    named = app.get_api_info()["named_endpoints"]
    calls = [call for code in blocks("js") for call in re.findall(r'predict\("(/\w+)", \{ (.+?) \}\)', code)]
    assert {name for name, _ in calls} == named.keys()
    for name, arguments in calls:
        given = set(re.findall(r"(\w+): ", arguments))
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


def test_the_endpoints_are_tools_over_mcp(tiny_pipe):
    pytest.importorskip("mcp", reason="pip install 'gradio[mcp]' to try the tools")
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    page = build_app(tiny_pipe)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options(host="127.0.0.1", mcp=True))

    async def talk() -> tuple[list, object, object]:
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            good = await session.call_tool("generate", {"seeds": [1]})
            bad = await session.call_tool("generate", {"seeds": []})
            return tools, good, bad

    try:
        tools, good, bad = asyncio.run(talk())
    finally:
        page.close()
    assert {tool.name for tool in tools} == {"generate", "mix", "interpolate"}
    (generate,) = [tool for tool in tools if tool.name == "generate"]
    assert "1 to 16" in generate.inputSchema["properties"]["seeds"]["description"]
    assert not good.isError and "portrait-1.png" in good.content[0].text
    assert bad.isError and "1 to 16 seeds" in bad.content[0].text
