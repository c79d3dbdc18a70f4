"""Portraits from a visitor's own photos: made for one visit, kept as long as it, and deleted with the photos."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gan_space.errors import Cancelled, InputError
from gan_space.packs.consent import Consent
from gan_space.packs.identity import MAX_PHOTOS
from gan_space.pipelines.own_portraits import OwnPortrait
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.ui.person.own_profiles import AGREED, ProfileEntry, delete_traces
from gan_space.ui.server.files import FileFolder, Shown, suffix_of
from gan_space.ui.server.jobs import StopSign

MAX_SET = 16
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class PortraitSet:
    """Portraits of one visit.

    Args:
        token: stands in the name of every file of the set, so that all of them can be deleted.
        shown: the labelled files, as far as they are ready.
        total: how many it will be.
        archive: a zip of all; "" until the last is ready.
        photos: files that the visitor sent for it.
        fault: why there are fewer than were asked for; None where there are not.
    """

    token: str
    shown: tuple[Shown, ...]
    total: int
    archive: str = ""
    photos: tuple[str, ...] = field(default=(), repr=False)
    fault: InputError | None = None


class OwnPortraits:
    """Makes and deletes sets.

    Args:
        person: whose networks make them.
        files: where they lie.
        gpu: wraps the function that uses the networks; None leaves it as it is.
    """

    def __init__(
        self,
        person: PersonalizationPipeline,
        files: FileFolder,
        gpu: Callable[[Callable], Callable] | None = None,
    ):
        self._files = files

        def make(paths: list[str], consent: Consent, options: dict) -> Iterator[OwnPortrait]:
            yield from person.each_portrait(paths, consent=consent, **options)

        self._make = make if gpu is None else gpu(make)

    def make(
        self,
        photos: Sequence[str],
        whose_face: str,
        *,
        token: str = "",
        stop: StopSign | None = None,
        image_format: str = "jpeg",
        visible_label: bool = True,
        **options,
    ) -> Iterator[PortraitSet]:
        """Make a set of portraits, one more at every step; where one cannot be made, the set ends with those before it.

        Nothing is left of a set that is stopped.

        Args:
            photos: 1 to 20 picture files of one person.
            whose_face: in the visitor's own words; for the record of consent.
            token: of the profile that the set belongs to; "" gives it one of its own.
            stop: ends the making once it is given.
            image_format: jpeg or png.
            visible_label: also write small into a corner that it was made with AI.
            **options: of `PersonalizationPipeline.each_portrait`: num, seed and more.

        Raises:
            InputError: no photo or too many, no name, or what `each_portrait` raises before the first portrait.
            Cancelled: it was stopped.
        """
        if not 1 <= len(photos) <= MAX_PHOTOS:
            raise InputError(f"portraits are made from 1 to {MAX_PHOTOS} photos, got {len(photos)}")
        consent = Consent(" ".join((whose_face or "").split()), AGREED)
        suffix, folder = suffix_of(image_format), self._files.new_folder()
        mark = folder.name[:8]
        made = PortraitSet(token or mark, (), options.get("num", 8), photos=tuple(photos))
        finished = False
        try:
            try:
                for one in self._make(list(photos), consent, options):
                    if stop is not None and stop.given:
                        raise Cancelled("the portraits were stopped; nothing was kept")
                    number = len(made.shown) + 1
                    # Two marks: the profile that it goes with, and the set that it is one of.
                    name = f"mine-{made.token}-{mark}-{number:02d}{suffix}"
                    path = one.save(folder / name, visible_label=visible_label)
                    made = replace(made, shown=(*made.shown, Shown(str(path), one.recipe, str(number))))
                    yield made
            except InputError as error:
                if not made.shown:
                    raise
                made = replace(made, fault=error)
            archive = folder / f"portraits-{made.token}-{mark}.zip"
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:  # pictures are small already
                for shown in made.shown:
                    file.write(shown.path, f"portrait{int(shown.caption):02d}{suffix}")
            finished = True
            yield replace(made, archive=str(archive))
        finally:
            if not finished:
                delete_traces(mark, [self._files.path])

    def delete(self, made: PortraitSet, caches: Sequence[Path] = (), *, photos: bool = True) -> None:
        """Delete a set, here and in `caches`, and with it the photos that were sent for it."""
        marks = {Path(shown.path).parent.name[:8] for shown in made.shown}
        for mark in marks:
            delete_traces(mark, [self._files.path, *caches])
        inside = [root.resolve() for root in (self._files.path, *caches)]
        for path in map(Path, made.photos if photos else ()):
            if any(path.resolve().is_relative_to(root) for root in inside):
                path.unlink(missing_ok=True)


def photos_of(profile: ProfileEntry | None) -> list[str]:
    """Return the photos that a profile was made from, as long as they are there; none for one that came as a zip."""
    files = [] if profile is None else profile.uploads
    return [path for path in files if path.lower().endswith(PICTURES) and Path(path).is_file()]
