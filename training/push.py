"""From a model folder or a pack to the Hub: one commit, all or nothing."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from gan_space import hub
from gan_space.errors import GanSpaceError
from gan_space.formats.pack_card import PERSON, is_pack, people_in, read_record, write_pack_card
from gan_space.packs.files import read_pack
from gan_space.packs.style import StylePack
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import read_metadata
from gan_space.pipelines.release import check_weight_files, prepare_release

MAX_PROFILE_BYTES = 2_000_000


@dataclass(frozen=True)
class PublishConfig:
    """Push a model folder or a pack to the Hub."""

    folder: Path
    """Model folder, such as runs/a/export, or a pack's folder."""
    hub_model_id: str
    """user/name; made if it does not exist."""
    private: bool = False
    """Only you can see it; a repository that is public already is refused."""
    tag: str | None = None
    """Name of this release, such as v1; it never moves."""
    resume: bool = False
    """Push the folder as it is, without making samples and card anew: goes on with a push that was cut off."""
    parent_commit: str | None = None
    """Push only if this is still the newest commit."""
    public_person: bool = False
    """Let everybody have the profile of a person, who has to have agreed to just that; otherwise it is private."""


def prepare(config: PublishConfig) -> None:
    """Try the model, and bring its samples and card up to date; no network is needed.

    Raises:
        InputError: the folder is no model or pack that loads, or the settings do not work.
    """
    hub.check_upload(config.folder, config.hub_model_id, tag=config.tag, parent_commit=config.parent_commit)
    if is_pack(config.folder):
        if people_in(config.folder):
            read_pack(config.folder, MAX_PROFILE_BYTES)
        else:
            StylePack.from_pretrained(config.folder)
        if not config.resume:
            write_pack_card(config.folder, config.hub_model_id)
        return
    pipe = GenerationPipeline.from_pretrained(config.folder)  # what does not load here loads nowhere
    check_weight_files(config.folder)  # encoder, packs and other parts that this pipeline does not load
    if not config.resume:
        prepare_release(pipe, config.folder, config.hub_model_id)


def push(config: PublishConfig) -> None:
    """Push the folder and say where it is.

    Raises:
        InputError: the Hub did not take it.
    """
    done = hub.upload(
        config.folder,
        config.hub_model_id,
        private=config.private or _holds_people(config) or None,
        tag=config.tag,
        parent_commit=config.parent_commit,
    )
    what = "pushed to" if done.changed else "nothing has changed in"
    release = f", tag {done.tag}" if done.tag else ""
    print(f"{what} {done.url} at commit {done.commit}{release}")
    metadata = read_record(config.folder) if is_pack(config.folder) else read_metadata(config.folder)
    if metadata.get("kind") == PERSON:  # whose it is stands in the consent; there is no licence to give
        return
    missing = [name for name in ("credit", "license") if not metadata.get(name)]
    if missing:
        print(f"note: it states no {' and no '.join(missing)}; whoever uses it needs to know")


def _holds_people(config: PublishConfig) -> bool:
    """Whether the push has to be private, because a profile of a person is in it."""
    return not config.public_person and bool(people_in(config.folder))


def push_export(folder: Path, repo_id: str, *, private: bool = False) -> int:
    """Push at the end of a run: 0, or 1 after a failure, which leaves the export and names the command that retries."""
    config = PublishConfig(folder=folder, hub_model_id=repo_id, private=private)
    try:
        prepare(config)
        push(config)
    except GanSpaceError as error:
        command = ["python", "training/publish.py", "--folder", str(folder), "--hub_model_id", repo_id]
        command += ["--private"] if private else []
        print(f"error: {error}", file=sys.stderr)
        print(f"the model is safe in {folder}; to push it again: {shlex.join(command)}", file=sys.stderr)
        return 1
    return 0
