from __future__ import annotations

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from gan_space.output.provenance import read_provenance
from gan_space.pipelines.recipe import parse_recipe


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
