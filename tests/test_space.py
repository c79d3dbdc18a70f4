"""What the Hub reads when it runs this repository as a Space: front matter, files, requirements."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from gan_space.errors import InputError
from gan_space.formats.space import (
    HUB_ID,
    MAX_SHORT_DESCRIPTION,
    default_source,
    front_matter_faults,
    read_front_matter,
    space_files,
    with_model,
)

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
# Colours that the Hub accepts for the tile of a Space.
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def front() -> dict:
    return read_front_matter(ROOT / "README.md")


def test_the_front_matter_is_whole_and_fits_the_project(front):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {"title", "emoji", "sdk", "sdk_version", "python_version", "app_file", "models", "datasets", "license"}
    assert front.keys() >= wanted | {"tags", "short_description", "suggested_hardware"}
    assert front["sdk"] == "gradio" and f"gradio=={front['sdk_version']}\n" in REQUIREMENTS
    least = re.fullmatch(r">=(\d+)\.(\d+)", project["requires-python"]).groups()
    assert tuple(map(int, front["python_version"].split("."))) >= tuple(map(int, least))
    assert (ROOT / front["app_file"]).is_file()
    assert 0 < len(front["short_description"]) <= MAX_SHORT_DESCRIPTION
    assert front["license"] == project["license"].lower()
    assert all(HUB_ID.fullmatch(one) for key in ("models", "datasets") for one in front[key])
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in front["tags"])


def test_requirements_pin_what_the_package_needs_and_leave_pydantic_to_gradio():
    lines = [line for line in REQUIREMENTS.splitlines() if line and not line.startswith("#")]
    pins = dict(re.fullmatch(r"([a-z0-9-]+)==(\S+)", line).groups() for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {re.match(r"[a-z0-9-]+", line)[0] for line in project["dependencies"]} <= pins.keys()
    assert not pins.keys() & {"pydantic", "spaces", "torchvision"}
    # The tests of the tools for AI assistants need gradio's extra, in the version that everything else runs with.
    development = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert f"gradio[mcp]=={pins['gradio']}" in development


def is_part(path: Path) -> bool:
    hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    return path.is_file() and not hidden and path.suffix != ".pyc"


def test_just_what_the_app_needs_is_sent():
    files = space_files(default_source())
    assert {"app.py", "README.md", "requirements.txt", "LICENSE", "gan_space/__init__.py"} <= files.keys()
    assert any(name.startswith("gan_space/assets/default/generator/") for name in files)
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gan_space").rglob("*") if is_part(path)}
    assert tracked <= files.keys()  # a page without its script, style or examples is none
    strange = [name for name in files if "/" in name and not name.startswith("gan_space/")]
    assert not strange and not [name for name in files if "__pycache__" in name or name.endswith((".pyc", ".pt"))]
    assert sum(path.stat().st_size for path in files.values()) < 60e6, "something large got into the package"


@pytest.fixture
def clone(tmp_path) -> Path:
    """A clone that is small but whole."""
    for name in ("app.py", "README.md", "requirements.txt", "LICENSE", "gan_space/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_runs_caches_and_secrets_stay_behind(clone):
    kept = space_files(clone).keys()
    strangers = ("runs/a/model.safetensors", "tests/test_a.py", "gan_space/.env", "gan_space/__pycache__/a.cpython.pyc")
    strangers += (".git/config", "gan_space/.cache/a.json", "gan_space/a.pt", "gan_space/a.partial", "token")
    for name in strangers:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("x")
    assert space_files(clone).keys() == kept
    (clone / "gan_space" / "mine.py").write_text(f'TOKEN = "hf_{"a" * 34}"\n')
    with pytest.raises(InputError, match=r"mine\.py holds what looks like a token"):
        space_files(clone)


def test_a_folder_that_is_no_clone_is_told_so(tmp_path, clone):
    (clone / "app.py").unlink()
    (clone / "gan_space" / "__init__.py").unlink()
    with pytest.raises(InputError, match=r"2 problems:\n.*app\.py is missing.*\n.*__init__\.py is missing"):
        space_files(clone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sdk_version": "5.0.0"}, "sdk_version is '5.0.0', but requirements.txt pins gradio to"),
        ({"sdk": "docker"}, "sdk must be gradio, got 'docker'"),
        ({"app_file": "main.py"}, "app_file 'main.py' is not among the files"),
        ({"python_version": 3.1}, "python_version must stand in quotes"),
        ({"short_description": "x" * 61}, "at most 60 characters"),
        ({"models": ["just-a-name"]}, "models: 'just-a-name' is no Hub id"),
        ({"datasets": ["user/a/b"]}, "datasets: 'user/a/b' is no Hub id"),
        ({"suggested_hardware": "toaster"}, "'toaster' is none that the Hub has"),
    ],
)
def test_what_the_hub_would_refuse_is_found_first(front, change, message):
    files = {"app.py": ROOT / "app.py"}
    assert front_matter_faults(front, REQUIREMENTS, files) == []
    (fault,) = front_matter_faults(front | change, REQUIREMENTS, files)
    assert fault.startswith("README.md: ") and message in fault


@pytest.mark.parametrize("text", ["# No settings\n", "---\na: [\n---\n", "---\njust text\n---\n"])
def test_a_readme_without_front_matter_is_named(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(InputError, match=r"README\.md"):
        read_front_matter(tmp_path / "README.md")


def test_a_model_is_added_to_the_front_matter_and_nothing_else_changes(front):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = with_model(with_model(text, "user/b"), "user/a")
    _, head, body = changed.split("---\n", 2)
    assert yaml.safe_load(head) == front | {"models": ["user/a", "user/b"]}
    assert list(yaml.safe_load(head)) == list(front) and front["emoji"] in head
    assert body == text.split("---\n", 2)[2]
