"""Folders of pictures as people have them: with other files among them, and what phones and Macs leave behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic", ".heif", ".hif"),
    *(".avif", ".gif", ".bmp", ".tif", ".tiff", ".jp2", ".j2k"),
)


@dataclass
class FoundPictures:
    """Pictures among other files.

    Attributes:
        files: those with the ending of a picture, sorted by name.
        passed_over: how many of each other ending.
        folders: sub-folders that were not looked into.
        links: those that were not followed: to folders, which may lead round in a circle, and to nothing.
    """

    files: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    folders: int = 0
    links: int = 0

    def remark(self) -> str:
        """Say what was passed over, such as "4 files passed over: 3 .mov, 1 .txt"; empty where nothing was."""
        folders = _several(self.folders, "sub-folder", "not looked into")
        links = _several(self.links, "link", "not followed")
        return "; ".join(filter(None, (in_words(self.passed_over), folders, links)))


def find_pictures(folder: Path, *, deep: bool = False) -> FoundPictures:
    """List the pictures of a folder, with `deep` those of its sub-folders too. None is opened."""
    inside = list(folder.rglob("*") if deep else folder.iterdir())
    names = [path.relative_to(folder) for path in inside if path.is_file()]
    pictures, passed_over = sort_out(names)
    others = [path for path in inside if not path.is_file() and is_data(path.relative_to(folder))]
    links = sum(path.is_symlink() and (deep or not path.is_dir()) for path in others)
    folders = 0 if deep else sum(path.is_dir() for path in others)
    return FoundPictures([folder / name for name in pictures], passed_over, folders, links)


def sort_out(names: Iterable[PurePath]) -> tuple[list[PurePath], Counter[str]]:
    """Sort the names of pictures, and count those of each other ending; what is no data is left out of both."""
    pictures: list[PurePath] = []
    passed_over: Counter[str] = Counter()
    for name in names:
        if not is_data(name):
            continue
        if name.suffix.lower() in SUFFIXES:
            pictures.append(name)
        else:
            passed_over[name.suffix.lower() or "without an ending"] += 1
    return sorted(pictures), passed_over


def is_data(name: PurePath) -> bool:
    """Tell whether a file inside a folder is somebody's data: not hidden, nor what a Mac adds to archives."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.parts)


def in_words(passed_over: Counter[str]) -> str:
    """Return "4 files passed over: 3 .mov, 1 .txt", the most frequent first; empty where nothing was."""
    kinds = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    return _several(passed_over.total(), "file", f"passed over: {listed}")


def _several(count: int, thing: str, what: str) -> str:
    """Return such as "2 links not followed"; empty where there are none."""
    return f"{count:,} {thing}{'' if count == 1 else 's'} {what}" if count else ""
