"""The part of "Personalised" in which a visitor makes, brings, downloads and deletes a profile."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from gan_space.errors import Cancelled, InputError
from gan_space.packs.consent import MAX_CHARS
from gan_space.pipelines import photo_filter
from gan_space.ui.controls import DRAW, FIT, Inputs
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.parts import (
    Pace,
    given_up,
    notice_html,
    pictures_input,
    preview_image,
    progress_html,
    run_with_stop,
    stop_button,
)
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.own_profiles import Deleted, ProfileEntry
from gan_space.ui.server.visits import asked_at

REASON_TEXTS = {
    photo_filter.UNREADABLE: "person.reason_unreadable",
    photo_filter.NO_FACE: "person.reason_no_face",
    photo_filter.TOO_SMALL_OR_TURNED: "person.reason_small",
    photo_filter.BLURRED: "person.reason_blurred",
    photo_filter.GRAY: "person.reason_gray",
    photo_filter.DARK_OR_BRIGHT: "person.reason_light",
    photo_filter.DUPLICATE: "person.reason_duplicate",
    photo_filter.OTHER_PERSON: "person.reason_other",
    photo_filter.TOO_MANY: "person.reason_many",
}
MAX_NAME_CHARS = min(60, MAX_CHARS)


def profile_caches() -> list[Path]:
    """Say where gradio keeps what was sent, and copies of what was shown."""
    return [Path(get_upload_folder())]


@dataclass(frozen=True)
class ProfileParts:
    """What a profile is made, brought, shown and deleted with."""

    message: gr.HTML
    maker: gr.Column
    photos: gr.File
    whose: gr.Textbox
    agreed: gr.Checkbox
    start: gr.Button
    stop: gr.Button
    upload: gr.UploadButton
    progress: gr.HTML
    refused: gr.HTML
    preview: gr.Image
    card: gr.Column
    archive: gr.DownloadButton
    delete: gr.Button


def build_profile(texts: Texts) -> ProfileParts:
    """Build them inside the current gr.Blocks."""
    add = texts.add
    message = gr.HTML(visible=False, elem_id="profile-message", elem_classes="hint")
    with gr.Column() as maker:
        add(gr.Markdown, value_key="person.make_info", elem_classes="hint")
        photos = pictures_input(texts, "person.photos", "profile-photos", 180)
        whose = add(gr.Textbox, label="person.whose", max_lines=1, max_length=MAX_NAME_CHARS, elem_id="profile-whose")
        agreed = add(gr.Checkbox, label="person.agreed", info="person.agreed_info", elem_id="profile-agreed")
        with gr.Row():
            start = add(
                gr.Button, value_key="person.make_start", variant="primary", min_width=110, elem_id="profile-start"
            )
            stop = stop_button(texts, "style.make_stop", "profile-stop")
        upload = add(gr.UploadButton, label="person.bring", file_types=[".zip"], elem_id="profile-upload")
    progress = gr.HTML(elem_id="profile-progress", elem_classes="progress")
    refused = gr.HTML(visible=False, elem_id="profile-refused", elem_classes="notice")
    preview = preview_image("profile-preview", 200)
    with gr.Column(visible=False) as card:
        archive = add(gr.DownloadButton, label="person.archive", elem_id="profile-archive")
        delete = add(gr.Button, value_key="person.delete", variant="stop", elem_id="profile-delete")
    return ProfileParts(
        message=message,
        maker=maker,
        photos=photos,
        whose=whose,
        agreed=agreed,
        start=start,
        stop=stop,
        upload=upload,
        progress=progress,
        refused=refused,
        preview=preview,
        card=card,
        archive=archive,
        delete=delete,
    )


@dataclass(frozen=True)
class ProfileOrder:
    """What a profile is to be made of, or the zip that it is in."""

    language: str
    photos: list[str] | None = None
    whose: str = ""
    agreed: bool = False
    archive: str | None = None


class ProfilePanel:
    """One profile a visit: made from photos or brought as a zip, until it is deleted.

    Args:
        ui: the components.
        kept: state with the profile.
        actions: makes it.
        language: component with the chosen language.
    """

    def __init__(self, ui: ProfileParts, kept: gr.State, actions: PersonActions, language: gr.components.Component):
        self.ui, self.kept, self.actions, self.language = ui, kept, actions, language
        self.outputs = [
            *(kept, ui.message, ui.maker, ui.photos, ui.progress, ui.refused, ui.preview),
            *(ui.card, ui.archive),
        ]

    def connect(self, draw: tuple[Callable, set], drawn: list) -> None:
        """Wire the buttons that make and bring one; with it, `draw`, function and inputs, gives values for `drawn`."""
        ui = self.ui
        order = Inputs(ProfileOrder, photos=ui.photos, whose=ui.whose, agreed=ui.agreed, language=self.language)
        run_with_stop(
            ui.start,
            ui.stop,
            self.give_up,
            *order.to(self.run),
            self.outputs,
            show_progress="minimal",  # also tells the place in the queue
            show_progress_on=ui.photos,
            **FIT,
        ).success(*draw, drawn, **DRAW)
        brought = Inputs(ProfileOrder, archive=ui.upload, language=self.language)
        ui.upload.upload(*brought.to(self.bring), self.outputs, **DRAW).success(*draw, drawn, **DRAW)

    def run(self, request: gr.Request, order: ProfileOrder) -> Iterator[dict]:
        """Look at the photos, fit, and show how far it is."""
        language = order.language
        for key, given in (
            ("error.no_photos", order.photos),
            ("error.no_whose", (order.whose or "").strip()),
            ("error.agreed", order.agreed),
        ):
            if not given:
                raise InputError(translate(key, language))
        yield {
            self.ui.progress: progress_html(0, 1, translate("person.make_begin", language)),
            self.ui.refused: gr.update(visible=False),
            self.ui.message: gr.update(visible=False),
        }
        try:
            yield from self._fit(order.photos, order.whose, request.session_hash or "", language, asked_at(request))
        except Cancelled:
            yield given_up(self.ui.progress, self.ui.preview, language)

    def _fit(self, photos: list[str], whose: str, session: str, language: str, asked_ns: int) -> Iterator[dict]:
        pace = Pace()
        for step in self.actions.make_profile(photos, whose, session, asked_ns):
            if step.entry is not None:
                yield self._have(step.entry, language)
                return
            update: dict = {}
            if step.refused:
                update[self.ui.refused] = gr.update(value=_refused_html(step.refused, language), visible=True)
                if len(step.refused) == len(photos):
                    yield update | {self.ui.progress: notice_html(translate("person.none_usable", language))}
                    return
            if step.preview is not None:
                update[self.ui.preview] = gr.update(value=step.preview, visible=True)
            if step.stage == "photos":
                text = translate("person.make_photos", language, done=step.done, total=step.total)
                update[self.ui.progress] = progress_html(step.done, step.total, text)
            elif bar := pace.bar(step.done, step.total, language, now=bool(update)):
                update[self.ui.progress] = bar
            if update:
                yield update

    def give_up(self, request: gr.Request) -> None:
        """Stop what is being made in this visit."""
        self.actions.stop_making(request.session_hash or "")

    def bring(self, order: ProfileOrder) -> dict:
        """Take the zip that was chosen."""
        return self._have(self.actions.add_profile(order.archive), order.language)

    def end(self, profile: ProfileEntry | None, language: str) -> dict:
        """Delete the profile, and say what is gone; values for `outputs`."""
        text = translate("person.nothing_deleted", language)
        if profile is not None:
            text = deleted_text(self.actions.delete_profile(profile, profile_caches()), language)
        return {
            self.kept: None,
            self.ui.message: gr.update(value=notice_html(text), visible=True),
            self.ui.maker: gr.update(visible=True),
            self.ui.photos: None,
            self.ui.progress: "",
            self.ui.refused: gr.update(visible=False),
            self.ui.preview: gr.update(value=None, visible=False),
            self.ui.card: gr.update(visible=False),
            self.ui.archive: gr.update(value=None),
        }

    def _have(self, entry: ProfileEntry, language: str) -> dict:
        """The profile is there; another one is made when this one is deleted."""
        text = translate("person.have", language, whose=entry.whose_face, count=entry.num_photos)
        return {
            self.kept: entry,
            self.ui.message: gr.update(value=notice_html(text), visible=True),
            self.ui.maker: gr.update(visible=False),
            self.ui.progress: "",
            self.ui.preview: gr.update(value=entry.preview, visible=True),
            self.ui.card: gr.update(visible=True),
            self.ui.archive: gr.update(value=entry.archive),
        }


def deleted_text(deleted: Deleted, language: str) -> str:
    """Say in a sentence what is gone, or what is left."""
    if deleted.left:
        return translate("person.not_deleted", language, files=", ".join(deleted.left))
    files = ", ".join(deleted.files) or "–"
    return translate("person.deleted", language, files=files, pictures=deleted.pictures, uploads=deleted.uploads)


def _refused_html(refused: tuple[tuple[str, str], ...], language: str) -> str:
    rows = [
        translate("style.left_out", language, name=name, why=translate(REASON_TEXTS[reason], language))
        for name, reason in refused
    ]
    return "".join(f"<p>{html.escape(row)}</p>" for row in rows)
