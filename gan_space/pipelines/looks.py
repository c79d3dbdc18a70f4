"""Looks over a `StyleTransferPipeline`: which there are, one applied to a photo, and all of them as thumbnails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, NoFaceError
from gan_space.faces.align import AlignTransform
from gan_space.faces.shape import SHAPE_FOLDER, ShapeModel
from gan_space.looks.apply import Findings, apply_look
from gan_space.looks.makeup_reference import MakeupReference, check_strengths, read_makeup
from gan_space.looks.recipe import MAKEUP_ALONE, LookRecipe, in_groups, no_such_look, shipped_looks
from gan_space.packs.attaching import attached
from gan_space.photos.opening import PhotoLike, open_picture, to_picture
from gan_space.pipelines.base import PortraitPipeline
from gan_space.portraits.portrait import Portrait, moved_face
from gan_space.settings import default_of, is_one_of, is_whole
from gan_space.styles.apply import NO_LAYERS, NetworkLook, Renderer, into_photo
from gan_space.styles.settings import StyleSettings

LookLike = str | Path | LookRecipe
MakeupLike = PhotoLike | Portrait | MakeupReference
LOOKS_FOLDER = "looks"  # of a model
FOR_NETWORKS = ("refine_steps", "layers", "preserve_color", "keep_identity", "scope", "transfer")  # settings
FACE_SIDE, HEAD_SIDE, WIDE_SIDE = 1.0, 1.5, 2.3  # of a thumbnail's square, in widths of the tight frame
LEAST_DRAWN_PX = 128  # smaller thumbnails are drawn at this size: lips and lids need some pixels


def list_looks(pipe: PortraitPipeline) -> dict[str, LookRecipe]:
    """Return the package's looks, those of the model's folder, and those that were added, in the order of the strip.

    Looks that need what the model lacks, such as a style pack, are left out.
    """
    found = shipped_looks()
    folder = pipe.source.folder
    if folder is not None:
        own = [LookRecipe.load(path) for path in sorted((folder / LOOKS_FOLDER).glob("*.json"))]
        found |= {look.name: look for look in own}
    looks = {look.name: look for look in in_groups(found.values()) if not missing_parts(pipe, look)}
    return looks | pipe.added_looks


def find_look(pipe: PortraitPipeline, look: LookLike) -> LookRecipe:
    """Return a look by its name, its JSON file or itself.

    Raises:
        InputError: no such look, or a file that holds none.
    """
    if isinstance(look, LookRecipe):
        return look
    if isinstance(look, Path) or str(look).endswith(".json"):
        return LookRecipe.load(look)
    looks = list_looks(pipe)
    if not is_one_of(look, looks):
        raise InputError(no_such_look(look, looks))
    return looks[look]


@torch.no_grad()
def makeup_of(pipe: PortraitPipeline, picture: MakeupLike) -> MakeupReference:
    """Read the make-up of the largest face in a picture; what was read already stays as it is.

    Raises:
        InputError: not a picture, or a model without a landmarker.
        NoFaceError: a picture without a face.
    """
    if isinstance(picture, MakeupReference):
        return picture
    if pipe.landmarker is None:
        raise InputError("make-up of another picture needs a model with a landmarker, this one has none")
    portrait = pipe.open(picture)
    if not portrait.faces:
        raise NoFaceError("there is no face in the picture whose make-up is wanted: give a portrait")
    portrait = portrait.choose(0)  # also of a small or turned face
    return read_makeup(portrait.pixels, portrait.landmarks(pipe.landmarker)[0])


def choose_look(
    pipe: PortraitPipeline,
    look: LookLike | None,
    makeup_from: MakeupLike | None = None,
    makeup_strength: float | Mapping[str, float] = 1.0,
) -> LookRecipe | None:
    """Return the look that is meant, with the make-up of another picture in it; None where neither is given.

    Raises:
        InputError, NoFaceError: as `find_look` and `makeup_of`, or a strength that does not work.
    """
    check_strengths(makeup_strength)
    recipe = None if look is None else find_look(pipe, look)
    if makeup_from is None:
        return recipe
    worn = makeup_of(pipe, makeup_from).scaled(makeup_strength)
    return (MAKEUP_ALONE if recipe is None else recipe).wearing(worn)


def choose_strength(strength: float | None, look: LookRecipe | None) -> float:
    """Return the strength that is asked for; else the look's own, else what the settings say."""
    if strength is not None:
        return strength
    return default_of(StyleSettings, "strength") if look is None else look.strength


def missing_parts(pipe: PortraitPipeline, look: LookRecipe) -> list[str]:
    """Return what a look needs that this model lacks."""
    missing = ["a landmarker"] if pipe.landmarker is None and _needs_landmarks(look) else []
    missing += ["a segmenter"] if pipe.segmenter is None and (look.hair or look.background) else []
    missing += ["shape sliders"] if look.shape and shape_model(pipe) is None else []
    known = {*pipe.packs, *pipe.shipped_packs()} if look.packs else set()
    return missing + [f"the style pack {name}" for name in look.packs if name not in known]


def _needs_landmarks(look: LookRecipe) -> bool:
    return bool(look.shape or look.skin or look.makeup or look.makeup_from)


def shape_model(pipe: PortraitPipeline) -> ShapeModel | None:
    """Return what the model's folder knows about the shape of faces, read once."""
    folder = pipe.source.folder
    if folder is None or not (folder / SHAPE_FOLDER).is_dir():
        return None
    if pipe.shapes is None:
        pipe.shapes = ShapeModel.load(folder / SHAPE_FOLDER)
    return pipe.shapes


@torch.no_grad()
def draw_look(
    pipe: PortraitPipeline,
    portrait: Portrait,
    look: LookRecipe,
    settings: StyleSettings,
    findings: Findings | None = None,
) -> Tensor:
    """Give a portrait a look at the strength of the settings; [3, H, W] uint8.

    Args:
        findings: where several looks are drawn small of one portrait with one seed, see `apply_look`.
    """

    def draw_packs(portrait: Portrait, packs: Mapping[str, float], strength: float) -> Tensor:
        chosen = [(pipe.get_pack(name), weight) for name, weight in pipe._check_weights(packs, load=True)]
        network_look = NetworkLook(packs=tuple(chosen))
        decided = network_look.decide(StyleSettings(strength=strength, upscale=settings.upscale))
        upscaler = None if decided.upscale == "plain" else pipe.guided_upscaler
        renderer = Renderer(pipe.generator, pipe.encoder, pipe.editor)
        with attached(pipe.generator, []):  # the lock keeps the packs of another thread out of the drawing
            styled, whole = renderer.portrait(portrait, network_look, NO_LAYERS, decided)
        return into_photo(portrait, styled, whole, decided, upscaler)

    return apply_look(
        portrait,
        look,
        settings.strength,
        landmarker=pipe.landmarker,
        segmenter=pipe.segmenter,
        shapes=shape_model(pipe) if look.shape else None,
        draw_packs=draw_packs,
        seed=settings.seed,
        findings=findings,
    )


def look_record(pipe: PortraitPipeline, portrait: Portrait, look: LookRecipe, settings: StyleSettings) -> dict:
    """Return what a saved file says about how it was made."""
    record = {
        "kind": "style",
        "model": pipe.model_name,
        "revision": pipe.revision,
        "look": look.name,
        "look_sha256": look.digest,
        "strength": float(settings.strength),
        "faces": portrait.which,
        "faces_in_photo": len(portrait.faces),
        "seed": int(settings.seed),
    }
    if settings.post_processing:
        record["post_processing"] = [list(step) for step in settings.post_processing]
    return record | ({"look_credit": look.credit} if look.credit else {})


def faults_beside(pipe: PortraitPipeline, look: LookRecipe, settings: StyleSettings, **others) -> list[str]:
    """Return what does not go with a look: parts that the model lacks, and arguments that are for other things.

    Settings that a look would not follow are refused rather than dropped.
    """
    faults = [f"the look {look.name} needs {part}, which this model lacks" for part in missing_parts(pipe, look)]
    given = [name for name, value in others.items() if value is not None]
    of_networks = [*FOR_NETWORKS, *([] if look.packs else ["upscale"])]
    given += [name for name in of_networks if getattr(settings, name) != default_of(StyleSettings, name)]
    if given:
        faults.append(f"a look stands alone: leave out {', '.join(given)}")
    if not settings.paste_back:
        faults.append("paste_back=False returns what the networks draw of a face; a look is for the whole photo")
    return faults


def draw_thumbnails(
    pipe: PortraitPipeline, portrait: Portrait, px: int, looks: Mapping[str, LookRecipe] | None = None
) -> Iterator[tuple[str, Image.Image]]:
    """Draw one small head in every look, one after the other in the order of the strip.

    Args:
        px: width and height of a thumbnail.
        looks: name -> look; None: all that the pipeline has.

    Raises:
        InputError: a size that does not work.
    """
    if not is_whole(px) or not 16 <= px <= 1024:
        raise InputError(f"a thumbnail is 16 to 1024 px wide, got {px!r:.60}")
    drawn_px, views = max(px, LEAST_DRAWN_PX), {}
    for name, look in (list_looks(pipe) if looks is None else looks).items():
        side = _side_for(look)
        if side not in views:
            views[side] = head_of(portrait, drawn_px, side), Findings()
        small, findings = views[side]
        if look.needs_faces and not small.chosen:
            continue
        settings = StyleSettings(strength=look.strength, upscale="plain")
        picture = to_picture(draw_look(pipe, small, look, settings, findings))
        yield name, picture if picture.width == px else picture.resize((px, px), Image.Resampling.LANCZOS)


def _side_for(look: LookRecipe) -> float:
    """Hair and what is behind need the whole head; make-up on the width of a thumb is only seen up close."""
    if look.hair or look.background:
        return WIDE_SIDE
    return FACE_SIDE if look.group == "beauty" or look.makeup or look.makeup_from else HEAD_SIDE


def head_of(portrait: Portrait, side: int, frames: float = HEAD_SIDE) -> Portrait:
    """Cut a square of the photo, `side` px wide, around the largest chosen face, or the middle without one.

    Args:
        frames: width of the square, in widths of the face's tight frame.
    """
    height, width = portrait.pixels.shape[1:]
    if portrait.chosen:
        portrait = portrait.choose(portrait.chosen[0])
        corners = portrait.chosen_faces[0].transform.inverse.apply([[0.5, 0.45], [0.5 + frames, 0.45]])
        middle, length = corners[0], float(((corners[1] - corners[0]) ** 2).sum() ** 0.5)
        length = min(length, width, height)
    else:
        middle, length = (width / 2, height / 2), min(width, height)
    left = min(max(middle[0] - length / 2, 0), width - length)
    top = min(max(middle[1] - length / 2, 0), height - length)
    box = (left, top, left + length, top + length)
    picture = to_picture(portrait.pixels).resize((side, side), Image.Resampling.LANCZOS, box=box, reducing_gap=2)
    back = AlignTransform(length / side, 0.0, left, top)  # the square's px -> the photo's
    faces = tuple(moved_face(face, back) for face in portrait.faces)
    return Portrait(open_picture(picture), faces, portrait.which, portrait.by_hand, portrait.as_found)
