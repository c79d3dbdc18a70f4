"""`gan-space discover` as a shell sees it, with a tiny network."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gan_space.cli.discover import parse_keep
from gan_space.errors import InputError
from gan_space.latents.directions import Directions
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from tests.cli.running import run
from tests.pipelines.styling import make_networks


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    GenerationPipeline(make_networks()[0]).save_pretrained(folder)
    return folder


def test_sheets_are_drawn_and_named_directions_kept(model, tmp_path, capsys):
    out = tmp_path / "found"
    options = ("--model", model, "--out", out, "--count", 3, "--layers", "coarse+middle", "--seeds", "4,5")
    code, said, error = run("discover", *options, "--keep", "2=Wide face", "--keep", "3=刘海", capsys=capsys)
    assert (code, error) == (0, "") and "Wide face (wide_face)" in said and "(own)" in said
    assert Image.open(out / "sefa-1.png").size == (3 * 32, 2 * 32)
    label = read_provenance(out / "sefa-3.png")
    assert label.is_ai_made and label.recipe["amounts"] == [-2.0, 0.0, 2.0] and label.recipe["seeds"] == [4, 5]

    pipe = GenerationPipeline.from_pretrained(model)
    pipe.directions = Directions.from_pretrained(out / "directions")
    assert pipe.directions.names == ("wide_face", "own")
    assert pipe(seeds=[1], attributes={"wide_face": 1.0}).recipe[0]["attributes"] == {"wide_face": 1.0}
    code, _, error = run("discover", *options, capsys=capsys)
    assert code == 2 and "--overwrite" in error
    assert run("discover", *options, "--overwrite", "--method", "sefa", capsys=capsys)[0] == 0


def test_bad_orders_write_nothing(model, tmp_path, capsys):
    for wrong in (("--method", "magic"), ("--layers", "nowhere"), ("--keep", "9=A"), ("--keep", "1=skin tone")):
        code, _, error = run("discover", "--model", model, "--out", tmp_path / "x", *wrong, capsys=capsys)
        assert code == 2 and error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_all_faults_of_keep_are_named():
    assert parse_keep(["1=A", "2= B C "], 3) == {1: "A", 2: "B C"}
    with pytest.raises(InputError) as caught:
        parse_keep(["1=A", "1=B", "x=C", "4=D", "2"], 3)
    assert str(caught.value).count("--keep") == 4
