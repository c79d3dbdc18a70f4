"""Endpoint `/personalize` for programs: a random face, a photo or a profile, and attributes; labelled files out."""

from __future__ import annotations

from typing import Annotated, Literal

import gradio as gr

from gan_space.errors import InputError, raise_all
from gan_space.pipelines.recipe import TRUNCATION_PSI, attribute_faults
from gan_space.pipelines.style_packs import MAX_WEIGHT
from gan_space.ui.explore.api import Psi, Seeds
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.own_profiles import ProfileEntry
from gan_space.ui.person.request import PersonRequest
from gan_space.ui.server.endpoints import Between, FaceNumber, add_endpoint, consent_faults
from gan_space.ui.server.files import uploaded_path


def add_person_endpoint(actions: PersonActions) -> None:
    """Offer `/personalize` inside the current gr.Blocks."""

    def personalize(
        seeds: Seeds,
        attributes: dict,
        keep: list[str] | None = None,
        photo: dict | None = None,
        profile: dict | None = None,
        consent: bool = False,
        identity_strength: Annotated[float, Between(0, 1)] = 1.0,
        truncation_psi: Psi = TRUNCATION_PSI,
        layers: str = "",
        look: str = "",
        look_weight: Annotated[float, Between(-MAX_WEIGHT, MAX_WEIGHT)] = PersonRequest.look_weight,
        face: FaceNumber = "largest",
        image_format: Literal["png", "jpeg"] = "png",
        visible_label: bool = True,
    ) -> tuple[list[dict], list[dict]]:
        """Draw faces with other attributes; returns labelled files and their recipes.

        Args:
            seeds: 1 to 16 whole numbers, one picture each; [] with a photo.
            attributes: amounts by name, such as {"smile": 1, "age": -0.5}; 1 is a visible step.
            keep: names of attributes that must not change with the others.
            photo: an uploaded file, as `handle_file` makes it; its face is changed.
            profile: instead, the uploaded zip of a profile, of which portraits are drawn. It is not kept.
            consent: true says that photo or profile may be used: they show you, or the person agreed.
            identity_strength: 1 the person of the profile, 0 a random face.
            truncation_psi: 0 (the average face) to 1 (all of the variety) of random faces.
            layers: which layers attributes may change: coarse, middle, fine, joined by +; "" for all.
            look: name of a look on top of random faces or a profile; "" for none.
            look_weight: how much of it.
            face: of a photo with several: largest, or a number from 0, the largest first.
            image_format: png or jpeg.
            visible_label: also write small into a corner that it was made with AI.
        """
        entry: ProfileEntry | None = None
        try:
            paths = {"photo": uploaded_path(photo), "profile": uploaded_path(profile)}
            source = "photo" if photo is not None else "profile" if profile is not None else "random"
            faults = attribute_faults(attributes)
            faults += [
                f"{name} must be an uploaded file (handle_file in the clients)"
                for name, given in (("photo", photo), ("profile", profile))
                if given is not None and paths[name] is None
            ]
            if photo is not None and profile is not None:
                faults.append("give either photo or profile, not both")
            if source not in actions.sources:
                faults.append(f"this model has no way to start from a {source}; it has {', '.join(actions.sources)}")
            faults += [] if source == "random" else consent_faults(consent)
            if source == "photo" and seeds:
                faults.append("a photo has no seeds; give seeds=[]")
            wanted = [part for part in layers.split("+") if part]
            if set(wanted) - set(actions.groups):
                faults.append(f"layers must be some of {'+'.join(actions.groups)}, got {layers!r}")
            known = [one.key for one in actions.looks]
            if look and look not in known:
                faults.append(f"there is no look {look!r} here; there are {', '.join(known) or 'none'}")
            if look and source == "photo":
                faults.append("a look goes on top of random faces or a profile; for photos there is /stylize")
            raise_all(faults, InputError)
            entry = actions.add_profile(paths["profile"]) if source == "profile" else None
            request = PersonRequest(
                source=source,
                photo=actions.open(paths["photo"]) if source == "photo" else None,
                face=int(face) if face.isdecimal() else face,
                profile=entry,
                amounts=tuple(attributes.items()),
                keep=tuple(keep or ()),
                layers=tuple(wanted),
                truncation_psi=truncation_psi,
                identity_strength=identity_strength,
                look=look,
                look_weight=look_weight,
            )
            labels = {"image_format": image_format, "visible_label": visible_label}
            shown = (
                [actions.file(request, **labels)] if source == "photo" else actions.variations(request, seeds, **labels)
            )
        finally:
            if entry is not None:
                actions.drop_profile(entry)
        return [gr.FileData(path=item.path).model_dump() for item in shown], [item.recipe for item in shown]

    add_endpoint(personalize)
