"""The part of "Personalised generation" that makes portraits from a visitor's own photos, at the photos' full size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from gan_space.errors import Cancelled, InputError
from gan_space.sets.settings import PortraitSetSettings
from gan_space.settings import default_of
from gan_space.ui.controls import DRAW, Inputs
from gan_space.ui.explore.actions import SEED_SPAN
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.messages import explain
from gan_space.ui.parts import notice_html, progress_html, results_gallery, whole_slider
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.own_portraits import MAX_SET, PortraitSet, photos_of
from gan_space.ui.person.own_profiles import ProfileEntry
from gan_space.ui.person.profile_panel import ProfileParts, profile_caches
from gan_space.ui.server.visits import asked_at


@dataclass(frozen=True)
class OwnPortraitsParts:
    """What a set is made, shown and deleted with."""

    count: gr.Slider
    seed: gr.Number
    ages: gr.Checkbox
    start: gr.Button
    progress: gr.HTML
    gallery: gr.Gallery
    card: gr.Row
    archive: gr.DownloadButton
    delete: gr.Button


def build_own_portraits(texts: Texts, visible: bool) -> OwnPortraitsParts:
    """Build them inside the current gr.Blocks; nothing of it is seen where the model cannot make portraits."""
    add = texts.add
    with gr.Column(visible=visible, elem_id="mine"):
        add(gr.Markdown, value_key="person.mine_info", elem_classes="hint")
        with gr.Row():
            first = {name: default_of(PortraitSetSettings, name) for name in ("num", "seed")}
            wide = {"min_width": 140, "elem_id": "mine-count"}
            count = whole_slider(texts, "portraits.count", MAX_SET, first["num"], **wide)
            seed = add(
                gr.Number,
                label="portraits.seed",
                value=first["seed"],
                precision=0,
                minimum=0,
                maximum=SEED_SPAN - 1,
                min_width=100,
                elem_id="mine-seed",
            )
        ages = add(gr.Checkbox, label="person.mine_ages", value=True, elem_id="mine-ages")
        start = add(gr.Button, value_key="person.mine_start", variant="primary", elem_id="mine-start")
        progress = gr.HTML(elem_id="mine-progress", elem_classes="progress")
        gallery = results_gallery("mine-gallery", 2)
        with gr.Row(visible=False) as card:
            archive = add(gr.DownloadButton, label="person.mine_archive", min_width=120, elem_id="mine-archive")
            delete = add(
                gr.Button, value_key="person.mine_delete", variant="stop", min_width=120, elem_id="mine-delete"
            )
    return OwnPortraitsParts(
        count=count,
        seed=seed,
        ages=ages,
        start=start,
        progress=progress,
        gallery=gallery,
        card=card,
        archive=archive,
        delete=delete,
    )


@dataclass(frozen=True)
class PortraitsOrder:
    """What a set is to be made of."""

    language: str
    profile: ProfileEntry | None
    photos: list[str] | None
    whose: str
    agreed: bool
    made: PortraitSet | None
    count: int
    seed: int
    ages: bool


class OwnPortraitsPanel:
    """One set a visit, until it is deleted, another one is made or the visit ends.

    Args:
        ui: the components.
        kept: state with the set.
        profile: state with the visitor's profile; a set of a profile's photos goes when the profile does.
        maker: the components with photos and consent, for who has no profile.
        actions: makes it.
        language: component with the chosen language.
    """

    def __init__(
        self,
        ui: OwnPortraitsParts,
        kept: gr.State,
        profile: gr.State,
        maker: ProfileParts,
        actions: PersonActions,
        language: gr.components.Component,
    ):
        self.ui, self.kept, self.actions, self.photos = ui, kept, actions, maker.photos
        self.order = Inputs(
            PortraitsOrder,
            profile=profile,
            photos=maker.photos,
            whose=maker.whose,
            agreed=maker.agreed,
            made=kept,
            count=ui.count,
            seed=ui.seed,
            ages=ui.ages,
            language=language,
        )
        self.outputs = [kept, ui.progress, ui.gallery, ui.card, ui.archive]

    def connect(self) -> None:
        """Wire the buttons."""
        self.ui.start.click(*self.order.to(self.run), self.outputs, **DRAW, show_progress="hidden")
        self.ui.delete.click(*self.order.to(self.end), [*self.outputs, self.photos], **DRAW)

    def run(self, request: gr.Request, order: PortraitsOrder) -> Iterator[dict]:
        """Make a set in place of the one that is there, and show each portrait as soon as it is ready."""
        language, photos = order.language, photos_of(order.profile) if order.profile else order.photos
        needed = [("error.no_own_photos" if order.profile else "error.no_photos", photos)]
        if order.profile is None:
            needed += [("error.no_whose", (order.whose or "").strip()), ("error.agreed", order.agreed)]
        for key, given in needed:
            if not given:
                raise InputError(translate(key, language))
        if order.made is not None:
            self.actions.delete_portraits(order.made, profile_caches(), photos=False)
        yield self.ended() | {self.ui.progress: progress_html(0, order.count, translate("person.make_begin", language))}
        whose = order.profile.whose_face if order.profile else order.whose
        token = order.profile.token if order.profile else ""
        options = {"num": order.count, "seed": order.seed, "age": float(order.ages)}
        job = request.session_hash or ""
        try:
            for made in self.actions.make_portraits(photos, whose, job, asked_at(request), token=token, **options):
                yield self._shown(made, language)
        except Cancelled:
            yield self.ended() | {self.ui.progress: notice_html(translate("error.stopped", language))}

    def end(self, order: PortraitsOrder) -> dict:
        """Delete the set, and the photos unless a profile holds them."""
        if order.made is not None:
            self.actions.delete_portraits(order.made, profile_caches(), photos=order.profile is None)
        gone = notice_html(translate("person.mine_deleted", order.language))
        return self.ended() | {self.ui.progress: gone, self.photos: None}

    def ended(self) -> dict:
        """Return values for `outputs` without a set."""
        return {
            self.kept: None,
            self.ui.progress: "",
            self.ui.gallery: gr.update(value=None, visible=False),
            self.ui.card: gr.update(visible=False),
            self.ui.archive: gr.update(value=None),
        }

    def _shown(self, made: PortraitSet, language: str) -> dict:
        done = len(made.shown)
        text = translate("person.mine_progress", language, done=done, total=made.total)
        update = {
            self.kept: made,
            self.ui.progress: progress_html(done, made.total, text),
            self.ui.gallery: gr.update(value=[one.path for one in made.shown], visible=True),
        }
        if made.archive:
            text = translate("person.mine_done", language, count=done)
            if made.fault is not None:
                text = translate("person.mine_fewer", language, count=done, why=explain(made.fault, language))
            update |= {
                self.ui.progress: notice_html(text),
                self.ui.card: gr.update(visible=True),
                self.ui.archive: gr.update(value=made.archive),
            }
        return update
