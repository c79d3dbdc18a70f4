"""Directions that a visitor found or brought along: for one visit, and as zip files to keep."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.latents.directions import DIRECTIONS_FOLDER, INFO_FILE, WEIGHTS_FILE, Direction, Directions
from gan_space.ui.server.files import read_zip
from gan_space.ui.server.folder import server_folder

MAX_OWN = 8  # sliders that the page has room for
MAX_ZIP_BYTES = 4_000_000
ORIGINS = ("sefa", "ganspace", "marks", "file")


@dataclass(frozen=True, eq=False)
class OwnDirection:
    """A direction of one visit.

    Args:
        direction: named.
        origin: one of ORIGINS.
        accuracy: of marks that were left out, see `MarkedDirection`; None for other origins.
        skin_tone: what an amount of 1 does to the lightness of cheeks, in standard deviations; None if not measured.
    """

    direction: Direction
    origin: str
    accuracy: float | None = None
    skin_tone: float | None = None

    @property
    def name(self) -> str:
        """For programs."""
        return self.direction.name


def check_room(own: Sequence[OwnDirection], more: int = 1) -> None:
    """Raise InputError where the page has no room for so many more."""
    total = len(own) + more
    if total > MAX_OWN:
        raise InputError(f"there is room for {MAX_OWN} directions, these would be {total}: remove some first")


def digest(direction: Direction) -> str:
    """Return the first digits of the hash of a direction's numbers, by which recipes name it."""
    return hashlib.sha256(direction.vector.numpy().tobytes()).hexdigest()[:16]


def zip_directions(directions: Directions, path: Path) -> Path:
    """Write what a model folder keeps in directions/ as a zip of that folder."""
    with (
        tempfile.TemporaryDirectory(dir=server_folder().path) as name,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        directions.save_pretrained(name)
        for file in (WEIGHTS_FILE, INFO_FILE):
            archive.write(Path(name) / file, f"{DIRECTIONS_FOLDER}/{file}")
    return path


def unzip_directions(path: str | Path, expected: Directions, taken: Sequence[str]) -> list[OwnDirection]:
    """Read directions from a zip that anybody may have written.

    Args:
        path: of the zip.
        expected: any directions of this model, which say for which weights they must be.
        taken: names in use.

    Raises:
        InputError: no such zip, directions of another model, or names that are in use; all faults at once.
    """
    contents = read_zip(path, (WEIGHTS_FILE, INFO_FILE), MAX_ZIP_BYTES, "directions")
    with tempfile.TemporaryDirectory(dir=server_folder().path) as name:
        for file, content in contents.items():
            (Path(name) / file).write_bytes(content)
        try:
            found = Directions.from_pretrained(name)
        except WeightsError as error:
            raise InputError(f"{Path(path).name}: {str(error).replace(f'{name}/', '')}") from error
    faults = []
    if (found.base_hash, found.shape) != (expected.base_hash, expected.shape):
        faults.append(
            f"these directions were made for {found.base_model or 'another model'} with weights "
            f"{found.base_hash[:12]}, this page draws with {expected.base_hash[:12]}: a direction means nothing in "
            "another network"
        )
    twice = [one.name for one in found if one.name in taken]
    if twice:
        faults.append(f"there are directions named {', '.join(twice)} already; remove them first")
    raise_all(faults, InputError)
    records = found.record.get("own")
    records = records if isinstance(records, dict) else {}
    return [OwnDirection(one, "file", **_numbers(records.get(one.name))) for one in found]


def record_of(own: Sequence[OwnDirection]) -> dict[str, Any]:
    """Say what is written beside the directions about how they came to be."""
    return {
        "own": {one.name: {"origin": one.origin, "accuracy": one.accuracy, "skin_tone": one.skin_tone} for one in own}
    }


def _numbers(record: object) -> dict[str, float | None]:
    """Accuracy and skin tone from a record that anybody may have written."""
    record = record if isinstance(record, dict) else {}
    found = {}
    for name in ("accuracy", "skin_tone"):
        value = record.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1000
        found[name] = float(value) if is_number else None
    return found
