"""The files that the app hands out, each in a folder of its own, so that names stay plain; and zips that come in."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import error as ZlibError

from gradio.utils import get_upload_folder

from gan_space.errors import InputError
from gan_space.pipelines.likeness import Likeness
from gan_space.ui.server.folder import server_folder

FORMATS = {"png": ".png", "jpeg": ".jpg"}  # in which pictures are saved


def suffix_of(image_format: str) -> str:
    """Say how the name of a file of one of FORMATS ends; InputError for any other."""
    if image_format not in FORMATS:
        raise InputError(f"the format must be one of {', '.join(FORMATS)}, got {image_format!r}")
    return FORMATS[image_format]


@dataclass(frozen=True)
class Shown:
    """One picture or animation in the gallery.

    Args:
        path: of its labelled file.
        recipe: that draws it again.
        caption: short.
        likeness: to the face or person that it was made from, where that was asked for.
    """

    path: str
    recipe: dict
    caption: str
    likeness: Likeness | None = None


class FileFolder:
    """Files of one owner, gone when the owner is; what was not used for an hour is swept away earlier."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(dir=server_folder().files))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def new_folder(self) -> Path:
        """Return a fresh folder for one file."""
        folder = self.path / secrets.token_hex(8)
        folder.mkdir()
        return folder


def read_zip(path: str | Path | None, names: Sequence[str], max_bytes: int, what: str) -> dict[str, bytes]:
    """Read the files of these names in a zip that anybody may have written; nothing else in it is looked at.

    Args:
        path: of the zip; None where none was sent.
        names: of files, without folders.
        max_bytes: of all of them together.
        what: the zip is expected to be one of, for messages.

    Raises:
        InputError: no file, not a zip, damaged, too large, or not with exactly one file of each name in it.
    """
    if path is None:
        raise InputError(f"no file was sent, expected a zip of {what}")
    contents = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                # Wherever the files lie in the zip; the names in it never become paths of ours.
                found = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == name]
                if len(found) != 1:
                    raise InputError(f"the zip holds {len(found)} files {name}, expected {what}: one each of {names}")
                with archive.open(found[0]) as file:
                    contents[name] = file.read(max_bytes + 1)  # however much the entry claims to hold
    except (zipfile.BadZipFile, ZlibError, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"{Path(path).name} is no zip of {what}, or is damaged ({error})") from error
    if sum(map(len, contents.values())) > max_bytes:
        raise InputError(f"the zip holds more than {max_bytes:,} bytes; expected one that this page gave out")
    return contents


def uploaded_path(file: object) -> str | None:
    """Return the path of a file that came through gradio's upload; None for anything else, such as a server's path."""
    if not isinstance(file, dict) or not isinstance(path := file.get("path"), str):
        return None
    # gradio itself checks only what is marked as a file; what is not marked was never checked.
    meta = file.get("meta")
    if not isinstance(meta, dict) or meta.get("_type") != "gradio.FileData":
        return None
    try:
        resolved = Path(path).resolve()
        inside = resolved.is_file() and resolved.is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError):  # no name that a file can have
        return None
    return str(resolved) if inside else None
