"""The scripts that make packs, run on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from gan_space.packs.style import StylePack, base_hash
from training.packs import make_defaults, train_style

pytestmark = pytest.mark.slow

FACES = str(Path(__file__).resolve().parents[3] / "tests" / "data" / "fairface64.parquet")
QUICK = [
    *("--faces", FACES, "--num_faces", "6", "--tune.num_steps", "2", "--tune.batch_size", "2", "--tune.rank", "2"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    generator = Generator(
        32, z_dim=8, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=1, use_noise=False
    )
    generator.save_pretrained(folder / "generator")
    Encoder.for_generator(generator, 16, width=8, num_blocks=1, hidden=16).save_pretrained(folder / "encoder")
    Discriminator(32, channel_base=256, channel_max=16).save_pretrained(folder / "discriminator")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "GenerationPipeline"}))
    return folder


@pytest.fixture(scope="module")
def paintings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "old_master"
    folder.mkdir()
    for number, colour in enumerate(("sienna", "umber")):
        Image.new("RGB", (50, 40), {"umber": "#635147"}.get(colour, colour)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 cut short")
    return folder


def test_a_look_becomes_a_pack_with_a_labelled_preview(model, tmp_path):
    folder = tmp_path / "duotone"
    assert train_style.main(["--model", str(model), "--look", "duotone", "--output_dir", str(folder), *QUICK]) == 0
    pack = StylePack.from_pretrained(folder)
    assert pack.id == "duotone" and pack.name["zh-CN"] == "双色调"
    assert (pack.scope, pack.transfer, pack.base_model) == ("photo", "change", "tiny")
    generator, encoder = (cls.from_pretrained(model / cls.__name__.lower()) for cls in (Generator, Encoder))
    pack.check_base(base_hash(generator, encoder), "tiny")
    pack.check_fits(generator)
    assert pack.training["source"] == "look duotone" and pack.training["num_faces"] == 6
    assert str(tmp_path) not in (folder / "pack.json").read_text(encoding="utf-8")
    label = read_provenance(folder / "preview.png")
    assert label.is_ai_made and label.recipe["pack"] == "duotone"


def test_pictures_become_a_pack_and_broken_ones_are_listed(model, paintings, tmp_path, capsys):
    folder = tmp_path / "umber"
    arguments = [
        "--model", str(model), "--pictures", str(paintings), "--framing", "middle", "--output_dir", str(folder),
        "--name_zh", "赭石", "--credit", "Rijksmuseum", "--license", "public domain", "--tune.num_steps", "2",
        "--tune.batch_size", "2", "--tune.num_faces", "4",
    ]  # fmt: skip
    assert train_style.main(arguments) == 0
    pack = StylePack.from_pretrained(folder)
    assert pack.name == {"en": "Umber", "zh-CN": "赭石"} and pack.credit == "Rijksmuseum"
    assert pack.training["source"] == "2 pictures"
    assert "left out: broken.jpg" in capsys.readouterr().err


def test_a_pack_starts_from_an_earlier_one(model, tmp_path):
    first, second = tmp_path / "first" / "duotone", tmp_path / "second" / "duotone"
    make = ["--model", str(model), "--looks", "duotone", *QUICK]
    assert make_defaults.main([*make, "--output_dir", str(first.parent), "--tune.lr", "0.05"]) == 0
    still = [*make, "--output_dir", str(second.parent), "--tune.lr", "1e-9", "--init_from", str(first.parent)]
    assert make_defaults.main(still) == 0
    earlier, later = (StylePack.from_pretrained(folder) for folder in (first, second))
    assert later.training["started_from"] == {"id": "duotone", "base_hash": earlier.base_hash}
    tensors = [
        [*pack.delta.to_tensors().values(), pack.w_offset, pack.state_change.weight, pack.state_change.bias]
        for pack in (earlier, later)
    ]
    assert any(tensor.any() for tensor in tensors[0][-3:])
    for one, other in zip(*tensors, strict=True):
        torch.testing.assert_close(other, one, atol=2e-3, rtol=2e-3)
    third = ["--model", str(model), "--look", "duotone", "--output_dir", str(tmp_path / "duotone")]
    assert train_style.main([*third, *QUICK, "--tune.rank", "3", "--init_from", str(first)]) == 2
    assert not (tmp_path / "duotone").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give either --pictures or --look"),
        (["--look", "duotone"], "--look needs --faces"),
        (["--look", "anime", *QUICK], "there is no look 'anime'"),
        (["--look", "duotone", "--scope", "hair", *QUICK], "--scope must be one of face, photo"),
        (["--pictures", "none.jpg", "--init_from", "pack"], "--init_from is for --look"),
        (["--pictures", "none.jpg"], "no aligner to find faces with; use --framing middle"),
        (["--pictures", "none.jpg", "--framing", "middle"], "no picture can be used"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(model, tmp_path, capsys, arguments, words):
    code = train_style.main(["--model", str(model), "--output_dir", str(tmp_path / "pack"), *arguments])
    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()


def test_a_model_without_an_encoder_is_refused(model, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "model_index.json").write_bytes((model / "model_index.json").read_bytes())
    arguments = ["--model", str(bare), "--look", "pencil", "--output_dir", str(tmp_path / "pencil"), *QUICK]
    assert train_style.main(arguments) == 2
    assert "the model bare has no encoder" in capsys.readouterr().err


def test_all_packs_in_one_go_and_finished_ones_are_kept(model, paintings, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    arguments = [
        "--model", str(model), "--output_dir", str(tmp_path / "packs"), "--looks", "pencil", "film-tone", *QUICK,
        "--sheet", str(sheet), "--sheet_split", "train",
    ]  # fmt: skip
    assert make_defaults.main(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "packs").iterdir()) == ["film-tone", "pencil"]
    assert Image.open(sheet).size == (8 * 32, 4 * 32)
    assert read_provenance(sheet).is_ai_made
    times = [(tmp_path / "packs" / name / "pack.json").stat().st_mtime_ns for name in ("film-tone", "pencil")]
    (tmp_path / "packs" / "pencil" / "preview.png").unlink()
    capsys.readouterr()
    assert make_defaults.main(arguments) == 0
    assert "film-tone: already there" in capsys.readouterr().out
    again = [(tmp_path / "packs" / name / "pack.json").stat().st_mtime_ns for name in ("film-tone", "pencil")]
    assert again[0] == times[0] and again[1] > times[1]
    StylePack.from_pretrained(tmp_path / "packs" / "pencil")
