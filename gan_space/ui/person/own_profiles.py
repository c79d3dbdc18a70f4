"""Profiles that a visitor makes or brings along: fitting with progress and a way to stop, zips, and an end to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gan_space.errors import InputError
from gan_space.packs.consent import Consent
from gan_space.packs.identity import MAX_BYTES, MAX_PHOTOS, IdentityPack, delete_pack
from gan_space.packs.identity_tuning import IdentitySettings
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.ui.create.own_packs import read_pack_zip, zip_pack
from gan_space.ui.server.jobs import Job, StopSign

AGREED = "whoever made the profile, who said in the app: it is me, or this person agreed"


@dataclass(frozen=True)
class ProfileEntry:
    """A profile on this server, for one visit.

    Args:
        folder: of the three files.
        archive, preview: the zip to download, and the picture to show.
        token: stands in the name of every file that has to do with this profile, so that all of them can be deleted.
        whose_face: in the visitor's own words.
        num_photos: that it was made from.
        uploads: files that the visitor sent for it: the photos, or the zip.
    """

    folder: str
    archive: str
    preview: str
    token: str
    whose_face: str
    num_photos: int
    uploads: tuple[str, ...] = ()


@dataclass(frozen=True)
class FitStep:
    """How far the fitting of a profile is; the last one carries the profile.

    Args:
        stage: "photos" while they are looked at, then "steps".
        done, total: photos or steps.
        refused: (name, reason) of photos that are of no use, known when all of them were looked at.
        preview: what the model draws of the photos so far; None where there is nothing new.
        pack: the finished profile.
    """

    stage: str
    done: int
    total: int
    refused: tuple[tuple[str, str], ...] = ()
    preview: Image.Image | None = None
    pack: IdentityPack | None = None


@dataclass(frozen=True)
class Deleted:
    """What is gone for good; every file was looked for again afterwards.

    Args:
        files: names of the profile's own files.
        pictures: number of pictures and zips that were made with it.
        uploads: number of files that had been sent for it.
        left: files that could not be removed.
    """

    files: tuple[str, ...]
    pictures: int
    uploads: int
    left: tuple[str, ...] = ()


def fit_profile(
    person: PersonalizationPipeline,
    paths: Sequence[str],
    consent: Consent,
    stop: StopSign,
    settings: IdentitySettings,
) -> Iterator[FitStep]:
    """Fit a profile and tell how far it is; where no photo is of use, no profile comes.

    Args:
        person: whose networks the profile is for.
        paths: 1 to 20 picture files.
        consent: whose face it is and who agreed.
        stop: ends the fitting once it is given, whichever process does it.
        settings: how it is fitted.

    Raises:
        InputError: no photo, or too many.
        Cancelled: it was stopped.
    """
    if not 1 <= len(paths) <= MAX_PHOTOS:
        raise InputError(f"a profile is made from 1 to {MAX_PHOTOS} photos, got {len(paths)}")

    def work(job: Job) -> None:
        def look(done: int, total: int) -> None:
            job.check("the profile was stopped; nothing was kept")
            job.tell(FitStep("photos", done, total))

        def step(done: int, total: int, preview: Image.Image | None) -> bool:
            return job.tell(FitStep("steps", done, total, preview=preview))

        checked = person.check_photos(paths, callback=look)
        refused = tuple((photo.name, photo.reason) for photo in checked.refused)
        job.tell(FitStep("photos", len(paths), len(paths), refused))
        if checked.accepted:
            options = {name: getattr(settings, name) for name in ("num_steps", "rank", "seed")}
            pack = person.fit(checked, consent=consent, settings=settings, callback=step, **options)
            job.tell(FitStep("steps", settings.num_steps, settings.num_steps, refused, pack=pack))

    yield from Job(stop).steps(work, "fit-profile")


def keep_profile(pack: IdentityPack, base: Path, uploads: Sequence[str] = ()) -> ProfileEntry:
    """Write a profile into `base`, a folder of its own, with a zip and a preview whose names hold its token."""
    token = base.name[:8]
    folder = pack.save_pretrained(base / "profile")
    archive = zip_pack(folder, base / f"profile-{token}.zip")
    preview = base / f"profile-{token}.png"
    preview.write_bytes(pack.preview)
    return ProfileEntry(
        folder=str(folder),
        archive=str(archive),
        preview=str(preview),
        token=token,
        whose_face=pack.consent.whose_face,
        num_photos=pack.num_photos,
        uploads=tuple(uploads),
    )


def unzip_profile(path: str | Path, base: Path) -> IdentityPack:
    """Read a profile from a zip that anybody may have written; PackError for anything else."""
    folder = base / "brought"
    folder.mkdir()
    for name, content in read_pack_zip(path, MAX_BYTES).items():
        (folder / name).write_bytes(content)
    try:
        return IdentityPack.from_pretrained(folder)
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def delete_profile(entry: ProfileEntry, roots: Sequence[Path]) -> Deleted:
    """Remove a profile, all that was made with it, and the files that were sent for it.

    Args:
        entry: the profile.
        roots: folders of folders in which files with its token, and its uploads, may lie.
    """
    folder = Path(entry.folder)
    files = [path.name for path in delete_pack(folder)] if folder.is_dir() else []
    made = [path for root in roots for path in root.glob(f"*/*{entry.token}*") if path.is_file()]
    inside = [root.resolve() for root in roots]
    uploads = [
        path
        for path in map(Path, entry.uploads)
        if path.is_file() and any(path.resolve().is_relative_to(root) for root in inside)
    ]
    for path in (*made, *uploads):
        path.unlink(missing_ok=True)
    left = [path.name for path in (*made, *uploads) if path.exists()]
    return Deleted(tuple(files), len(made), len(uploads), tuple(left))


def delete_traces(token: str, roots: Sequence[Path]) -> None:
    """Remove what was written for a profile that never came to be."""
    for root in roots:
        for path in root.glob(f"*/*{token}*"):
            path.unlink(missing_ok=True)
