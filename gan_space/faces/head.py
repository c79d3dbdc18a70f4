"""Where hair and person are around a face, as soft masks at the photo's own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import HEAD_FRAME, TIGHT_FRAME, AlignTransform
from gan_space.faces.by_color import Colors, from_odds, to_odds
from gan_space.faces.guided_filter import fit_to_colors, read_off
from gan_space.images import from_uint8, smooth_step
from gan_space.photos.opening import check_photo, to_rows

# From the tight frame, in which faces are found, to the head frame, which the segmenter looks at.
TO_HEAD = AlignTransform.fit(TIGHT_FRAME, HEAD_FRAME)

_WORK_PX = 448  # longer side of the picture in which edges are followed
_REACH = 0.012  # of the box: how far an edge may lie from where the network drew it
_PIVOT, _MAX_ZOOM = np.array([0.5, 0.4]), 1.35  # of a closer look: around the middle of the face
_WIDER, _CUT_OFF = 1.4, 0.01  # a frame for more hair, and the share of it that is lost at the sides of the first one
_NEARER, _NEAREST = 1.5, 1.9  # of a second look, from nearer still: edges and strands are seen larger
_SEAM, _INNER = 0.1, 0.3  # of it: how softly it ends, and from its sides to where on hair is not taken away
_FACE = (0.16, 0.3, 0.55)  # of the head frame: half as wide as a face with its beard, from where on to where down
_FADE = 0.06  # of the box, along sides that are not the photo's edge
_SURE = (0.25, 0.65)  # probability of hair from which it is believed, and from which fully
# What hangs together is as sure as its surest tenth: caps and shadows on a wall are in doubt all over, hair seldom is.
_TOGETHER, _DOUBTED = 0.3, (0.7, 0.88)
_FIRM = (0.2, 0.8)  # what a mask has to say to be taken for nothing, and for all
_COLOR_WORD, _VAGUE = 1.1, 0.7  # how much colours count, and logarithms of odds up to which they say nothing
_LENT = (0.2, 0.6)  # what is a person by less than this is none by its colours: letters and shadows look like hair
_SURELY_BACK = 0.15  # what is a person by less than this tells what the background looks like
_FACE_RADIUS = 0.09  # of the head frame, around the middle of the face: where skin is
_SKIN_WORD, _FINGER = 1.2, 0.09  # from where on a colour is skin, and half a finger's width in eye distances
_MAYBE = 0.1  # what the network says of hands at least, mostly
_STEP, _BETWEEN = 8, 0.08  # px between places at which two heads are told apart; how softly, in widths of a face
_ONE_TONE = 1.7  # codes by which colours differ at one lightness: toned photos have 0.7, those in colour 3 and more
_APART = 1.0  # square eye distances that a thing beside the person has to cover to be one of the person's
_SPREAD = np.dstack([np.arange(256) / 3, *[((np.arange(256) - 128.0) * 3 + 128).clip(0, 255)] * 2]).astype(np.uint8)


class SegmenterLike(Protocol):
    """What `find_head` needs of `gan_space.models.segmenter.Segmenter`."""

    resolution: int

    def __call__(self, images: Tensor): ...


@dataclass(frozen=True, eq=False)
class Head:
    """Hair and person around one face.

    Attributes:
        box: left, top, right, bottom in whole photo pixels; beyond it nothing is known.
        hair: [h, w] float32, share of a pixel that is hair of the head, 0 to 1.
        person: [h, w] float32, likewise of the person, with hair, clothes and hat.
        frame_px: width of the face's tight frame in photo pixels.
    """

    box: tuple[int, int, int, int]
    hair: np.ndarray
    person: np.ndarray
    frame_px: float = 1.0

    @property
    def hair_share(self) -> float:
        """Hair in squares of the face's frame: 0.1 is a shaved head, 1 is short hair, 4 is long hair."""
        return float(self.hair.sum()) / self.frame_px**2


@torch.no_grad()
def find_head(photo: Tensor, transform: AlignTransform, segmenter: SegmenterLike) -> Head:
    """Find hair and person around a face.

    The network sees the head small, and once more from nearer, each time mirrored too; then the masks follow the
    photo's own edges at the photo's own size (guided filter: He, Sun and Tang 2013; fast: He and Sun 2015). Where hair
    goes on beyond the frame, as very big hair does and that of a turned head, all of it is seen again from further off.

    Args:
        photo: [3, H, W] uint8.
        transform: photo pixels -> tight frame, of the face.
        segmenter: the network, in evaluation mode.

    Raises:
        InputError: `photo` has another form.
    """
    check_photo(photo)
    head, cut_off = _look(photo, transform, segmenter, 1.0)
    return _look(photo, transform, segmenter, _WIDER)[0] if cut_off > _CUT_OFF else head


def _look(photo: Tensor, transform: AlignTransform, segmenter: SegmenterLike, reach: float) -> tuple[Head, float]:
    """Find a head in a frame that is `reach` times as wide; also say which share of the hair is lost at its sides."""
    view = transform.then(TO_HEAD)
    corners = view.inverse.apply(_PIVOT + reach * (np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) - _PIVOT))
    width, height = photo.shape[2], photo.shape[1]
    left, top = np.floor(corners.min(axis=0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).clip(0, (width, height))
    box = (int(left), int(top), int(right), int(bottom))
    if right - left < 2 or bottom - top < 2:
        nothing = np.zeros((max(0, bottom - top), max(0, right - left)), np.float32)
        return Head(box, nothing, nothing, transform.frame_px), 0.0
    part = to_rows(photo[:, top:bottom, left:right])
    scale = min(1.0, _WORK_PX / max(part.shape[:2]))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA) if scale < 1 else part
    whole = _Grid.of(view, box, small.shape[:2])
    zoom = _zoom(view, box) if reach == 1 else 1 / reach
    rough = _laid_over(_seen_twice(small, whole, zoom, segmenter), whole.zoomed(zoom))
    known = _faded(whole.zoomed(1 / reach))
    rough[..., 1] = _weighed_by_color(small, rough[..., 1], known, whole)
    hair = smooth_step(rough[..., 0], *_SURE)
    cut_off = float((hair * (1 - known)).sum() / max(hair.sum(), 1))
    rough *= known[..., None]
    rough[..., 0] = np.minimum(smooth_step(rough[..., 0], *_SURE), rough[..., 1])
    hair, person = _follow_edges(part, small, rough)
    return Head(box, hair, person, transform.frame_px), cut_off


def beside(head: Head, face: AlignTransform, others: Sequence[AlignTransform]) -> Head:
    """Leave out hair that is nearer to the face of somebody else, in widths of either face.

    Args:
        head: around a face.
        face, others: photo pixels -> tight frame, of this face and of all others in the photo.
    """
    left, top, right, bottom = head.box
    others = [one for one in others if _overlap(one, head.box)]
    if not others or not head.hair.size:
        return head
    size = (-(-(right - left) // _STEP), -(-(bottom - top) // _STEP))
    places = np.stack(np.meshgrid(np.linspace(left, right, size[0]), np.linspace(top, bottom, size[1])), axis=-1)
    own, *theirs = (np.linalg.norm(one.apply(places.reshape(-1, 2)) - 0.5, axis=1) for one in (face, *others))
    nearer = smooth_step(np.minimum.reduce(theirs) - own, -_BETWEEN, _BETWEEN).reshape(size[::-1])
    shape = head.hair.shape[::-1]
    return replace(head, hair=head.hair * cv2.resize(nearer.astype(np.float32), shape, interpolation=cv2.INTER_LINEAR))


def _overlap(face: AlignTransform, box: tuple[int, int, int, int]) -> bool:
    """Whether the head of a face may reach into a box."""
    corners = face.then(TO_HEAD).inverse.apply([[0, 0], [1, 0], [0, 1], [1, 1]])
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return x0 < box[2] and box[0] < x1 and y0 < box[3] and box[1] < y1


def _zoom(view: AlignTransform, box: tuple[int, int, int, int]) -> float:
    """How much closer to look where the photo shows less than the head frame, as far as the network has learned to."""
    left, top, right, bottom = box
    seen = view.apply([[left, top], [right, top], [left, bottom], [right, bottom]])
    low, high = (_PIVOT - seen.min(axis=0)) / _PIVOT, (seen.max(axis=0) - _PIVOT) / (1 - _PIVOT)
    return min(max(1 / max(*low, *high, 1e-3), 1.0), _MAX_ZOOM)


class _Grid(NamedTuple):
    """The small picture of a box, and where its places are in the head frame."""

    size: tuple[int, int]  # rows and columns
    to_view: np.ndarray  # [2, 3], pixels -> fractions of the head frame

    @classmethod
    def of(cls, view: AlignTransform, box: tuple[int, int, int, int], size: tuple[int, int]) -> _Grid:
        to_view = view.matrix.copy()
        to_view[:, 2] += to_view[:, :2] @ (box[0], box[1])
        to_view[:, :2] *= ((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0])
        return cls(size, to_view)

    def zoomed(self, zoom: float) -> _Grid:
        """Return the grid of a closer look."""
        to_view = zoom * self.to_view
        to_view[:, 2] += (1 - zoom) * _PIVOT
        return self._replace(to_view=to_view)

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the middles of pixels are in the head frame, across and down, [h, w] float32 each."""
        x, y = (np.arange(side, dtype=np.float32) + 0.5 for side in self.size[::-1])
        (a, b, c), (d, e, f) = self.to_view.astype(np.float32)
        return a * x + b * y[:, None] + c, d * x + e * y[:, None] + f


def _seen_twice(small: np.ndarray, whole: _Grid, zoom: float, segmenter: SegmenterLike) -> np.ndarray:
    """What the network says, [P, P, 2], in the frame of `zoom`: the mean of this look and one that is closer still."""
    ratio = min(_NEARER, _NEAREST / zoom)
    far, near = _looks(small, [whole.zoomed(one).to_view for one in (zoom, ratio * zoom)], segmenter)
    side, ends = round(ratio * len(far)), np.linspace(0, 1, len(near), dtype=np.float32)
    seen = cv2.resize(far, (side, side), interpolation=cv2.INTER_LINEAR)  # as fine as the closer look
    from_side = np.minimum(ends, 1 - ends)
    from_side = np.minimum(from_side[None], from_side[:, None])
    near = np.dstack([near, (from_side / _SEAM).clip(0, 1), (from_side / _INNER).clip(0, 1)])
    step, corner = side / (ratio * len(near)), side * (1 - 1 / ratio) * _PIVOT
    near = cv2.warpAffine(near, _between_middles(np.column_stack([step * np.eye(2), corner])), (side, side))
    hair, person = cv2.split(0.5 * near[..., 2:3] * (near[..., :2] - seen))
    u, v = _PIVOT[:, None] + ((np.arange(side) + 0.5) / side - _PIVOT[:, None]) / zoom
    face = (np.abs(u - 0.5) < _FACE[0])[None] & ((v > _FACE[1]) & (v < _FACE[2]))[:, None]
    # Seen from near a beard looks like hair, and a lock that goes on beyond the frame like none.
    seen[..., 0] = _believed(seen[..., 0] + np.where(hair > 0, hair * ~face, hair * near[..., 3]))
    # A close-up shows too little around the face to tell a person from.
    seen[..., 1] += person * np.float32(min((_MAX_ZOOM - zoom) / (_MAX_ZOOM - 1), 1.0))
    return seen


def _looks(small: np.ndarray, views: Sequence[np.ndarray], segmenter: SegmenterLike) -> np.ndarray:
    """What the network says about frames, [N, R, R, 2]; past the photo's edge it sees the mirror image."""
    crops, size = [], (segmenter.resolution, segmenter.resolution)
    for to_view in views:
        to_crop = _between_middles(to_view * segmenter.resolution)
        step = 1 / np.hypot(*to_crop[:, 0])  # pixels of the small picture for one of the crop
        source = cv2.GaussianBlur(small, (0, 0), 0.4 * step) if step > 1.2 else small
        crops.append(cv2.warpAffine(source, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    images = from_uint8(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))
    output = segmenter(torch.cat([images, images.flip(3)]))
    said, mirrored = torch.stack([output.hair, output.person], dim=-1).float().chunk(2)  # [N, R, R, 2] each
    return ((said + mirrored.flip(2)) / 2).cpu().numpy()


def _believed(hair: np.ndarray) -> np.ndarray:
    """Leave out what is in doubt all over, [R, R] in 0 to 1."""
    count, labels = cv2.connectedComponents((hair > _TOGETHER).astype(np.uint8))
    trust = np.ones(count, np.float32)
    for number in range(1, count):
        trust[number] = smooth_step(np.quantile(hair[labels == number], 0.9), *_DOUBTED)
    return hair * trust[labels]


def _between_middles(matrix: np.ndarray) -> np.ndarray:
    """A map of places, which count from corners of pixels, as OpenCV wants it, from their middles."""
    moved = matrix.copy()
    moved[:, 2] += moved[:, :2] @ (0.5, 0.5) - 0.5
    return moved


def _laid_over(seen: np.ndarray, grid: _Grid) -> np.ndarray:
    """Bring masks [R, R, C] from the head frame to the small picture, [h, w, C]."""
    to_crop, flags = _between_middles(grid.to_view * len(seen)), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(seen, to_crop, grid.size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _faded(grid: _Grid) -> np.ndarray:
    """One inside of the head frame, and zero at those of its sides that lie within the photo: [h, w]."""
    u, v = grid.places()
    return (np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) / _FADE).clip(0, 1)


def _weighed_by_color(small: np.ndarray, said: np.ndarray, known: np.ndarray, grid: _Grid) -> np.ndarray:
    """Weigh what was said of the person with the colours that sure person and sure background have in this photo.

    Args:
        small: [h, w, 3] uint8.
        said, known: [h, w] in 0 to 1.
    """
    colors, odds, found = Colors(small), to_odds(said), said
    lend = smooth_step(said, *_LENT)
    # What nobody knows, such as a hand, must not tell what the background looks like while there is some that is sure.
    back = known * ((1 - said / _SURELY_BACK).clip(0, 1) + 0.01 * (1 - 2 * said).clip(0, 1))
    for _ in range(2):
        word = colors.compare(known * (2 * found - 1), back)
        word = np.sign(word) * (np.abs(word) - _VAGUE).clip(0, None)
        found = from_odds(odds + _COLOR_WORD * np.where(word > 0, lend, 1) * word)
    # Hands, of which the network knows little: what is as thick as a finger, and of a colour that this face has and the
    # background hardly, in whatever light; a flag is none. A photo in one tone does not tell.
    u, v = grid.places()
    unit = 1 / (8 * np.hypot(*grid.to_view[:, 0]))
    face = (np.hypot(u - _PIVOT[0], v - _PIVOT[1]) < _FACE_RADIUS).astype(np.float32)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    alike = (Colors(cv2.LUT(lab, _SPREAD)).compare(face, back) > _SKIN_WORD) & (said > _MAYBE)
    skin = alike.astype(np.uint8) * bool(back.any() and _color_beyond_lightness(lab) > _ONE_TONE)
    skin = cv2.morphologyEx(skin, cv2.MORPH_OPEN, disc(_FINGER * unit))
    found = np.maximum(found, 0.9 * skin)
    # Of what hangs together with no face, small things are none of the person's.
    _, labels, stats, _ = cv2.connectedComponentsWithStats((found > 0.5).astype(np.uint8))
    kept = stats[:, cv2.CC_STAT_AREA] > _APART * unit**2
    kept[labels[face > 0]] = True
    kept[0] = True
    return np.where(kept[labels], found, np.minimum(found, 0.1)).astype(np.float32)


def _color_beyond_lightness(lab: np.ndarray) -> float:
    """How much a picture [h, w, 3] uint8 Lab differs in a* or b* from what its lightness tells."""
    level = lab[..., 0].ravel() >> 4
    count = np.bincount(level, minlength=16).clip(1, None)
    rest = []
    for plane in (lab[..., 1].ravel().astype(float), lab[..., 2].ravel().astype(float)):
        mean = np.bincount(level, plane, 16) / count
        rest.append(float(np.sqrt(np.mean((plane - mean[level]) ** 2))))
    return max(rest)


def disc(radius: float) -> np.ndarray:
    """Return a round mask for morphology, of at least one pixel's radius."""
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _follow_edges(photo: np.ndarray, small: np.ndarray, masks: np.ndarray) -> list[np.ndarray]:
    """Fit masks [h, w, C] to the colours around each pixel, and read them off the large photo: C times [H, W]."""
    guide, radius = small.astype(np.float32) / 255, max(1, round(_REACH * max(small.shape[:2])))
    lines = fit_to_colors(guide, cv2.split(masks), radius)
    found = [np.empty(photo.shape[:2], np.float32) for _ in lines]
    for rows, values in read_off(lines, photo, _FIRM):
        for mask, value in zip(found, values, strict=True):
            mask[rows] = value
    return found
