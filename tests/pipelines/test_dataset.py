"""Data sets of generated portraits: what stands in them, that they are whole, and that they are continued."""

from __future__ import annotations

import json
from io import BytesIO

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError
from gan_space.latents.directions import Direction, Directions
from gan_space.models.analyzer import Analyzer
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.dataset import amounts_of_seed, ranges_text, write_dataset
from gan_space.pipelines.generation import GenerationPipeline
from training.data import open_dataset


@pytest.fixture(scope="module")
def folder(tiny_generator, tmp_path_factory):
    """A model folder with directions and an analyzer."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipe = GenerationPipeline(tiny_generator)
    shape = (tiny_generator.num_ws, tiny_generator.config.w_dim)
    vectors = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    items = [
        Direction(name, vector, safe_range=(-2, 2)) for name, vector in zip(("smile", "age"), vectors, strict=True)
    ]
    pipe.directions = Directions(tuple(items), weights_sha256(tiny_generator), "tiny")
    pipe.save_pretrained(folder)
    torch.manual_seed(0)
    Analyzer(resolution=32, width=4, features_dim=8, embedding_dim=4).eval().save_pretrained(folder / "analyzer")
    return folder


@pytest.fixture
def pipe(folder) -> GenerationPipeline:
    pipe = GenerationPipeline.from_pretrained(folder)
    pipe.generator.compute_dtype = torch.float32
    return pipe


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_hold_labelled_pictures_with_what_was_asked_and_measured(tmp_path, pipe):
    seen = []
    report = write_dataset(
        pipe,
        tmp_path / "faces",
        range(10, 17),
        attributes={"smile": (-1, 1), "age": 0.5},
        truncation_psi=0.5,
        rows_per_file=4,
        batch_size=3,
        callback=lambda done, total: seen.append((done, total)),
    )
    assert (report.num_rows, report.num_new, seen[-1]) == (7, 7, (7, 7))
    files = [f"train-0000{number}-of-00002.parquet" for number in range(2)]
    assert names(tmp_path / "faces") == ["README.md", "generate.json", *files]
    table = datasets.load_dataset("parquet", data_files=[str(file) for file in report.files], split="train")
    assert table.features["image"] == datasets.Image() and len(table) == 7
    raw = table.cast_column("image", datasets.Image(decode=False))
    analyzer = Analyzer.from_pretrained(pipe.source.folder, subfolder="analyzer").eval()
    smiles = []
    for number, line in enumerate(raw):
        assert line["seed"] == 10 + number
        assert (line["model"], line["revision"], line["truncation_psi"]) == (pipe.model_name, pipe.revision, 0.5)
        recipe, provenance = json.loads(line["recipe"]), read_provenance(line["image"]["bytes"])
        assert provenance.is_ai_made and provenance.recipe == recipe and recipe["seed"] == line["seed"]
        assert recipe["attributes"] == {
            "age": 0.5,
            "smile": pytest.approx(line["asked_smile"], abs=1e-6),
        }
        drawn = pipe.generate_from_recipe(recipe)
        picture = np.asarray(Image.open(BytesIO(line["image"]["bytes"]))).astype(int)
        assert np.abs(picture - np.asarray(drawn.images[0]).astype(int)).max() <= 1
        read = analyzer(pipe.generate_from_recipe(recipe, output_type="pt").images.clamp(-1, 1)).attributes
        assert set(read) == {key.removeprefix("measured_") for key in line if key.startswith("measured_")}
        assert line["measured_age"] == pytest.approx(read["age"].item(), rel=1e-3)
        smiles.append(line["asked_smile"])
    assert len(set(smiles)) == 7 and -1 <= min(smiles) < 0 < max(smiles) <= 1


def test_it_can_be_trained_on_and_loaded_by_its_folder(tmp_path, pipe):
    write_dataset(pipe, tmp_path / "faces", [5, 0, 1], rows_per_file=2, image_format="jpg")
    dataset = open_dataset(str(tmp_path / "faces"), 16, label_column="measured_age")
    assert len(dataset) == 3 and dataset[0][0].shape == (3, 16, 16) and dataset.labels.c_dim == 1
    table = datasets.load_dataset(str(tmp_path / "faces"), split="train")
    assert table["seed"][:] == [5, 0, 1] and table[0]["image"].size == (32, 32)
    streamed = datasets.load_dataset(str(tmp_path / "faces"), split="train", streaming=True)
    assert next(iter(streamed))["image"].format == "JPEG"


@pytest.mark.parametrize("cut", ["first", "last", "damaged", "card"])
def test_the_same_call_completes_what_is_missing_bit_for_bit(tmp_path, pipe, cut):
    options = dict(seeds=range(7), attributes={"smile": (-1, 1)}, rows_per_file=3, batch_size=2)
    write_dataset(pipe, tmp_path / "whole", **options)
    report = write_dataset(pipe, tmp_path / "cut", **options)
    missing = {"first": 3, "last": 1, "damaged": 3, "card": 0}[cut]
    victim = {"first": 0, "last": 2, "damaged": 1}.get(cut)
    if cut == "damaged":
        report.files[victim].write_bytes(report.files[victim].read_bytes()[:-100])
    elif cut == "card":
        (tmp_path / "cut" / "README.md").unlink()
    else:
        report.files[victim].unlink()
    (tmp_path / "cut" / ".train-00001-of-00003.parquet.1.partial").write_bytes(b"PAR1")  # of a process that was killed
    seen = []
    again = write_dataset(pipe, tmp_path / "cut", **options, callback=lambda done, total: seen.append(done))
    assert (again.num_new, seen[-1], seen == sorted(seen)) == (missing, 7, True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert write_dataset(pipe, tmp_path / "cut", **options).num_new == 0


def test_other_settings_are_refused_with_the_difference(tmp_path, pipe, tiny_generator):
    options = dict(seeds=range(4), attributes={"smile": (-1, 1)})
    write_dataset(pipe, tmp_path / "faces", **options)
    before = contents(tmp_path / "faces")
    with pytest.raises(InputError) as refused:
        write_dataset(pipe, tmp_path / "faces", range(5), attributes={"smile": 1}, truncation_psi=0.6)
    for line in ("seeds: '0-3' -> '0-4'", "truncation_psi: 0.7 -> 0.6", "{'smile': [-1.0, 1.0]} -> {'smile': [1.0, 1"):
        assert line in str(refused.value)
    assert "image_format" not in str(refused.value)
    torch.manual_seed(9)
    other = Generator(resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=2).eval()
    with pytest.raises(InputError, match="generator_sha256"):
        write_dataset(GenerationPipeline(other), tmp_path / "faces", range(4))
    assert contents(tmp_path / "faces") == before
    write_dataset(pipe, tmp_path / "faces", range(2), overwrite=True)
    assert names(tmp_path / "faces") == ["README.md", "generate.json", "train-00000-of-00001.parquet"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no data set of ours"):
        write_dataset(pipe, tmp_path / "other", range(2), overwrite=True)
    assert names(tmp_path / "other") == ["mine.txt"]


def test_one_folder_one_writer(tmp_path, pipe):
    folder = tmp_path / "faces"
    refused = []

    def try_another(done: int, total: int) -> None:
        for seeds in (range(2), range(3)):
            with pytest.raises(InputError, match="another run is working in") as error:
                write_dataset(pipe, folder, seeds, overwrite=True)
            refused.append(str(error.value))

    write_dataset(pipe, folder, range(2), rows_per_file=1, callback=try_another)
    assert len(refused) == 4 and "choose another folder" in refused[0]
    files = [f"train-0000{number}-of-00002.parquet" for number in range(2)]
    assert names(folder) == ["README.md", "generate.json", *files]
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".lock").write_text("process 1 on elsewhere")
    assert write_dataset(pipe, tmp_path / "killed", range(2)).num_new == 2


def test_what_is_finished_is_reported_where_nothing_can_be_written(tmp_path, pipe):
    folder = tmp_path / "faces"
    write_dataset(pipe, folder, range(3), rows_per_file=2)
    before, seen = folder.stat().st_mtime_ns, []  # changes with every name that comes or goes, of a lock too
    again = write_dataset(pipe, folder, range(3), rows_per_file=2, callback=lambda *done: seen.append(done))
    assert (again.num_rows, again.num_new, len(again.files), seen[-1]) == (3, 0, 2, (3, 3))
    assert folder.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="other settings"):
        write_dataset(pipe, folder, range(4), rows_per_file=2)
    assert folder.stat().st_mtime_ns == before


def test_a_batch_size_may_change_and_attributes_come_in_any_order(tmp_path, pipe):
    write_dataset(pipe, tmp_path / "a", range(4), attributes={"smile": 1, "age": (0, 1)}, batch_size=4)
    again = write_dataset(pipe, tmp_path / "a", range(4), attributes={"age": (0.0, 1.0), "smile": 1}, batch_size=1)
    assert again.num_new == 0


def test_faults_are_told_at_once_and_before_anything_is_written(tmp_path, pipe, tiny_generator):
    with pytest.raises(InputError) as error:
        write_dataset(
            pipe,
            tmp_path / "faces",
            [1, 1],
            attributes={"smile": (-9, 1), "hair": 1, "age": (1, -1)},
            truncation_psi=3,
            image_format="bmp",
            rows_per_file=0,
            label=2,
        )
    for part in ("seeds must differ", "smile must be a number", "cannot change 'hair'", "'age' needs an amount"):
        assert part in str(error.value)
    for part in ("truncation_psi", "image_format", "rows_per_file", "no classes"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="no directions"):
        write_dataset(GenerationPipeline(tiny_generator), tmp_path / "faces", range(2), attributes={"smile": 1})
    assert not (tmp_path / "faces").exists()


def test_a_network_in_memory_has_no_analyzer_and_classes_have_a_column(tmp_path):
    torch.manual_seed(0)
    generator = Generator(16, z_dim=4, w_dim=4, c_dim=3, channel_base=64, channel_max=4, num_mapping_layers=2).eval()
    report = write_dataset(GenerationPipeline(generator), tmp_path / "faces", range(2), label=1, noise_mode="random")
    assert not [name for name in report.columns if name.startswith(("measured_", "asked_"))]
    table = datasets.load_dataset("parquet", data_files=[str(report.files[0])], split="train")
    assert table["class_label"][:] == [1, 1] and json.loads(table[0]["recipe"])["label"] == 1
    card = (tmp_path / "faces" / "README.md").read_text()
    assert "a model in memory" in card and "--label 1" in card and "analyzer" not in card


def test_amounts_follow_from_seed_and_name_alone():
    ranges = {"smile": (-1.0, 1.0), "age": (0.0, 2.0)}
    both = [amounts_of_seed(seed, ranges) for seed in range(200)]
    assert [one["age"] for one in both] == [amounts_of_seed(seed, {"age": (0.0, 2.0)})["age"] for seed in range(200)]
    smiles, ages = (np.array([one[name] for one in both]) for name in ("smile", "age"))
    assert smiles.min() < -0.9 and smiles.max() > 0.9 and abs(smiles.mean()) < 0.15
    assert abs(np.corrcoef(smiles, ages)[0, 1]) < 0.2
    faces = np.array([np.random.RandomState(seed).randn() for seed in range(200)])
    assert abs(np.corrcoef(smiles, faces)[0, 1]) < 0.2


def test_seeds_are_written_as_ranges():
    assert ranges_text(range(10_000)) == ranges_text(list(range(10_000))) == "0-9999"
    assert ranges_text(range(7, 8)) == "7" and ranges_text([5, 0, 1, 2, 9]) == "5,0-2,9"
    assert ranges_text(range(0, 6, 2)) == "0,2,4"
