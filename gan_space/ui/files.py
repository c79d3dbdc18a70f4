"""The files that the app hands out: each in a folder of its own, so that names stay plain, and swept after an hour."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from gan_space.pipelines.likeness import Likeness

FILE_AGE_SEC = 3600


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
    """A temporary folder that is gone when its owner is; what lies in it longer than an hour is swept away earlier."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gan_space-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def new_folder(self) -> Path:
        """A fresh folder for one file; old ones are swept away."""
        self.path.mkdir(exist_ok=True)
        oldest = time.time() - FILE_AGE_SEC
        for folder in self.path.iterdir():
            try:
                if folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)
            except FileNotFoundError:
                continue  # another request swept it first
        folder = self.path / secrets.token_hex(8)
        folder.mkdir()
        return folder
