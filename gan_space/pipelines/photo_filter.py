"""Which of somebody's photos a profile is made from, and for every other one the reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import FaceError, InputError, raise_all
from gan_space.faces.detect import AlignerLike, FaceDetector
from gan_space.faces.find import Face, choose_face
from gan_space.faces.landmarks import LandmarkerLike
from gan_space.faces.quality import (
    CHECK_PX,
    DUPLICATE_CORRELATION,
    MAX_BRIGHTNESS,
    MIN_BRIGHTNESS,
    MIN_CHROMA,
    MIN_SHARPNESS,
    chroma,
    sharpness,
    thumbnail,
)
from gan_space.images import luminance
from gan_space.models.face_identity import FaceIdentity
from gan_space.packs.identity import MAX_PHOTOS
from gan_space.photos.opening import PhotoLike, list_photos, without_name
from gan_space.portraits.portrait import Portrait, open_portrait
from gan_space.settings import brief, least_faults, values_of

MAX_GIVEN = 100
BYSTANDER_SHARE = 0.5  # faces below this share of the largest one's width stand in the background
MIN_PHOTOS_TO_JUDGE = 3  # of two photos of two people, nobody can say which is the wrong one

UNREADABLE, NO_FACE, TOO_SMALL_OR_TURNED = "unreadable", "no face", "too small or turned"
BLURRED, GRAY, DARK_OR_BRIGHT = "blurred", "grey", "too dark or bright"
DUPLICATE, OTHER_PERSON, TOO_MANY = "duplicate", "another person", "too many"
REASONS = (
    *(UNREADABLE, NO_FACE, TOO_SMALL_OR_TURNED, BLURRED, GRAY, DARK_OR_BRIGHT, DUPLICATE, OTHER_PERSON, TOO_MANY),
)


@dataclass(frozen=True)
class PhotoLimits:
    """What a photo must be to be taken.

    Args:
        min_sharpness: see `gan_space.faces.quality.sharpness`; 0 takes blurred ones too.
        min_chroma: mean of largest minus smallest channel; 0 takes grey ones too.
        duplicate_correlation: of the thumbnails of two photos; above 1 takes all.
        outlier_margin: how far, in cosine, a face may be from the others before it is another person's; 2 takes all.

    Raises:
        InputError: all faults at once.
    """

    min_sharpness: float = MIN_SHARPNESS
    min_chroma: float = MIN_CHROMA
    duplicate_correlation: float = DUPLICATE_CORRELATION
    outlier_margin: float = 0.2

    def __post_init__(self):
        names = ("min_sharpness", "min_chroma", "duplicate_correlation", "outlier_margin")
        raise_all(least_faults(0, values_of(self, *names)), InputError)


@dataclass(frozen=True, eq=False)
class CheckedPhoto:
    """One photo, accepted or refused.

    Args:
        name: of the file, or "photo 3".
        reason: "" if accepted, else one of `REASONS`.
        detail: a sentence for the user; also for some that were accepted.
        crop: [1, 3, R, R] in [-1, 1], the face; None if refused.
        face: its number among those that are found in the photo, the largest first.
    """

    name: str
    reason: str = ""
    detail: str = ""
    crop: Tensor | None = None
    face: int = 0

    @property
    def accepted(self) -> bool:
        """Whether the profile is made from it."""
        return not self.reason


@dataclass(frozen=True, eq=False)
class CheckedPhotos:
    """All photos that were given, in their order."""

    photos: tuple[CheckedPhoto, ...]

    @property
    def accepted(self) -> tuple[CheckedPhoto, ...]:
        """Those that the profile is made from."""
        return tuple(photo for photo in self.photos if photo.accepted)

    @property
    def refused(self) -> tuple[CheckedPhoto, ...]:
        """The others."""
        return tuple(photo for photo in self.photos if not photo.accepted)

    @property
    def crops(self) -> Tensor:
        """[K, 3, R, R] of the accepted ones; InputError with all reasons where there are none."""
        if not self.accepted:
            raise InputError("not one photo can be used:\n" + "\n".join(f"  - {line}" for line in self.lines()))
        return torch.cat([photo.crop for photo in self.accepted])

    def lines(self) -> list[str]:
        """Return one line for each photo that was refused, and for each that something is to be said about."""
        return [
            f"{photo.name}: {photo.detail or photo.reason}" for photo in self.photos if photo.reason or photo.detail
        ]

    def count(self) -> dict[str, int]:
        """Say how many were refused for which reason."""
        return dict(Counter(photo.reason for photo in self.refused))


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A face that could be the person's."""

    face: int  # its number in the photo
    crop: Tensor  # [1, 3, R, R]
    thumbnail: np.ndarray
    embedding: Tensor | None  # [D]


@torch.no_grad()
def check_photos(
    photos: Sequence[PhotoLike | Portrait],
    aligner: AlignerLike,
    resolution: int,
    *,
    landmarker: LandmarkerLike | None = None,
    identity: FaceIdentity | None = None,
    limits: PhotoLimits | None = None,
    detector: FaceDetector | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> CheckedPhotos:
    """Find the person's face in every photo, and say which photos are of use.

    A photo with several faces gives the one most like the faces of the other photos; without an identity network, the
    largest. Another person is found by that network too, among three photos or more.

    Args:
        photos: 1 to 100 pictures, file names, tensors [3, H, W] uint8 or opened photos; 20 at most are accepted.
        aligner, landmarker: the networks, see `find_faces`.
        resolution: R, of the crops.
        identity: the network that compares faces; None skips these comparisons.
        limits: None for the defaults.
        detector: finds faces instead of OpenCV's cascade.
        callback: called as (done, total) after every photo.

    Raises:
        InputError: no photo, or too many.
    """
    limits = limits or PhotoLimits()
    photos = photos_of_person(photos)
    opened = partial(open_portrait, aligner=aligner, landmarker=landmarker, detector=detector)
    results: list[CheckedPhoto] = []
    candidates: list[list[_Candidate]] = []
    for number, photo in enumerate(photos):
        name = Path(photo).name if isinstance(photo, str | Path) else f"photo {number + 1}"
        result, found = _look_at(partial(opened, photo), CheckedPhoto(name), resolution, identity, limits)
        results.append(result)
        candidates.append(found)
        if callback is not None:
            callback(number + 1, len(photos))
    chosen = _choose_among(candidates)
    for number, choice in enumerate(chosen):
        if choice is not None:
            results[number] = replace(
                results[number], crop=choice.crop, face=choice.face, detail=_several(len(candidates[number]))
            )
    _refuse_duplicates(results, chosen, limits)
    _refuse_others(results, chosen, limits)
    for photo in [photo for photo in results if photo.accepted][MAX_PHOTOS:]:
        detail = f"a profile is made from {MAX_PHOTOS} photos at most, the first that can be used"
        results[results.index(photo)] = replace(photo, reason=TOO_MANY, detail=detail, crop=None)
    return CheckedPhotos(tuple(results))


def photos_of_person(photos: object) -> list:
    """Return photos as a list, to be gone through more than once; InputError for no list, and for too few or many."""
    several = list_photos(photos)
    if several is not None and 1 <= len(several) <= MAX_GIVEN:
        return several
    if several is not None:
        got = str(len(several))
    elif isinstance(photos, PhotoLike | Portrait) or hasattr(photos, "read"):
        got = "one picture that is no list"
    else:
        got = brief(photos)
    raise InputError(f"expected a list of 1 to {MAX_GIVEN} photos of one person, got {got}")


def quality_fault(crop: Tensor, limits: PhotoLimits) -> tuple[str, str]:
    """Return (reason, detail) why a face [1, 3, 128, 128] in [-1, 1] is of no use; ("", "") if it is."""
    colors = (crop[0].float().cpu() + 1) / 2
    gray = luminance(colors)[0]
    light = float(gray.mean())
    if not MIN_BRIGHTNESS <= light <= MAX_BRIGHTNESS:
        word = "dark" if light < MIN_BRIGHTNESS else "bright"
        return DARK_OR_BRIGHT, f"the face is too {word}: use a photo with even light"
    sharp = sharpness(gray)
    if sharp < limits.min_sharpness:
        return BLURRED, f"the face is blurred (sharpness {sharp:.2f}, expected {limits.min_sharpness:.2f} or more)"
    if chroma(colors) < limits.min_chroma:
        return GRAY, "the face is grey: profiles are made from colour photos"
    return "", ""


def find_outliers(embeddings: Tensor, margin: float) -> list[int]:
    """Say which of K faces are not of the person that most of the others show.

    One after the other, the face whose median cosine to the rest is furthest below what is usual among the rest, as
    long as that is by more than `margin`, or three deviations where faces vary more; never half of the faces or more.

    Args:
        embeddings: [K, D] of unit length.
        margin: in cosine.

    Example:
        >>> faces = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.9, 0.0], [0.0, 1.0]])
        >>> find_outliers(torch.nn.functional.normalize(faces, dim=1), 0.3)
        [3]
    """
    cosine = (embeddings @ embeddings.T).double()
    left, out = list(range(len(embeddings))), []
    while len(left) >= MIN_PHOTOS_TO_JUDGE and 2 * (len(out) + 1) < len(embeddings):
        worst, excess = None, 0.0
        for one in left:
            rest = [other for other in left if other != one]
            own = cosine[one, rest].median()
            pairs = torch.stack([cosine[a, b] for k, a in enumerate(rest) for b in rest[k + 1 :]])
            usual = pairs.median()
            allowed = max(margin, 3 * 1.4826 * (pairs - usual).abs().median().item())
            beyond = (usual - own).item() - allowed
            if beyond > excess:
                worst, excess = one, beyond
        if worst is None:
            break
        left.remove(worst)
        out.append(worst)
    return sorted(out)


def _look_at(
    open_it: Callable[[], Portrait],
    blank: CheckedPhoto,
    resolution: int,
    identity: FaceIdentity | None,
    limits: PhotoLimits,
) -> tuple[CheckedPhoto, list[_Candidate]]:
    """What is to be said of one photo alone, and the faces in it that are of use, the largest first."""
    try:
        portrait = open_it()
    except InputError as error:
        return replace(blank, reason=UNREADABLE, detail=without_name(error, blank.name)), []
    pixels, faces = portrait.pixels, portrait.faces
    try:
        largest = choose_face(list(faces))
    except FaceError as error:
        return replace(blank, reason=TOO_SMALL_OR_TURNED if faces else NO_FACE, detail=str(error)), []
    near = [face for face in faces if face.usable and face.frame_px >= BYSTANDER_SHARE * largest.frame_px]
    found, first_fault = [], ("", "")
    for face in sorted(near, key=lambda one: -one.frame_px):
        at_check_px = face.transform.crop(pixels, CHECK_PX)
        fault = quality_fault(at_check_px, limits)
        if fault[0]:
            first_fault = first_fault if first_fault[0] else fault
            continue
        number = next(k for k, one in enumerate(faces) if one is face)
        found.append(_candidate(pixels, face, number, at_check_px, resolution, identity))
    return (blank, found) if found else (replace(blank, reason=first_fault[0], detail=first_fault[1]), [])


def _candidate(
    pixels: Tensor, face: Face, number: int, at_check_px: Tensor, resolution: int, identity: FaceIdentity | None
) -> _Candidate:
    crop = at_check_px if resolution == CHECK_PX else face.transform.crop(pixels, resolution)
    embedding = None
    if identity is not None:
        embedding = identity(at_check_px.to(identity.device))[0].cpu()
    return _Candidate(number, crop, thumbnail(luminance((at_check_px[0] + 1) / 2)[0]), embedding)


def _choose_among(candidates: list[list[_Candidate]]) -> list[_Candidate | None]:
    """One face a photo, or None: the only one, the one most like the only ones of other photos, or the largest."""
    alone = [found[0] for found in candidates if len(found) == 1] or [found[0] for found in candidates if found]
    known = [one.embedding for one in alone if one.embedding is not None]
    middle = torch.stack(known).mean(dim=0) if known else None
    chosen: list[_Candidate | None] = []
    for found in candidates:
        if len(found) > 1 and middle is not None:
            chosen.append(max(found, key=lambda one: float(one.embedding @ middle)))
        else:
            chosen.append(found[0] if found else None)
    return chosen


def _several(count: int) -> str:
    return f"{count} faces are in it; one of them was taken" if count > 1 else ""


def _refuse_duplicates(results: list[CheckedPhoto], chosen: list[_Candidate | None], limits: PhotoLimits) -> None:
    kept: list[int] = []
    for number, choice in enumerate(chosen):
        if choice is None:
            continue
        same = [k for k in kept if float(choice.thumbnail @ chosen[k].thumbnail) >= limits.duplicate_correlation]
        if same:
            detail = f"nearly the same picture as {results[same[0]].name}"
            results[number] = replace(results[number], reason=DUPLICATE, detail=detail, crop=None)
        else:
            kept.append(number)


def _refuse_others(results: list[CheckedPhoto], chosen: list[_Candidate | None], limits: PhotoLimits) -> None:
    judged = [number for number, photo in enumerate(results) if photo.accepted and chosen[number].embedding is not None]
    if len(judged) < MIN_PHOTOS_TO_JUDGE:
        return
    embeddings = torch.stack([chosen[number].embedding for number in judged])
    for index in find_outliers(embeddings, limits.outlier_margin):
        detail = "the face is unlike those of the other photos: it seems to be another person"
        results[judged[index]] = replace(results[judged[index]], reason=OTHER_PERSON, detail=detail, crop=None)
