"""What a photo of a person allows: how well it serves as a base, and what does not go with the face in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.bridge import bridge_seen
from gan_space.faces.head import SegmenterLike
from gan_space.faces.landmarks import LandmarkerLike, Landmarks
from gan_space.faces.mesh import face_frame
from gan_space.faces.mouth import lips_are_closed
from gan_space.faces.quality import CHECK_PX, MIN_CHROMA, chroma, sharpness
from gan_space.faces.regions import find_skin
from gan_space.images import luminance
from gan_space.models.analyzer import Analyzer
from gan_space.output.visible_label import Box
from gan_space.portraits.portrait import Portrait
from gan_space.sets.framing import find_frames

# Places of the mesh where beards grow, and the cheeks beside them.
_BEARD = (
    *(164, 167, 393, 92, 322, 186, 410, 18, 83, 313, 200, 199, 175, 201, 421, 194, 418),
    *(210, 430, 211, 431, 212, 432, 214, 434, 135, 364, 169, 394),
)
_LOWER_LIP = (15, 16, 86, 85, 316, 315)
_CHEEKS = (118, 119, 101, 347, 348, 330, 50, 280, 205, 425)
# Fine contrast of the one against the other: of 67 photos, the 7 beards have 2.25 and more, other men 1.8 and less;
# women with strong make-up or heavy grain reach 2.2, so the analyzer has a say.
BEARD_ROUGHNESS, BEARD_ROUGHNESS_ALONE = 2.0, 2.5
SURE, COVERED = 0.3, 0.5  # of a man's face, for make-up; that something covers a part
DARK, DARK_SHARE = 0.3, 0.3  # lightness, and the share of the photo's edge that is below it
YOUNG_YEARS = 33.0  # by the analyzer, which errs by five years and more
COLOURED_LIPS = 26.0  # a* and b* of the lips away from those of the skin
LEAST_FOREHEAD = 0.6  # of the skin over the brows that is seen where no hair lies on it
HAIR_PX = 640  # of the photo in which hair is looked for: its masks are not kept
LITTLE_HAIR = 0.3  # squares of the face's frame, see `Head.hair_share`
_OVER_BROWS = (69, 108, 151, 337, 299, 104, 333, 105, 334, 66, 296)


@dataclass(frozen=True)
class PhotoTraits:
    """What is known of the person's face in one photo.

    Args:
        quality: 0 to 1, how well it serves as a base: sharp, frontal, lit, large.
        turn, tilt: of the head, see `gan_space.faces.landmarks.Landmarks`.
        frames: the crops that it has room for.
        suits_makeup: a face that make-up is offered for unasked: the analyzer takes it for a woman's.
        young: as young as a face may look; it is made no younger.
        made_up: lips that are coloured already.
        fringe: hair lies over the brows.
        light_from: where the light comes from, -1 the left of the picture to 1 the right.
        dark_around: the photo's edge is dark.
        little_hair: of the head; shaved, bald, or under a hat.
        beard, glasses, grey, closed_lips, covered_eyes, covered_mouth: as they say.
    """

    quality: float
    turn: float
    tilt: float
    frames: Mapping[str, Box]
    suits_makeup: bool = False
    beard: bool = False
    glasses: bool = False
    grey: bool = False
    young: bool = False
    made_up: bool = False
    fringe: bool = False
    little_hair: bool = False
    light_from: float = 0.0
    dark_around: bool = False
    closed_lips: bool = True
    covered_eyes: bool = False
    covered_mouth: bool = False


@torch.no_grad()
def read_traits(
    portrait: Portrait,
    landmarker: LandmarkerLike,
    analyzer: Analyzer | None = None,
    segmenter: SegmenterLike | None = None,
) -> PhotoTraits:
    """Look at the chosen face of a photo.

    Args:
        portrait: with one chosen face.
        analyzer: tells make-up and glasses; without one no face is offered make-up unasked.
        segmenter: tells hair; without one there is none.
    """
    (marks,) = portrait.landmarks(landmarker)
    pixels = portrait.pixels
    crop = portrait.crops(CHECK_PX)
    said = {} if analyzer is None else analyzer(crop.to(analyzer.device)).attributes
    male = float(said["male"][0]) if "male" in said else None
    rough = _roughness(pixels, marks)
    beard = rough > BEARD_ROUGHNESS and male > 0.5 if male is not None else rough > BEARD_ROUGHNESS_ALONE
    left, right, mouth = (float(sure) > COVERED for sure in marks.covered)
    return PhotoTraits(
        quality=rate(crop, marks),
        turn=marks.turn,
        tilt=marks.tilt,
        frames=find_frames(marks, tuple(pixels.shape[1:])),
        suits_makeup=male is not None and male < SURE,
        beard=beard,
        glasses=max(float(said["glasses"][0]) if "glasses" in said else 0.0, bridge_seen(pixels, marks.points)) > 0.5,
        grey=chroma((crop[0] + 1) / 2) < MIN_CHROMA,
        young="age" in said and float(said["age"][0]) < YOUNG_YEARS,
        made_up=_lip_colour(pixels, marks) > COLOURED_LIPS,
        fringe=_seen(pixels, marks, _OVER_BROWS) < LEAST_FOREHEAD,
        little_hair=segmenter is None or portrait.thumbnail(HAIR_PX).heads(segmenter)[0].hair_share < LITTLE_HAIR,
        light_from=_light_from(crop),
        dark_around=_edge_light(pixels) < DARK,
        closed_lips=lips_are_closed(marks.points, pixels),
        covered_eyes=left or right,
        covered_mouth=mouth,
    )


def rate(crop: Tensor, marks: Landmarks) -> float:
    """Say how well a photo serves as a base, 0 to 1: the product of sharp, frontal, lit and large.

    Args:
        crop: [1, 3, 128, 128] in [-1, 1], the face in its tight frame.
        marks: of the same face.
    """
    grey = luminance((crop[0].float().cpu() + 1) / 2)[0]
    sharp = min(sharpness(grey) / 0.3, 1.0)
    frontal = float(np.exp(-((marks.turn / 0.3) ** 2) - (marks.tilt / 0.3) ** 2))
    low, high = (float(value) for value in torch.quantile(grey.flatten(), torch.tensor([0.05, 0.95])))
    # Deep shade and burnt lights both leave a face less to be worked with, and so does no contrast at all.
    lit = min(max(high - low, 0.0) / 0.4, 1.0) * min(max(1.03 - high, 0.0) / 0.06, 1.0) ** 0.5
    even = 1 - min(abs(_light_from(crop)), 0.8)
    large = min(marks.eye_distance / 120, 1.0) ** 0.5
    clear = 1 - 0.6 * float(max(marks.covered))
    return float(sharp * frontal * lit * even * large * clear)


def _light_from(crop: Tensor) -> float:
    """Lightness of the right half of a face less that of its left half, twice: -1 to 1."""
    grey = luminance((crop[0].float().cpu() + 1) / 2)[0]
    half = grey.shape[1] // 2
    return float(min(max(2 * (grey[:, half:].mean() - grey[:, :half].mean()), -1.0), 1.0))


def _lip_colour(pixels: Tensor, marks: Landmarks) -> float:
    """How far the lower lip's colour is from that of the cheeks, in a* and b*."""
    means = []
    for places in (_LOWER_LIP, _CHEEKS):
        inside = [_patch(pixels, *marks.points[place], 0.02 * marks.eye_distance) for place in places]
        colours = np.concatenate([part for part in inside if len(part)] or [np.zeros((1, 3), np.uint8)])
        lab = cv2.cvtColor(np.float32(colours)[None] / 255, cv2.COLOR_RGB2LAB)[0]
        means.append(np.median(lab[:, 1:], axis=0))
    return float(np.linalg.norm(means[0] - means[1]))


def _seen(pixels: Tensor, marks: Landmarks, places: tuple[int, ...]) -> float:
    """Share of some places that have the colour of this face's skin."""
    height, width = pixels.shape[1:]
    inside = [(int(x), int(y)) for x, y in marks.of(places) if 0 <= x < width and 0 <= y < height]
    if not inside:
        return 0.0
    skin = find_skin(marks.points, pixels, (0, 0, width, height))
    return float(np.mean([skin[y, x] for x, y in inside]))


def _patch(pixels: Tensor, x: float, y: float, radius: float) -> np.ndarray:
    """[K, 3] of the colours around a place; empty outside of the photo."""
    r = max(1, int(radius))
    rows, columns = slice(max(int(y) - r, 0), max(int(y) + r + 1, 0)), slice(max(int(x) - r, 0), max(int(x) + r + 1, 0))
    return pixels[:, rows, columns].reshape(3, -1).T.cpu().numpy()


def _edge_light(pixels: Tensor) -> float:
    """Lightness, 0 to 1, of the darker parts of a photo's upper and side edges: the background, mostly."""
    height, width = pixels.shape[1:]
    rim = max(1, min(height, width) // 20)
    parts = (pixels[:, :rim], pixels[:, :, :rim], pixels[:, :, width - rim :])
    edge = torch.cat([part.reshape(3, -1) for part in parts], dim=1).float() / 255
    light = luminance(edge[:, :, None]).flatten()
    return float(np.quantile(light.numpy(), DARK_SHARE))


def _roughness(pixels: Tensor, marks: Landmarks) -> float:
    """Fine contrast where beards grow over that of the cheeks."""
    unit = face_frame(marks.points).frame_px
    grey = cv2.cvtColor(pixels.permute(1, 2, 0).cpu().numpy(), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), max(0.02 * unit, 0.6)))
    radius = max(1, int(0.04 * unit))

    def around(places: tuple[int, ...]) -> float:
        height, width = grey.shape
        inside = [(int(x), int(y)) for x, y in marks.of(places) if 0 <= x < width and 0 <= y < height]
        parts = [
            fine[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1].mean() for x, y in inside
        ]
        return float(np.mean(parts)) if parts else 0.0

    return around(_BEARD) / (around(_CHEEKS) + 0.5)
