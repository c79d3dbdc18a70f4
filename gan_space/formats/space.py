"""The web app as a Space of the Hub: which files it needs, whether they fit together, and the upload.

A Space is a repository that the Hub runs: it reads the front matter of README.md, installs requirements.txt and starts
app.py. Nothing but that and the package itself is ever sent: no runs, no caches, no tests, no data.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi

from gan_space import hub, hub_errors
from gan_space.errors import InputError, raise_all

ROOT_FILES = ("app.py", "README.md", "requirements.txt", "LICENSE", "pyproject.toml")
PACKAGE = "gan_space"
PACKAGE_ENDINGS = (".py", ".json", ".safetensors", ".png", ".jpg", ".md", ".css", ".js")
VARIABLES = ("GAN_SPACE_MODEL", "GAN_SPACE_REVISION", "GAN_SPACE_PACKS")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MAX_SHORT_DESCRIPTION = 60  # characters; the Hub refuses more
HARDWARE = re.compile(r"cpu-basic|cpu-upgrade|zero-a10g|t4-(small|medium)|(l4|l40s|a10g|a100|h100|h200)[\w-]*")
_FRONT_MATTER = re.compile(r"---\n(.*?\n)---\n", re.DOTALL)
_TOKEN = re.compile(rb"hf_[A-Za-z0-9]{30,}")


def default_source() -> Path:
    """Find the clone of the project that this package runs from; InputError for an installed package without app.py."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "app.py").is_file():
        raise InputError(
            "this gan_space was installed without app.py; get a clone of the project and give its folder as --source"
        )
    return root


def space_files(source: str | Path) -> dict[str, Path]:
    """Return what the Space needs of a clone: {name in the repository: file}; looks only, and needs no network.

    Raises:
        InputError: files are missing or do not fit together, or one holds what looks like a token; all faults at once.
    """
    source = Path(source)
    files = {name: source / name for name in ROOT_FILES if (source / name).is_file()}
    for path in sorted((source / PACKAGE).rglob("*")):
        name = path.relative_to(source)
        hidden = any(part.startswith((".", "__pycache__")) for part in name.parts)
        if path.is_file() and path.suffix in PACKAGE_ENDINGS and not hidden:
            files[name.as_posix()] = path
    needed = ("app.py", "README.md", "requirements.txt", f"{PACKAGE}/__init__.py")
    faults = [f"{source / name} is missing; give a clone of the project" for name in needed if name not in files]
    if not faults:
        requirements = files["requirements.txt"].read_text(encoding="utf-8")
        faults = front_matter_faults(read_front_matter(files["README.md"]), requirements, files)
    faults += [
        f"{path} holds what looks like a token of the Hub; take it out" for path in files.values() if _has_token(path)
    ]
    raise_all(faults, InputError)
    return files


def read_front_matter(readme: Path) -> dict[str, Any]:
    """Return the settings at the head of README.md; InputError where there are none."""
    match = _FRONT_MATTER.match(readme.read_text(encoding="utf-8"))
    try:
        front = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise InputError(f"the front matter of {readme} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(front, dict):
        raise InputError(f"{readme} does not begin with front matter (settings between two lines of ---)")
    return front


def front_matter_faults(front: Mapping[str, Any], requirements: str, files: Mapping[str, Path]) -> list[str]:
    """Return what the Hub would refuse or start wrongly: one message a fault.

    Args:
        front: see `read_front_matter`.
        requirements: content of requirements.txt; gradio is pinned there, and the Hub installs `sdk_version`.
        files: names of what is pushed.
    """
    faults = [f"{key} is missing" for key in ("title", "sdk", "sdk_version", "app_file", "license") if key not in front]
    if front.get("sdk") != "gradio":
        faults.append(f"sdk must be gradio, got {front.get('sdk')!r}")
    pin = re.search(r"^gradio==(\S+)$", requirements, re.MULTILINE)
    if pin is None or str(front.get("sdk_version")) != pin[1]:
        faults.append(
            f"sdk_version is {front.get('sdk_version')!r}, but requirements.txt pins gradio to {pin and pin[1]}"
        )
    if front.get("app_file") not in files:
        faults.append(f"app_file {front.get('app_file')!r} is not among the files")
    if not isinstance(front.get("python_version", ""), str):
        faults.append(f"python_version must stand in quotes, got the number {front['python_version']!r}")
    about = front.get("short_description", "")
    if not isinstance(about, str) or len(about) > MAX_SHORT_DESCRIPTION:
        faults.append(f"short_description must be text of at most {MAX_SHORT_DESCRIPTION} characters, got {about!r}")
    for key in ("models", "datasets"):
        ids = front.get(key) or []
        wrong = [one for one in ids if not isinstance(one, str) or not HUB_ID.fullmatch(one)] if ids else []
        faults += [f"{key}: {one!r} is no Hub id of the form user/name" for one in wrong]
    if not HARDWARE.fullmatch(str(front.get("suggested_hardware", "cpu-basic"))):
        faults.append(f"suggested_hardware {front['suggested_hardware']!r} is none that the Hub has")
    return [f"README.md: {fault}" for fault in faults]


def with_model(readme: str, model: str) -> str:
    """Return the text of README.md whose front matter names `model` too, so that the Hub links Space and model."""
    match = _FRONT_MATTER.match(readme)
    front = yaml.safe_load(match[1])
    front["models"] = sorted({*(front.get("models") or []), model})
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n{readme[match.end() :]}"


def check_space(
    repo_id: str, *, model: str | None = None, revision: str | None = None, packs: str | None = None
) -> dict[str, str]:
    """Return variables for the Space; InputError for settings that could not work there, all faults at once."""
    faults = [] if HUB_ID.fullmatch(repo_id) else [f"{repo_id!r} is no Hub id of the form user/name"]
    if model is not None and not HUB_ID.fullmatch(model):
        faults.append(
            f"model {model!r} is no Hub id of the form user/name; a Space cannot see folders of this machine, so push "
            "the model first (python training/publish.py)"
        )
    if revision is not None and model is None:
        faults.append(f"revision {revision!r} needs a model; the one inside the package has none")
    for pack in [part.strip() for part in (packs or "").split(",") if part.strip()]:
        if pack.startswith((".", "/", "~")) or not re.fullmatch(r"[\w.-]+(/[\w.-]+(@[\w.-]+)?)?", pack):
            faults.append(f"pack {pack!r} is neither a name of the model's own packs nor a Hub id such as user/name")
    raise_all(faults, InputError)
    return {key: value for key, value in zip(VARIABLES, (model, revision, packs), strict=True) if value}


def publish_space(
    repo_id: str,
    source: str | Path | None = None,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    model: str | None = None,
    revision: str | None = None,
    packs: str | None = None,
) -> hub.Upload:
    """Push the app as one commit to a Space; the same call again goes on after a failure, or does nothing.

    Args:
        repo_id: "user/name"; made if it does not exist.
        source: a clone of the project; None: the one that this package runs from.
        private: True for a Space that only you can see; a public one of that name is refused.
        token: with write access; None takes the one of `hf auth login` or HF_TOKEN.
        model, revision, packs: become the Space's variables GAN_SPACE_MODEL, GAN_SPACE_REVISION and GAN_SPACE_PACKS;
            those that are None stay as they are.

    Raises:
        InputError: the files do not fit together, or the Hub did not take them; says why and what to do.
    """
    variables = check_space(repo_id, model=model, revision=revision, packs=packs)
    files = space_files(default_source() if source is None else source)
    with tempfile.TemporaryDirectory(prefix="gan-space-publish-") as scratch:
        if model is not None:
            readme = Path(scratch) / "README.md"
            readme.write_text(with_model(files["README.md"].read_text(encoding="utf-8"), model), encoding="utf-8")
            files["README.md"] = readme
        done = hub.upload_files(
            files, repo_id, repo_type="space", private=private, token=token, message="Push the gan_space app"
        )
    _set_variables(HfApi(token=token), repo_id, variables, token)
    return done


def _set_variables(api: HfApi, repo_id: str, variables: dict[str, str], token: str | bool | None) -> None:
    """Set those that differ; each change restarts the Space."""
    there: dict[str, str] | None = None
    for key, value in variables.items():
        for wait in (*hub.WAITS_SEC, None):
            try:
                if there is None:
                    there = {name: variable.value for name, variable in api.get_space_variables(repo_id).items()}
                if there.get(key) != value:
                    api.add_space_variable(repo_id, key, value)
                break
            except hub_errors.CLIENT_ERRORS as error:
                fault = InputError(
                    f"the app is in {repo_id!r}, but its variable {key} could not be set: "
                    f"{hub_errors.reason(error, token)}. The same call again sets it; or do so in the Space's settings"
                )
                wait = hub_errors.wait_before_retry(error, wait)
            if wait is None:
                raise fault
            time.sleep(wait)


def _has_token(path: Path) -> bool:
    return path.suffix not in (".safetensors", ".png") and _TOKEN.search(path.read_bytes()) is not None
