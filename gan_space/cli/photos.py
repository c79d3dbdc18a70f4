"""What commands share that read photos and write a picture of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gan_space.cli.console import progress, say
from gan_space.errors import GanSpaceError, InputError, raise_all
from gan_space.photos.folders import SUFFIXES, FoundPictures, find_pictures

WRITE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def change_each(sources: list[Path], change: Callable[[int, Path], None], changed: str) -> None:
    """Call change(number, source) for one photo after the other; where one fails, the others are still done.

    Args:
        changed: what did not happen to a photo that failed, such as "styled".

    Raises:
        GanSpaceError: of the only photo; or one that names all that failed.
    """
    from gan_space.photos.opening import without_name

    failed = []
    for number, source in enumerate(sources):
        try:
            change(number, source)
        except GanSpaceError as error:
            if len(sources) == 1:
                raise
            failed.append(f"{source}: {without_name(error, source.name)}")
        progress(number + 1, len(sources), "photos")
    if failed:
        raise InputError(f"{len(failed)} of {len(sources)} photos could not be {changed}:\n" + "\n".join(failed))


def labelled_pictures(count: int, out: Path) -> str:
    """Return the sentence at the end."""
    return f"{count:,} labelled picture{'s' if count > 1 else ''} in {out}"


def list_photos(photos: list[Path]) -> list[Path]:
    """List files as given, and the pictures in given folders, by name; say what else lies in those folders.

    Raises:
        InputError: a name that does not exist, or a folder without pictures; all of them at once.
    """
    found, faults = FoundPictures(), []
    for path in photos:
        if path.is_dir():
            inside = find_pictures(path)
            remark = f"; {inside.remark()}" if inside.remark() else ""
            faults += [] if inside.files else [f"the folder {str(path)!r} holds no pictures{remark}"]
            found.files.extend(inside.files)
            found.passed_over.update(inside.passed_over)
            found.folders += inside.folders
            found.links += inside.links
        elif path.is_file():
            found.files.append(path)
        else:
            faults.append(f"{str(path)!r} does not exist")
    raise_all(faults, InputError)
    if remark := found.remark():
        say(remark)
    return found.files


def name_results(sources: list[Path], out: Path, image_format: str | None) -> list[Path]:
    """Say where each result goes: `out` itself for one photo, or a file of the photo's name in the folder `out`."""
    if is_file_name(out):
        if len(sources) > 1:
            raise InputError(f"--out {str(out)!r} is one file for {len(sources)} photos; give a folder")
        if image_format is not None and out.suffix.lower().lstrip(".").replace("jpeg", "jpg") != image_format:
            raise InputError(f"--out {str(out)!r} and --format {image_format} do not agree; leave --format out")
        return [out]
    if out.suffix.lower() in SUFFIXES and not out.is_dir():
        raise InputError(f"--out {str(out)!r} cannot be written; a file ends in {', '.join(WRITE_SUFFIXES)}")
    files = []
    for source in sources:
        kept = source.suffix.lower() if source.suffix.lower() in WRITE_SUFFIXES else ".png"
        files.append(out / (source.stem + (kept if image_format is None else f".{image_format}")))
    twice = sorted({str(file) for file in files if files.count(file) > 1})
    if twice:
        raise InputError(
            f"several photos would become {', '.join(twice[:3])}: give them other names or style them apart"
        )
    return files


def is_file_name(out: Path) -> bool:
    """Tell whether --out names a picture rather than a folder."""
    return out.suffix.lower() in WRITE_SUFFIXES and not out.is_dir()


def refuse_inputs(files: list[Path], inputs: list[Path]) -> None:
    """Raise InputError where a result would take the place of a photo, by whatever name it goes."""
    originals = {path.resolve() for path in inputs}
    hit = [
        str(file)
        for file in files
        if file.resolve() in originals or (file.exists() and any(file.samefile(path) for path in inputs))
    ]
    if hit:
        raise InputError(f"{', '.join(hit[:3])} would replace a photo that is read; choose another --out")


def parse_faces(text: str) -> int | str:
    """Turn "2" into the number of a face; "largest" and "all" stay."""
    return int(text) if text.isdecimal() else text


def parse_boxes(texts: list[str] | None, sources: list[Path]) -> list[tuple[float, ...]] | None:
    """Turn what marks faces by hand into numbers; InputError where there is more than the one photo they belong to."""
    if not texts:
        return None
    if len(sources) > 1:
        raise InputError(f"--box belongs to one photo, got {len(sources)}: do them one by one")
    return [parse_box(text) for text in texts]


def parse_box(text: str) -> tuple[float, ...]:
    """Turn "10,20,200" or "10,20,200,-15" into numbers."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (3, 4):
        raise InputError(f"--box must be x,y,size or x,y,size,roll in px and degrees, got {text!r}")
    return numbers


def parse_amounts(texts: list[str], option: str) -> dict[str, float]:
    """Turn ["smile=1", "age=-0.5"] into {"smile": 1.0, "age": -0.5}; InputError with all faults at once."""
    amounts, faults = {}, []
    for text in texts:
        name, _, number = text.partition("=")
        try:
            amount = float(number)
        except ValueError:
            faults.append(f"{option} must be such as smile=1, got {text[:60]!r}")
            continue
        faults += [f"{option} {name} is given twice"] if name in amounts else []
        amounts[name] = amount
    raise_all(faults, InputError)
    return amounts
