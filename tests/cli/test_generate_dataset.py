"""`gan-space generate --num`: a data set on the command line, also one whose making was killed."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import torch

from gan_space.cli.app import main
from gan_space.cli.generate import parse_ranges
from gan_space.errors import InputError
from gan_space.latents.directions import Direction, Directions, generator_hash
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from tests.training.killing import kill_at

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A tiny model that can be asked to smile."""
    torch.manual_seed(0)
    generator = Generator(16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=2).eval()
    pipe = GenerationPipeline(generator)
    smile = Direction("smile", torch.ones(generator.num_ws, 4), safe_range=(-2, 2))
    pipe.directions = Directions((smile,), generator_hash(generator), "tiny")
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipe.save_pretrained(folder)
    return str(folder)


def generate(*arguments, capsys) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["generate", *map(str, arguments)])
    return code, *capsys.readouterr()


def load(folder: Path):
    return datasets.load_dataset("parquet", data_files=str(folder / "train-*.parquet"), split="train")


def test_a_number_of_pictures_is_a_data_set(tmp_path, model, capsys):
    out = tmp_path / "deep" / "faces"
    arguments = ("--num", 5, "--seed-start", 100, "--out", out, "--model", model, "--rows-per-file", 2)
    arguments += ("--attributes", "smile=-1..1", "--format", "jpg", "--psi", 0.5)
    code, text, err = generate(*arguments, capsys=capsys)
    assert (code, text, err) == (0, f"5 labelled pictures in 3 parquet files in {out}\n", "")
    table = load(out)
    assert table["seed"][:] == [100, 101, 102, 103, 104] and table.features["image"] == datasets.Image()
    assert table[0]["image"].format == "JPEG" and -1 <= min(table["asked_smile"]) < max(table["asked_smile"]) <= 1
    code, text, err = generate(*arguments, capsys=capsys)
    assert (code, err) == (0, "") and "5 of them from before" in text
    code, text, err = generate(*arguments, "--seed-start", 101, "--visible-label", capsys=capsys)
    assert (code, text, err.count("\n")) == (2, "", 1)
    assert "seeds: '100-104' -> '101-105'; visible_label: False -> True" in err and "psi" not in err
    assert generate(*arguments, "--seed_start", 101, "--overwrite", capsys=capsys)[0] == 0
    assert load(out)["seed"][0] == 101


def test_seeds_may_be_a_data_set_and_files_may_have_attributes(tmp_path, model, capsys):
    options = ("--seeds", "3,0-1", "--model", model, "--attributes", "smile=-1..1")
    assert generate(*options, "--out", tmp_path / "a", "--as", "parquet", capsys=capsys)[0] == 0
    assert generate(*options, "--out", tmp_path / "b", capsys=capsys)[0] == 0
    for row in load(tmp_path / "a"):
        recipe = read_provenance(tmp_path / "b" / f"seed{row['seed']:04d}.png").recipe
        assert recipe["attributes"]["smile"] == pytest.approx(row["asked_smile"], abs=1e-6)


def test_a_killed_data_set_is_continued_by_the_same_command(tmp_path, model):
    def command(folder: str) -> list[str]:
        options = ["--num", "100", "--rows-per-file", "20", "--attributes", "smile=-1..1", "--model", model]
        return ["generate", "--out", str(tmp_path / folder), *options]

    kill_at("os.rename", "train-00002-of-00005.parquet", ROOT / "gan_space" / "__main__.py", command("killed"))
    whole = list((tmp_path / "killed").glob("train-*"))
    assert len(whole) == 2 and not (tmp_path / "killed" / "README.md").exists()
    times = {file.name: file.stat().st_mtime_ns for file in whole}
    for folder in ("killed", "whole"):
        assert main(command(folder)) == 0
    contents = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("killed", "whole")]
    assert contents[0] == contents[1]
    assert all((tmp_path / "killed" / name).stat().st_mtime_ns == changed for name, changed in times.items())
    assert load(tmp_path / "killed")["seed"][:] == list(range(100))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num", "2", "--as", "zip"], "--as must be one of files, parquet"),
        (["--num", "2", "--seed-start", "4294967295"], "--seed-start must be from 0 to 4294967294 for 2"),
        (["--seeds", "1", "--seed-start", "3"], "--seed-start belongs to --num"),
        (["--num", "2", "--attributes", "smile=,age=2..1,=1,x=1,x=2"], "4 problems"),
        (["--num", "2", "--rows-per-file", "0"], "--rows-per-file must be a finite number of 1 or more"),
        (["--num", "2", "--attributes", "hair=1"], "cannot change 'hair'; it has smile"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, model, capsys, arguments, message):
    code, text, err = generate("--out", tmp_path / "x", "--model", model, *arguments, capsys=capsys)
    assert (code, text, err.count("\n")) == (2, "", 1) and message in err
    assert list(tmp_path.iterdir()) == []


def test_amounts_and_ranges_are_read():
    assert parse_ranges("smile=1, age=-1..0.5,") == {"smile": (1.0, 1.0), "age": (-1.0, 0.5)}
    assert parse_ranges("") == {}
    with pytest.raises(InputError, match="lower amount comes first"):
        parse_ranges("smile=nan")
