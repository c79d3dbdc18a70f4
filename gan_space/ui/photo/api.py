"""What browser and server say to each other: what a visitor asks for, checked before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from gan_space.errors import InputError, raise_all
from gan_space.looks.makeup_reference import PARTS, SHARE
from gan_space.pipelines.photo_edit import EditSettings
from gan_space.settings import default_of, is_number, value_faults
from gan_space.styles.settings import StyleSettings
from gan_space.ui.i18n import choose_language
from gan_space.ui.server.files import uploaded_path

DEFAULT_STRENGTH = default_of(StyleSettings, "strength")
MAX_NAME_CHARS = 200
MAX_FACES = 999


class PhotoGone(InputError):
    """A photo, or the picture whose make-up is worn, is no longer on the server."""


@dataclass(frozen=True)
class PhotoAsk:
    """What is to become of the open photo.

    Args:
        look: name of a look; "" for none.
        strength: of the look, 0 to 1.5.
        edits: slider -> amount, those at 0 left out.
        glasses: a kind of frame, or "none".
        makeup_from: uploaded picture whose make-up is worn; "" for none.
        makeup_strength: of that make-up, 0 to 1.
        makeup_tone: of that picture's tone and light, 0 to 1.
        faces: "largest", "all", or the number of a face, the largest first.
        number: that the browser counts its questions with; the answer says it again.
        language: tag.
    """

    look: str = ""
    strength: float = DEFAULT_STRENGTH
    edits: tuple[tuple[str, float], ...] = ()
    glasses: str = "none"
    makeup_from: str = ""
    makeup_strength: float = 1.0
    makeup_tone: float = 1.0
    faces: str | int = "largest"
    number: int = 0
    language: str = "en"

    @property
    def makeup_shares(self) -> dict[str, float]:
        """Part of the other picture's make-up -> how much of it is worn."""
        return dict.fromkeys(PARTS, self.makeup_strength) | {"tone": self.makeup_tone}

    @property
    def adjusts(self) -> bool:
        """Whether anything but the look is asked for."""
        return bool(self.edits or self.makeup_from or self.glasses != "none")

    @classmethod
    def read(cls, data: Any, looks: Collection[str], sliders: Mapping[str, tuple[float, float]]) -> PhotoAsk:
        """Take a question as a browser sent it, which anybody may have written.

        Args:
            data: record with the names of the fields above, `edits` as a record.
            looks: names that may be asked for.
            sliders: (lowest, highest) amount of those that may be moved.

        Raises:
            InputError: a value of the wrong kind; all faults at once.
            PhotoGone: the picture whose make-up is wanted was swept away.
        """
        data = data if isinstance(data, Mapping) else {}
        given = {name: data.get(name, default) for name, default in _DEFAULTS.items()}
        look, strength, edits, faces = given["look"], given["strength"], given["edits"], given["faces"]
        number, glasses, worn = given["number"], given["glasses"], given["makeup_from"]
        faults = value_faults(EditSettings, glasses=glasses) + value_faults(StyleSettings, strength=strength)
        if worn and (worn := uploaded_path(file_record(worn))) is None:
            raise PhotoGone("the picture whose make-up is wanted is no upload, or is no longer kept")
        shares = [given[name] for name in ("makeup_strength", "makeup_tone")]
        faults += filter(None, map(SHARE.fault, ("makeup_strength", "makeup_tone"), shares))
        if look != "" and look not in looks:
            faults.append(f"look must be one of {', '.join(looks)}, got {str(look)[:MAX_NAME_CHARS]!r}")
        if not isinstance(edits, Mapping):
            faults.append("edits must be a record of sliders and amounts")
            edits = {}
        for name, amount in edits.items():
            low, high = sliders.get(name, (0, 0))
            if name not in sliders:
                faults.append(f"there is no slider {str(name)[:MAX_NAME_CHARS]!r}")
            elif not is_number(amount) or not low <= amount <= high:
                faults.append(f"{name} must be from {low:g} to {high:g}, got {amount!r}")
        by_number = isinstance(faces, int) and not isinstance(faces, bool) and 0 <= faces <= MAX_FACES
        if faces not in ("largest", "all") and not by_number:
            faults.append("faces must be largest, all, or a number from 0")
        raise_all(faults, InputError)
        moved = tuple((name, float(amount)) for name, amount in edits.items() if amount)
        language = choose_language(data.get("language"))
        number = number if isinstance(number, int) else 0
        strengths = [float(share) for share in (strength, *shares)]
        return cls(look, strengths[0], moved, glasses, worn or "", *strengths[1:], faces, number, language)


_DEFAULTS = {one.name: one.default for one in fields(PhotoAsk)} | {"edits": {}}


@dataclass(frozen=True)
class PhotoChoice:
    """A photo that a visitor has chosen.

    Args:
        path: of the upload, or None.
        example: number of an example instead, or None.
        number, language: as in `PhotoAsk`.
    """

    path: str | None
    example: int | None
    number: int
    language: str

    @classmethod
    def read(cls, data: Any, num_examples: int) -> PhotoChoice:
        """Take a choice as a browser sent it.

        Raises:
            InputError: neither a file that came through the upload nor an example.
            PhotoGone: it was swept away.
        """
        data = data if isinstance(data, Mapping) else {}
        number, example = data.get("number", 0), data.get("example")
        known = isinstance(example, int) and not isinstance(example, bool) and 0 <= example < num_examples
        path = None if known else uploaded_path(file_record(data.get("path")))
        if path is None and isinstance(data.get("path"), str):
            raise PhotoGone("the upload is no longer kept")
        if path is None and not known:
            raise InputError("the photo must be an upload or one of the examples")
        language = choose_language(data.get("language"))
        return cls(path, example if known else None, number if isinstance(number, int) else 0, language)


def file_record(path: Any) -> dict[str, Any]:
    """Describe a file as gradio and the browser do to each other; the browser adds the address."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
