"""To and from the Hub, checked byte for byte, with one clear error for everything that goes wrong.

The client (`huggingface_hub`) resumes and caches, but accepts a file that arrived damaged and keeps it for good; so
every file is compared with the Hub's checksum here, at every load. Its errors also hold the request with its token.
Ours are raised after theirs have been dropped, and nothing that looks like a token gets into a message.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    is_offline_mode,
    snapshot_download,
)
from huggingface_hub.errors import (
    HFValidationError,
)
from huggingface_hub.hf_api import RepoFile

from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.hub_errors import CLIENT_ERRORS, reason, wait_before_retry
from gan_space.settings import brief
from gan_space.whole_files import name_of_folder, sha256_of

SAFE_PATTERNS = ("*.json", "*.safetensors", "*.png", "*.md")  # what is downloaded: nothing that could be executed
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt")
WAITS_SEC = (1.0, 3.0)  # before another try, where one may help
COMMIT = re.compile(r"[0-9a-f]{40}")


class HubOptions(TypedDict, total=False):
    """What every `from_pretrained` of one part of a model takes besides the name.

    Args:
        subfolder: the part of the folder or repository that is meant; only this part is downloaded.
        revision: branch, tag or commit of a repository.
        token, cache_dir, local_files_only, force_download: as in huggingface_hub.
    """

    subfolder: str
    revision: str | None
    token: str | bool | None
    cache_dir: str | Path | None
    local_files_only: bool
    force_download: bool


@dataclass(frozen=True)
class Upload:
    """Where a pushed folder is now.

    Args:
        repo_id: "user/name".
        commit: 40 hex digits, to be given as `revision`.
        url: page of the repository.
        tag: name of the release, or None.
        changed: False where the repository already held just these files.
    """

    repo_id: str
    commit: str
    url: str
    tag: str | None
    changed: bool


def resolve_folder(
    name_or_path: str | os.PathLike[str], *, subfolder: str = "", revision: str | None = None, **options: Any
) -> Path:
    """Find the folder that a user means, downloading and checking it if it is a Hub id.

    Args:
        name_or_path: a folder, or a Hub id "user/name".
        options: see `HubOptions`.

    Raises:
        InputError: neither folder nor Hub id, or a revision given for a folder.
        WeightsError: the files cannot be had whole, or there is no such subfolder.
    """
    is_here, name = is_folder(name_or_path), os.fspath(name_or_path)
    if is_here:
        if revision is not None:
            raise InputError(f"revision {revision!r} works for Hub ids only, not for the folder {name}")
        folder = Path(name)
    elif name.count("/") != 1:  # a path with a mistake in it is nothing to ask others about
        raise InputError(f"{name!r} is neither a folder nor a Hub id of the form user/name")
    else:
        patterns = [f"{subfolder}/{pattern}" for pattern in SAFE_PATTERNS] if subfolder else SAFE_PATTERNS
        folder = download(name, revision, allow_patterns=patterns, **options)
    if not (folder / subfolder).is_dir():
        raise WeightsError(f"{name} has no folder {subfolder!r}; look up what it holds")
    return folder / subfolder


def is_folder(name_or_path: str | os.PathLike[str]) -> bool:
    """Tell whether what a user names is a folder here, and not a Hub id; InputError for what can be neither."""
    name = name_of_folder(name_or_path, "a folder or a Hub id of the form user/name")
    try:
        return Path(name).is_dir()
    except OSError as error:  # such as a name of more characters than a disk takes, or a folder that is closed to us
        raise InputError(f"the folder {brief(name)} cannot be read ({error.strerror or error})") from error


def download(
    repo_id: str,
    revision: str | None = None,
    *,
    allow_patterns: Sequence[str] = SAFE_PATTERNS,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """Fetch a model repository into the cache and check it; without a network, a whole cached copy serves.

    Args:
        repo_id: "user/name".
        revision: branch, tag or commit; "main" if None.
        allow_patterns: which files.
        token, cache_dir, local_files_only, force_download: as in huggingface_hub.

    Returns:
        The folder of the snapshot; its name is the commit.

    Raises:
        InputError: no Hub id.
        WeightsError: the files cannot be had whole; says why and what to do. Nothing damaged stays in the cache.
    """
    offline = local_files_only or is_offline_mode()
    wanted = f"{repo_id!r}" + (f" at revision {revision!r}" if revision else "")
    for wait in (*WAITS_SEC, None):
        try:
            folder = Path(
                snapshot_download(
                    repo_id,
                    revision=revision,
                    token=token,
                    cache_dir=cache_dir,
                    local_files_only=local_files_only,
                    force_download=force_download,
                    allow_patterns=list(allow_patterns),
                )
            )
        except HFValidationError:
            fault, wait = InputError(f"{repo_id!r} is neither a folder nor a Hub id of the form user/name"), None
        except CLIENT_ERRORS as error:
            fault = WeightsError(f"cannot download {wanted} from the Hub: {reason(error, token)}")
            wait = None if offline else wait_before_retry(error, wait)
        else:
            if not COMMIT.fullmatch(folder.name):
                raise WeightsError(f"the Hub gave no commit for {wanted}, but {folder.name!r}; try again later")
            damaged = _damaged_files(repo_id, folder, token, offline)
            if not damaged:
                return folder
            names = ", ".join(damaged)
            if offline:
                fault = WeightsError(f"{names} of the cached copy of {wanted} is damaged; go online to fetch it again")
                wait = None
            else:
                fault = WeightsError(
                    f"{names} of {wanted} arrived damaged (checksum differs from the Hub's), also when fetched again; "
                    "it was removed from the cache. Something between here and the Hub changes files: try later, or "
                    "another network"
                )
                _remove_from_cache(folder, damaged)
        if wait is None:
            break
        time.sleep(wait)
    raise fault  # outside of `except`: the client's error, which holds the token, must not hang on ours


def upload(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    tag: str | None = None,
    parent_commit: str | None = None,
    message: str = "Push a gan_space model",
) -> Upload:
    """Push a model folder as one commit: afterwards the repository holds all of it, or it is as it was.

    Files that did not change are not sent again, and nothing is committed twice, so the same call also goes on with a
    push that was cut off. Sub-folders that are pushed are replaced as a whole (shards of an older network would be
    loaded otherwise); other files of the repository stay.

    Args:
        folder: what to push; hidden files stay behind.
        repo_id: "user/name"; made if it does not exist.
        private: True, also where the repository exists, in which case a public one is refused.
        token: with write access; None takes the one of `hf auth login` or HF_TOKEN.
        tag: name of this release. It never moves: a name that stands for other files is refused.
        parent_commit: push only if this is still the newest commit; None takes the one that is newest now.
        message: title of the commit.

    Raises:
        InputError: the folder cannot be pushed, or the Hub did not take it; says why and what to do.
    """
    files = check_upload(folder, repo_id, tag=tag, parent_commit=parent_commit)
    return upload_files(
        files, repo_id, private=private, token=token, tag=tag, parent_commit=parent_commit, message=message
    )


def upload_files(
    files: dict[str, Path],
    repo_id: str,
    *,
    message: str,
    repo_type: Literal["model", "space"] = "model",
    private: bool | None = None,
    token: str | bool | None = None,
    tag: str | None = None,
    parent_commit: str | None = None,
) -> Upload:
    """Push files as one commit, as `upload` does with those of a folder.

    Args:
        files: {name in the repository: file}.
        repo_type: "model", or "space" for an app of gradio.

    Other arguments, and what is raised, are those of `upload`.
    """
    for wait in (*WAITS_SEC, None):
        try:
            return _push(HfApi(token=token), files, repo_id, repo_type, private, tag, parent_commit, message)
        except InputError:
            raise
        except CLIENT_ERRORS as error:
            fault = InputError(
                f"cannot push to {repo_id!r}: {reason(error, token)}. Nothing is lost here; the same call goes on "
                "where this one stopped"
            )
            wait = wait_before_retry(error, wait)
        if wait is None:
            break
        time.sleep(wait)
    raise fault


def _push(
    api: HfApi,
    files: dict[str, Path],
    repo_id: str,
    repo_type: str,
    private: bool | None,
    tag: str | None,
    parent_commit: str | None,
    message: str,
) -> Upload:
    sdk = "gradio" if repo_type == "space" else None
    api.create_repo(repo_id, repo_type=repo_type, space_sdk=sdk, private=private, exist_ok=True)
    about = api.repo_info(repo_id, repo_type=repo_type)
    if private and not about.private:
        raise InputError(
            f"{repo_id!r} exists and is public, so nothing was pushed; make it private in its settings, or choose "
            "another name"
        )
    tree = api.list_repo_tree(repo_id, recursive=True, revision=about.sha, repo_type=repo_type)
    there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    changed = [name for name, path in files.items() if name not in there or not _is_same(path, there[name])]
    folders = {name.partition("/")[0] for name in files if "/" in name}
    stale = [name for name in there if name not in files and "/" in name and name.partition("/")[0] in folders]
    commit = about.sha
    if tag is not None:
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id, repo_type=repo_type).tags}
        if tag in tags and (changed or stale or tags[tag] != commit):
            raise InputError(
                f"tag {tag!r} of {repo_id!r} already names commit {tags[tag][:10]}, which holds other files; a release "
                "does not change: choose another tag"
            )
    if changed or stale:
        operations = [CommitOperationAdd(name, files[name]) for name in changed]
        operations += [CommitOperationDelete(name) for name in stale]
        commit = api.create_commit(
            repo_id, operations, commit_message=message, parent_commit=parent_commit or commit, repo_type=repo_type
        ).oid
    if tag is not None and tag not in tags:
        api.create_tag(repo_id, tag=tag, revision=commit, repo_type=repo_type)
    url = f"{api.endpoint}/{'spaces/' if repo_type == 'space' else ''}{repo_id}"
    return Upload(repo_id, commit, url, tag, changed=bool(changed or stale))


def check_upload(
    folder: str | Path, repo_id: str, *, tag: str | None = None, parent_commit: str | None = None
) -> dict[str, Path]:
    """Look at what `upload` would be given, without a network.

    Returns:
        {name in the repository: file}

    Raises:
        InputError: something in it must not or cannot be pushed; all faults at once.
    """
    folder, faults = Path(folder), address_faults(repo_id, tag, parent_commit)
    if not folder.is_dir():
        faults.append(f"{folder} is no folder; give the folder of a model, such as runs/a/export")
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in name.split("/"))}
    links = [path for path in sorted(folder.rglob("*")) if path.is_symlink()]
    faults += [f"{path} is a link, and a push would send what it leads to: put a copy in its place" for path in links]
    if folder.is_dir() and not files:
        faults.append(f"{folder} holds no files to push")
    faults += [
        f"{folder / name} is a pickle, which can run code where it is loaded; push safetensors instead"
        for name in files
        if name.endswith(PICKLES)
    ]
    faults += [f"{folder / name} is half written; export again" for name in files if name.endswith(".partial")]
    raise_all(faults, InputError)
    return files


def address_faults(repo_id: object, tag: object = None, parent_commit: object = None) -> list[str]:
    """Say what is wrong with where something is to be pushed to, a line each."""
    faults = []
    if not _is_word(r"[\w.-]+/[\w.-]+", repo_id):
        faults.append(f"{brief(repo_id)} is no Hub id of the form user/name")
    if tag is not None and not _is_word(r"[\w.-]+", tag):
        faults.append(f"tag {brief(tag)}: use letters, digits, dots, dashes and underscores, such as v1.0")
    if parent_commit is not None and not _is_word(COMMIT, parent_commit):
        faults.append(f"parent_commit must be a commit of 40 hex digits, got {brief(parent_commit)}")
    return faults


def _is_word(pattern: str | re.Pattern, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _damaged_files(repo_id: str, folder: Path, token: str | bool | None, offline: bool) -> list[str]:
    """Names of the files in a snapshot that are not what the Hub holds.

    The Hub's listing is asked for the checksums. Without a network the cache serves: it calls every file by its
    checksum.
    """
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    listing: dict[str, RepoFile] = {}
    if names and not offline:
        try:
            entries = HfApi(token=token).get_paths_info(repo_id, names, revision=folder.name)
            listing = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
        except CLIENT_ERRORS:
            listing = {}  # the network is gone; the names in the cache are as good
    damaged = []
    for name in names:
        path = folder / name
        same = _is_same(path, listing[name]) if name in listing else _fits_its_name(path)
        if not same:
            damaged.append(name)
    return damaged


def _is_same(path: Path, entry: RepoFile) -> bool:
    """True if a file has the content that an entry of the Hub's listing has."""
    if entry.lfs is not None:
        return path.stat().st_size == entry.lfs.size and sha256_of(path) == entry.lfs.sha256
    return path.stat().st_size == entry.size and _git_oid(path) == entry.blob_id


def _fits_its_name(path: Path) -> bool:
    """True unless the cache's file is called by a checksum that it does not have."""
    name = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return sha256_of(path) == name
    if re.fullmatch(r"[0-9a-f]{40}", name):
        return _git_oid(path) == name
    return True


def _git_oid(path: Path) -> str:
    """Checksum by which the Hub knows a small file: that of git."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _remove_from_cache(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).resolve().unlink(missing_ok=True)  # the file itself
        (folder / name).unlink(missing_ok=True)  # and the link to it
