"""Endpoint `/portraits` for programs: a person's own photos in, a set of labelled portraits out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import gradio as gr

from gan_space.errors import InputError, raise_all
from gan_space.sets.settings import PortraitSetSettings
from gan_space.ui.explore.api import Seed
from gan_space.ui.person.own_portraits import MAX_SET, OwnPortraits
from gan_space.ui.server.endpoints import Between, add_endpoint, consent_faults, type_of
from gan_space.ui.server.files import uploaded_path

PLAIN = PortraitSetSettings()
Age, Expression = (type_of(PortraitSetSettings, name) for name in ("age", "expression"))


def add_portraits_endpoint(own_portraits: OwnPortraits) -> None:
    """Offer `/portraits` inside the current gr.Blocks."""

    def portraits(
        photos: list[dict],
        consent: bool = False,
        whose_face: str = "the person in the photos",
        num: Annotated[int, Between(1, MAX_SET)] = PLAIN.num,
        seed: Seed = PLAIN.seed,
        looks: list[str] | None = None,
        frames: list[str] | None = None,
        attributes: dict | None = None,
        expression: Expression = PLAIN.expression,
        age: Age = PLAIN.age,
        image_format: Literal["png", "jpeg"] = "jpeg",
        visible_label: bool = True,
    ) -> tuple[list[dict], list[dict]]:
        """Make portraits of one person from the person's own photos; returns labelled files and their recipes.

        There are fewer than `num` where no more could be made that differ and still show the person.

        Args:
            photos: 1 to 20 uploaded files, as `handle_file` makes them, of one person. They are not kept.
            consent: true says that the photos may be used: they show you, or the person agreed.
            whose_face: whom the photos show, in your words.
            num: how many portraits.
            seed: the same photos and seed give the same portraits.
            looks: names of looks, one of which each gets; null for all kinds, [] for none.
            frames: some of photo, passport, avatar, close, 4x5, half-length and wide; null for all.
            attributes: amounts that all of them get, such as {"smile": 1}; others vary.
            expression: times smiles, brows, turn and tilt; 0 for none of them.
            age: decades older or younger at most; 0 for no other age.
            image_format: png or jpeg.
            visible_label: also write small into a corner that it was made with AI.
        """
        paths = [uploaded_path(photo) for photo in photos]
        faults = ["photos must be uploaded files (handle_file in the clients)"] if not all(paths) or not paths else []
        faults += consent_faults(consent)
        faults += ["looks must be names, no files"] if any(name.endswith(".json") for name in looks or ()) else []
        raise_all(faults, InputError)
        options = {"num": num, "seed": seed, "looks": looks, "frames": frames, "attributes": attributes}
        options |= {"expression": expression, "age": age}
        made = None
        try:
            for step in own_portraits.make(
                paths, whose_face, image_format=image_format, visible_label=visible_label, **options
            ):
                made = step
        finally:
            for path in paths:
                Path(path).unlink(missing_ok=True)
        return [gr.FileData(path=one.path).model_dump() for one in made.shown], [one.recipe for one in made.shown]

    add_endpoint(portraits)
