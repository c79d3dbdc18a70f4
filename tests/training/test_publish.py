"""Train a tiny model, push it, load it; and what happens when the Hub does not take it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from gan_space import GenerationPipeline
from gan_space import hub as transfer
from gan_space.output.provenance import read_provenance
from tests.hub_server import READ_TOKEN, WRITE_TOKEN, HubServer
from tests.training.in_process import train_script
from training.publish import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FACES = ROOT / "tests" / "data" / "fairface64.parquet"
CREDIT = "Trained on FairFace (K. Kärkkäinen & J. Joo), CC BY 4.0"
TRAIN = [
    *(sys.executable, "training/train.py", "--preset", "tiny"),
    *shlex.split(
        "--resolution 16 --z_dim 8 --w_dim 8 --channel_base 128 --channel_max 8 --batch_size 8 --total_kimg 0.016 "
        "--checkpoint_kimg 0.016 --sample_kimg 1 --eval_kimg 0.016 --eval_images 16 --model_name tiny-faces "
        "--data_license CC-BY-4.0"
    ),
    *("--data_credit", CREDIT),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run whose data lie in a folder that nobody needs to know of."""
    folder = tmp_path_factory.mktemp("alice")
    shutil.copy(FACES, folder / "faces.parquet")
    with train_script() as start:
        data = ["--dataset_name", str(folder / "faces.parquet"), "--output_dir", str(folder / "run")]
        assert start([*TRAIN, *data]).returncode == 0
    return folder / "run"


@pytest.fixture
def export(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained / "export", tmp_path / "export"))


def on_the_hub(hub: HubServer) -> dict[str, bytes]:
    files = hub.repository("user/tiny").commits[-1].files
    return {path: blob.data for path, blob in files.items() if path != ".gitattributes"}


def test_an_export_is_whole_and_tells_nothing_of_this_machine(trained):
    export = trained / "export"
    names = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
    grids = {"samples/seeds-0-63-psi-0.7.png", "samples/seeds-0-63-psi-1.0.png"}
    assert names >= grids | {"README.md", "metadata.json", "training.json", "metrics.json", "model_index.json"}
    assert not (trained / "export.partial").exists()
    assert all(read_provenance(export / name).is_ai_made for name in grids)
    card = (export / "README.md").read_text(encoding="utf-8")
    for part in (
        "license: cc-by-4.0",
        "K. Kärkkäinen &amp; J. Joo",
        "faces.parquet",
        "# tiny-faces",
        "kid_random_conv",
    ):
        assert part in card, part
    record = json.loads((export / "training.json").read_text(encoding="utf-8"))
    assert record["images_seen"] == 16 and record["hardware"]["device"] == "cpu"
    for name in names:
        assert str(trained.parent).encode() not in (export / name).read_bytes(), name


def test_a_model_is_pushed_and_loads_by_id(hub, export, tmp_path, monkeypatch, capsys):
    """In a fresh process, too: tests/pipelines/test_loading_hub.py."""
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    push = ["--folder", str(export), "--hub_model_id", "user/tiny", "--private", "--tag", "v1"]
    assert main(push) == 0
    repository = hub.repository("user/tiny")
    assert repository.private and repository.tags == {"v1": repository.commits[-1].oid}
    assert f"pushed to {hub.url}/user/tiny at commit {repository.commits[-1].oid}, tag v1" in capsys.readouterr().out
    assert 'from_pretrained("user/tiny")' in on_the_hub(hub)["README.md"].decode()
    pipe = GenerationPipeline.from_pretrained("user/tiny", "v1", token=READ_TOKEN, cache_dir=tmp_path / "cache")
    assert (pipe.credit, pipe.source.license) == (CREDIT, "CC-BY-4.0")
    assert (pipe.revision, pipe(seeds=[1]).images[0].size) == (repository.commits[-1].oid, (16, 16))
    assert main(push) == 0 and "nothing has changed" in capsys.readouterr().out
    assert len(repository.commits) == 2


def test_a_push_that_was_cut_off_is_resumed(hub, export, monkeypatch, capsys):
    monkeypatch.setattr(transfer, "WAITS_SEC", (0.01,))
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    hub.fail("status", "POST .*/commit/", status=503, times=2)
    push = ["--folder", str(export), "--hub_model_id", "user/tiny"]
    assert main(push) == 1
    assert "out of order (503)" in capsys.readouterr().err
    assert on_the_hub(hub) == {}
    before = {path: path.read_bytes() for path in export.rglob("*") if path.is_file()}
    sent = hub.count("^PUT")
    assert main([*push, "--resume"]) == 0
    assert on_the_hub(hub) == {path.relative_to(export).as_posix(): data for path, data in before.items()}
    assert hub.count("^PUT") == sent, "the large files were there already"
    assert len(hub.repository("user/tiny").commits) == 2


@pytest.mark.parametrize(
    ("token", "words"), [(None, "hf auth login"), (READ_TOKEN, "write access"), ("hf_wrongwrong", "wrong, expired")]
)
def test_who_may_not_push_is_told_so_without_the_token(hub, export, monkeypatch, capsys, token, words):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert main(["--folder", str(export), "--hub_model_id", "user/tiny"]) == 1
    told = capsys.readouterr()
    assert words in told.err
    assert token is None or token not in told.out + told.err


def test_what_is_no_model_is_not_pushed(hub, export, tmp_path, capsys):
    weights = next(export.glob("generator/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    for folder, words in ((export, "cannot read the weights"), (tmp_path / "nowhere", "is no folder")):
        assert main(["--folder", str(folder), "--hub_model_id", "user/tiny"]) == 2
        assert words in capsys.readouterr().err
    assert hub.requests == []


def test_training_pushes_at_its_end(hub, trained, in_process, monkeypatch):
    """The run has ended, so the same command only exports and pushes."""
    data = ["--dataset_name", str(trained.parent / "faces.parquet"), "--output_dir", str(trained)]
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    done = in_process([*TRAIN, *data, "--push_to_hub", "--hub_model_id", "user/tiny", "--hub_private"])
    assert done.returncode == 0, done.stderr
    assert hub.repository("user/tiny").private
    assert {"README.md", "model_index.json", "metrics.json"} <= on_the_hub(hub).keys()


def test_a_failed_push_keeps_the_export_and_names_the_command_that_works(hub, trained, in_process, monkeypatch):
    data = ["--dataset_name", str(trained.parent / "faces.parquet"), "--output_dir", str(trained)]
    push = ["--push_to_hub", "--hub_model_id", "user/tiny", "--hub_private"]
    early = in_process([*TRAIN, *data, *push])
    assert early.returncode == 2 and "hf auth login" in early.stderr, "known before the first step"
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    done = in_process([*TRAIN, *data, *push])
    assert done.returncode == 1 and "write access" in done.stderr and "Traceback" not in done.stderr
    assert (trained / "export" / "model_index.json").is_file()
    command = shlex.split(re.search(r"to push it again: (.+)", done.stderr)[1])
    assert command[:2] == ["python", "training/publish.py"] and "--private" in command
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    assert main(command[2:]) == 0
    assert hub.repository("user/tiny").private and "README.md" in on_the_hub(hub)


def test_a_bad_id_is_refused_before_training(tmp_path, in_process):
    flags = ["--dataset_name", str(FACES), "--output_dir", str(tmp_path / "run"), "--hub_model_id", "only-a-name"]
    done = in_process([*TRAIN, *flags])
    assert done.returncode == 2 and "--hub_model_id must be of the form user/name" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_run_reads_its_pictures_from_the_hub(hub, tmp_path, streaming, in_process):
    hub.add("user/faces", {"data/train-00000-of-00001.parquet": FACES.read_bytes()}, kind="datasets")
    flags = ["--dataset_name", "user/faces", "--output_dir", str(tmp_path / "run"), "--eval_kimg", "0"]
    done = in_process([*TRAIN, *flags, *(["--streaming"] if streaming else [])])
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "run" / "export" / "README.md").read_text(encoding="utf-8")
    assert "datasets:\n- user/faces" in card
