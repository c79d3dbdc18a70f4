"""Style packs that a visitor makes or brings along: tuning with progress and a way to stop, and packs as zip files."""

from __future__ import annotations

import json
import re
import secrets
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, PackError, raise_all
from gan_space.packs.files import MAX_BYTES, PREVIEW_FILE, RECORD_FILE, WEIGHTS_FILE
from gan_space.packs.style import StylePack
from gan_space.packs.tuning import TuneSettings
from gan_space.pipelines.pack_fitting import LookPictures, PackInfo
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.ui.server.files import read_zip
from gan_space.ui.server.jobs import Job, StopSign

MAX_TUNE_PICTURES = 20
MAX_NAME_CHARS = 40
PACK_FILES = (WEIGHTS_FILE, RECORD_FILE, PREVIEW_FILE)


@dataclass(frozen=True)
class PackStep:
    """How far the tuning of a pack is; the last one carries the pack.

    Args:
        done, total: steps.
        preview: faces that the model drew, in the look so far; None where there is no new one.
        pack: the finished pack.
    """

    done: int
    total: int
    preview: Image.Image | None = None
    pack: StylePack | None = None


def check_pack_order(pictures: Sequence[str], name: str) -> str:
    """Return the name without spaces around it; InputError for too few or many pictures, or a name that is none."""
    name = " ".join((name or "").split())
    faults = []
    if not 1 <= len(pictures) <= MAX_TUNE_PICTURES:
        faults.append(f"a look is made from 1 to {MAX_TUNE_PICTURES} pictures, got {len(pictures)}")
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        faults.append(f"a look needs a name of 1 to {MAX_NAME_CHARS} characters, got {name!r}")
    raise_all(faults, InputError)
    return name


def pack_id_for(name: str) -> str:
    """Return the small letters, digits and '-' for file names; made up where the name has none, as in Chinese."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain or f"look-{secrets.token_hex(3)}"


def tune_pack(
    pipe: StyleTransferPipeline, pictures: Tensor, name: str, stop: StopSign, settings: TuneSettings
) -> Iterator[PackStep]:
    """Tune a pack and tell how far it is.

    Args:
        pipe: whose networks the pack is for.
        pictures: [K, 3, R, R] in [-1, 1], faces aligned.
        name: for people.
        stop: ends the tuning once it is given, whichever process does it.
        settings: how it is tuned.

    Raises:
        Cancelled: it was stopped.
        PackError: the tuning failed; says why.
    """

    def work(job: Job) -> None:
        def step(done: int, total: int, preview: Image.Image | None) -> bool:
            return job.tell(PackStep(done, total, preview))

        info = PackInfo(pack_id_for(name), {"en": name, "zh-CN": name})
        pack = pipe.fit_pack(LookPictures(pictures, []), info, settings=settings, callback=step)
        job.tell(PackStep(settings.num_steps, settings.num_steps, pack=pack))

    yield from Job(stop).steps(work, "tune-pack")


def zip_pack(folder: Path, path: Path) -> Path:
    """Put the three files of a pack into a zip, in a folder of the pack's name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in PACK_FILES:
            archive.write(folder / name, f"{folder.name}/{name}")
    return path


def read_pack_zip(path: str | Path, max_bytes: int = MAX_BYTES) -> dict[str, bytes]:
    """Return contents of a pack's three files in a zip that anybody may have written; nothing else in it is looked at.

    Raises:
        PackError: not a zip, damaged, too large, or not with exactly one pack in it.
    """
    try:
        return read_zip(path, PACK_FILES, max_bytes, "a pack")
    except InputError as error:
        raise PackError(str(error)) from error


def unzip_pack(path: str | Path, folder: Path) -> Path:
    """Take a style pack out of a zip, see `read_pack_zip`.

    Returns:
        The pack's folder, `folder`/<id>, not yet checked beyond its size.

    Raises:
        PackError: not a zip, damaged, too large, or not with exactly one pack in it.
    """
    contents = read_pack_zip(path)
    try:
        pack_id = str(json.loads(contents[RECORD_FILE])["id"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PackError(f"{RECORD_FILE} in the zip cannot be read ({error!r}); download the pack again") from error
    target = folder / pack_id_for(pack_id)[:64]
    target.mkdir(parents=True)
    for name, content in contents.items():
        (target / name).write_bytes(content)
    return target
