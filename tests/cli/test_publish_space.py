"""`gan-space publish-space` with the real client against the small Hub of these tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from gan_space import hub as transfer
from gan_space.cli.app import main
from tests.hub_server import READ_TOKEN, WRITE_TOKEN, HubServer, Repository

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def logged_in(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS_SEC", (0.01,))
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)


@pytest.fixture
def clone(tmp_path) -> Path:
    for name in ("app.py", "README.md", "requirements.txt", "LICENSE", "gan_space/__init__.py", "gan_space/images.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "gan_space" / "weights.safetensors").write_bytes(bytes(5000))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "secret.json").write_text("{}")
    return tmp_path


def run(clone: Path, *arguments: str, capsys) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["publish-space", "user/app", "--source", str(clone), *arguments])
    told = capsys.readouterr()
    assert WRITE_TOKEN not in told.out + told.err
    return code, told.out, told.err


def space(hub: HubServer) -> Repository:
    return hub.repository("user/app", "spaces")


def content(hub: HubServer) -> dict[str, bytes]:
    return {path: blob.data for path, blob in space(hub).commits[-1].files.items() if path != ".gitattributes"}


def test_the_app_is_one_commit_and_the_same_again_is_none(hub, clone, capsys):
    code, out, err = run(clone, "--private", capsys=capsys)
    assert (code, err) == (0, "") and space(hub).private and space(hub).sdk == "gradio"
    assert out == f"pushed to {hub.url}/spaces/user/app at commit {space(hub).commits[-1].oid}\n"
    paths = [path for path in clone.rglob("*") if path.is_file() and "runs" not in path.parts]
    assert content(hub) == {path.relative_to(clone).as_posix(): path.read_bytes() for path in paths}
    assert len(space(hub).commits) == 2 and space(hub).variables == {}
    code, out, _ = run(clone, "--private", capsys=capsys)
    assert code == 0 and "nothing has changed" in out and len(space(hub).commits) == 2

    (clone / "gan_space" / "images.py").unlink()
    assert run(clone, capsys=capsys)[0] == 0
    assert "gan_space/images.py" not in content(hub) and len(space(hub).commits) == 3


def test_model_revision_and_packs_become_variables(hub, clone, capsys):
    options = ("--model", "user/faces", "--revision", "v1", "--packs", "ink, user/oil@v2")
    assert run(clone, *options, capsys=capsys)[0] == 0
    assert space(hub).variables == {
        "GAN_SPACE_MODEL": "user/faces",
        "GAN_SPACE_REVISION": "v1",
        "GAN_SPACE_PACKS": "ink, user/oil@v2",
    }
    assert yaml.safe_load(content(hub)["README.md"].decode().split("---\n")[1])["models"] == ["user/faces"]
    set_before = hub.count("POST .*/variables")
    assert run(clone, *options, capsys=capsys)[0] == 0
    assert hub.count("POST .*/variables") == set_before, "each one that is set restarts the Space"
    assert run(clone, "--model", "user/faces", "--revision", "v2", capsys=capsys)[0] == 0
    assert hub.count("POST .*/variables") == set_before + 1 and space(hub).variables["GAN_SPACE_REVISION"] == "v2"


def test_a_dry_run_lists_everything_and_asks_nobody(hub, clone, capsys):
    code, out, _ = run(clone, "--dry-run", "--model", "user/faces", capsys=capsys)
    assert code == 0 and hub.requests == []
    assert " gan_space/images.py\n" in out and out.endswith("GAN_SPACE_MODEL=user/faces\n") and "runs" not in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "runs/a/export"], "a Space cannot see folders of this machine"),
        (["--revision", "v1"], "revision 'v1' needs a model"),
        (["--packs", "ink,/home/me/pack"], "pack '/home/me/pack' is neither"),
        (["--source", "/nowhere"], "app.py is missing"),
    ],
)
def test_what_cannot_work_there_is_refused_before_anything_is_sent(hub, clone, capsys, options, message):
    code, out, err = run(clone, *options, capsys=capsys)
    assert (code, out) == (2, "") and message in err and hub.requests == []


def test_a_public_space_is_not_taken_for_a_private_one(hub, clone, capsys):
    assert run(clone, capsys=capsys)[0] == 0
    code, _, err = run(clone, "--private", capsys=capsys)
    assert code == 2 and "exists and is public" in err


def test_who_may_not_write_is_told_so(hub, clone, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    code, _, err = run(clone, capsys=capsys)
    assert code == 2 and "write access" in err and READ_TOKEN not in err


def test_a_push_that_broke_off_goes_on(hub, clone, capsys):
    hub.fail("status", "POST .*/commit/", status=503, times=2)
    code, _, err = run(clone, "--model", "user/faces", capsys=capsys)
    assert code == 2 and "out of order (503)" in err and content(hub) == {} and space(hub).variables == {}
    hub.fail("status", "POST .*/variables", status=429, times=2)
    code, _, err = run(clone, "--model", "user/faces", capsys=capsys)
    assert code == 2 and "variable GAN_SPACE_MODEL could not be set" in err and "app.py" in content(hub)
    assert run(clone, "--model", "user/faces", capsys=capsys)[0] == 0
    assert len(space(hub).commits) == 2 and space(hub).variables == {"GAN_SPACE_MODEL": "user/faces"}
