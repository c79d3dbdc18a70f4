"""Give a portrait a look: its layers one after the other, all at the photo's own size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.align import EYE_DISTANCE
from gan_space.faces.head import SegmenterLike
from gan_space.faces.landmarks import LandmarkerLike, Landmarks
from gan_space.faces.monochrome import find_tone, keep_tone
from gan_space.faces.shape import ShapeModel
from gan_space.images import from_uint8, to_uint8
from gan_space.looks.background import change_background
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.draw import draw
from gan_space.looks.grade import grade
from gan_space.looks.hair import dye_hair
from gan_space.looks.layers import Background, HairColor
from gan_space.looks.makeup import cut_patches, make_up
from gan_space.looks.makeup_reference import apply_makeup
from gan_space.looks.recipe import LookRecipe
from gan_space.looks.skin import FaceView, retouch
from gan_space.output.postprocess import apply_steps
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.shape import reshape

T = TypeVar("T")

MAX_KEPT_PIXELS = 4_000_000  # of a photo whose portrait keeps faces at full size for its next look

# (portrait, packs with their weights, strength) -> [3, H, W] uint8: the portrait drawn with style packs.
DrawPacks = Callable[[Portrait, Mapping[str, float], float], Tensor]


class Findings:
    """What was found in a portrait's own pixels for one look, and holds for the next one; each at its first use."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._lock = threading.RLock()

    def once(self, name: str, find: Callable[[], T]) -> T:
        """Return what `find` gave when this name was first asked for, by whichever thread."""
        with self._lock:
            if name not in self._found:
                self._found[name] = find()
            return self._found[name]


def apply_look(
    portrait: Portrait,
    look: LookRecipe,
    strength: float | None = None,
    *,
    landmarker: LandmarkerLike | None = None,
    segmenter: SegmenterLike | None = None,
    shapes: ShapeModel | None = None,
    draw_packs: DrawPacks | None = None,
    seed: int = 0,
    findings: Findings | None = None,
) -> Tensor:
    """Apply skin, make-up, shape, hair, background, packs or drawing, grade, post-processing; each where asked for.

    Skin and make-up come first: what was found in the photo for one look holds for the next, whatever its shape.

    Args:
        portrait: the photo, at any size.
        strength: times every amount; 0 gives the photo to the bit; None takes the look's own.
        landmarker, segmenter, shapes, draw_packs: what a model has; a layer without what it needs is an error.
        seed: of what is drawn at random, such as grain.
        findings: of this portrait, landmarker and seed, where it is drawn small in several looks; None: those that the
            portrait remembers for this landmarker, in which no seed counts.

    Returns:
        [3, H, W] uint8.

    Raises:
        InputError: the model lacks what the look needs.
        NoFaceError, FaceTooSmallError, FaceTooTurnedError: the look is for faces, and none can be used.
    """
    strength = look.strength if strength is None else strength
    if not strength:
        return portrait.pixels
    amounts = look.scaled(strength)
    if look.needs_faces:
        _ = portrait.chosen_faces  # raises where there is nothing to work on
    if look.shape or look.skin or look.makeup or look.makeup_from:
        _require(landmarker, "a landmarker", look)
    is_small = findings is not None
    if findings is None:
        findings = portrait.remember_at_this_size("looks", [] if landmarker is None else [landmarker], Findings)

    def find_marks() -> list[Landmarks]:
        return portrait.landmarks(landmarker) if landmarker is not None and portrait.chosen else []

    marks = findings.once("marks", find_marks)
    pixels = portrait.pixels
    if look.skin:
        views = findings.once("views", lambda: [FaceView.cut(pixels, face) for face in marks])
        pixels = retouch(pixels, marks, amounts.skin, views)
    if amounts.makeup_from is not None:
        pixels = apply_makeup(pixels, marks, amounts.makeup_from)
    if amounts.makeup:
        # Places are found in the photo as it was: they hold for every strength, and for the next look.
        keeps, find = portrait.pixels[0].numel() <= MAX_KEPT_PIXELS, partial(cut_patches, portrait.pixels, marks)
        pixels = make_up(pixels, marks, amounts.makeup, findings.once("patches", find) if keeps else find())
    if pixels is not portrait.pixels:

        def find_tones() -> list:
            return [find_tone(portrait.pixels, face.points) for face in marks]

        pixels = keep_tone(portrait.pixels, pixels, findings.once("tones", find_tones))
    if look.shape and portrait.chosen:
        model = _require(shapes, "shape sliders", look)
        portrait, findings = reshape(portrait, landmarker, model, amounts.shape, painted=pixels), Findings()
        pixels, marks = portrait.pixels, portrait.landmarks(landmarker)
    dye, background = HairColor(**amounts.hair or {"amount": 0}), Background(**amounts.background)
    if dye.amount or background.amount or background.blur:
        # The portrait itself remembers both, for one segmenter.
        heads = portrait.heads(_require(segmenter, "a segmenter", look))
        if dye.amount:
            pixels = dye_hair(pixels, heads, dye, marks)
        if background.amount or background.blur:
            person = portrait.person(segmenter)
            eyes_px = EYE_DISTANCE * max(face.frame_px for face in portrait.chosen_faces)
            pixels = change_background(pixels, person, eyes_px, background, seed)
    if look.packs:
        portrait = portrait if pixels is portrait.pixels else portrait.painted_over(pixels, on_white=True)
        pixels = _require(draw_packs, "style packs", look)(portrait, look.packs, strength)
    if look.drawing:
        keeps = is_small and pixels is portrait.pixels  # large ones take too much memory
        canvas = findings.once("canvas", lambda: Canvas.of(pixels, marks, seed)) if keeps else None
        pixels = draw(pixels, look.drawing, marks, min(strength, 1.0), seed, canvas)
    pixels = grade(pixels, marks, amounts.grade, seed)
    if amounts.post_processing:
        pixels = to_uint8(apply_steps(from_uint8(pixels), amounts.post_processing, seed))
    return pixels


def _require(part, what: str, look: LookRecipe):
    if part is None:
        raise InputError(f"the look {look.name} needs a model with {what}, this one has none")
    return part
