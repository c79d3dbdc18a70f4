"""Endpoint `/stylize` for programs: a photo in, a labelled file out."""

from __future__ import annotations

from typing import Annotated, Literal

import gradio as gr

from gan_space.errors import InputError, raise_all
from gan_space.latents.layers import parse_layers
from gan_space.looks.recipe import nearest_looks
from gan_space.pipelines.looks import choose_strength
from gan_space.styles.settings import StyleSettings
from gan_space.ui.create.actions import CreateActions, StyleRequest, check_look
from gan_space.ui.server.endpoints import Between, FaceNumberOrAll, add_endpoint, consent_faults, type_of
from gan_space.ui.server.files import uploaded_path

PLAIN = StyleSettings()
Strength, Scope, Transfer, Upscale = (
    type_of(StyleSettings, name) for name in ("strength", "scope", "transfer", "upscale")
)


def add_style_endpoint(actions: CreateActions) -> None:
    """Offer `/stylize` inside the current gr.Blocks."""

    def stylize(
        photo: dict,
        consent: bool,
        pack: str = "",
        reference: dict | None = None,
        strength: Strength | None = None,
        layers: str = PLAIN.layers,
        preserve_color: bool = PLAIN.preserve_color,
        keep_identity: Annotated[float | None, Between(0, 1)] = None,
        scope: Scope = PLAIN.scope,
        transfer: Transfer = PLAIN.transfer,
        upscale: Upscale = PLAIN.upscale,
        faces: FaceNumberOrAll = "largest",
        post_processing: str = "",
        image_format: Literal["png", "jpeg"] = "png",
        visible_label: bool = True,
        look: str = "",
    ) -> tuple[list[dict], list[dict]]:
        """Give a photo a look; returns one labelled file of the photo's own size and its recipe.

        Args:
            photo: an uploaded file, as `handle_file` makes it.
            consent: true says that the pictures may be used: they show you, or the people in them agreed.
            pack: name of a look that the app offers.
            reference: instead of a pack or besides it, an uploaded picture whose look is taken.
            strength: 0 (the photo) to 1 (all of the look), up to 1.5; null: what the look says, else 0.8.
            layers: of a reference: coarse (shape), middle (features), fine (colours, texture), joined by +.
            preserve_color: keep the photo's colours.
            keep_identity: 0 to 1, how firmly the features are held; null: 0.8 with a reference, 0 with a pack alone.
            scope: face, photo (everything takes the look), or auto: as suits the look.
            transfer: change (the photo's own pixels, changed), picture (drawn anew), or auto: as suits the look.
            upscale: what enlarges a drawn picture: network (crisper), plain (a filter, softer), or auto.
            faces: largest, all, or a number from 0, the largest first.
            post_processing: finishing steps such as "sharpen:0.5,film", done in this order.
            image_format: png or jpeg.
            visible_label: also write small into a corner that it was made with AI.
            look: instead of a pack and a reference, name of a look of the first page, such as cold-studio.
        """
        raise_all(consent_faults(consent), InputError)
        known = {entry.key: entry for entry in actions.looks}
        recipes = actions.pipe.looks
        faults = []
        if look and look not in recipes:
            faults.append(f"there is no look {look!r} here; there are {nearest_looks(look, recipes)}")
        if look and (pack or reference is not None):
            faults.append("a look stands alone: leave out pack and reference")
        if pack and pack not in known:
            faults.append(f"there is no pack {pack!r} here; there are {', '.join(known) or 'none'}")
        paths = {"photo": uploaded_path(photo), "reference": uploaded_path(reference)}
        faults += [
            f"{name} must be an uploaded file (handle_file in the clients)"
            for name, given in (("photo", photo), ("reference", reference))
            if paths[name] is None and (given is not None or name == "photo")
        ]
        raise_all(faults, InputError)
        parse_layers(layers, actions.pipe.generator.num_ws)
        which = int(faces) if str(faces).isdecimal() else faces
        settings = StyleSettings(
            strength=choose_strength(strength, recipes.get(look)),
            layers=layers,
            preserve_color=preserve_color,
            keep_identity=keep_identity,
            scope=scope,
            transfer=transfer,
            upscale=upscale,
            faces=which,
            post_processing=post_processing,
        )
        request = StyleRequest(known.get(pack), paths["reference"], settings, look)
        check_look(request)
        opened = actions.open(paths["photo"], thorough=which == "all")
        shown = actions.file(opened, request, image_format, visible_label)
        return [gr.FileData(path=shown.path).model_dump()], [shown.recipe]

    add_endpoint(stylize)
