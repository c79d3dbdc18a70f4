"""The part of "Personalised generation" in which a visitor makes, brings, downloads and deletes a profile."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_upload_folder

from gan_space.errors import Cancelled, InputError
from gan_space.packs.consent import MAX_CHARS
from gan_space.pipelines import photo_filter
from gan_space.ui.i18n import translate
from gan_space.ui.messages import friendly
from gan_space.ui.parts import given_up, notice_html, progress_html, time_left
from gan_space.ui.person.own_profiles import Deleted, ProfileEntry
from gan_space.ui.server.visits import asked_at

if TYPE_CHECKING:
    from gan_space.ui.person.tab import PersonTab

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


def caches() -> list[Path]:
    """Where gradio keeps what was sent, and copies of what was shown."""
    return [Path(get_upload_folder())]


class ProfilePanel:
    """One profile a visit: made from photos or brought as a zip, until it is deleted."""

    def __init__(self, tab: PersonTab):
        self.tab = tab

    def build(self) -> None:
        """What stands on the left."""
        add = self.tab.texts.add
        self.told = gr.HTML(visible=False, elem_id="profile-told", elem_classes="hint")
        with gr.Column() as self.maker:
            add(gr.Markdown, value_key="person.make_info", elem_classes="hint")
            self.photos = add(
                gr.File,
                label="person.photos",
                file_count="multiple",
                file_types=["image"],
                type="filepath",
                height=180,
                elem_id="profile-photos",
            )
            self.whose = add(
                gr.Textbox, label="person.whose", max_lines=1, max_length=MAX_NAME_CHARS, elem_id="profile-whose"
            )
            self.agreed = add(gr.Checkbox, label="person.agreed", info="person.agreed_info", elem_id="profile-agreed")
            with gr.Row():
                self.start = add(
                    gr.Button, value_key="person.make_start", variant="primary", min_width=110, elem_id="profile-start"
                )
                self.stop = add(gr.Button, value_key="style.make_stop", min_width=110, elem_id="profile-stop")
            self.upload = add(gr.UploadButton, label="person.bring", file_types=[".zip"], elem_id="profile-upload")
        self.progress = gr.HTML(elem_id="profile-progress", elem_classes="progress")
        self.refused = gr.HTML(visible=False, elem_id="profile-refused", elem_classes="notice")
        self.preview = gr.Image(
            type="filepath",
            interactive=False,
            visible=False,
            show_label=False,
            buttons=[],
            height=200,
            elem_id="profile-preview",
        )
        with gr.Column(visible=False) as self.card:
            self.archive = add(gr.DownloadButton, label="person.archive", elem_id="profile-archive")
            self.delete = add(gr.Button, value_key="person.delete", variant="stop", elem_id="profile-delete")

    def connect(self) -> None:
        """Wire the buttons."""
        tab = self.tab
        outputs = [
            *(tab.profile, self.told, self.maker, self.photos, self.progress, self.refused, self.preview),
            *(self.card, self.archive),
        ]
        # Not in the queue of drawings: others go on meanwhile.
        fitting = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "tune"}
        self.start.click(
            friendly(self.run),
            [self.photos, self.whose, self.agreed, tab.language],
            outputs,
            show_progress="minimal",  # also tells the place in the queue
            show_progress_on=self.photos,
            **fitting,
        ).success(friendly(tab.draw), tab.inputs, tab.result, **tab.event)
        self.stop.click(self.give_up, None, None, api_visibility="private", queue=False)
        self.upload.upload(friendly(self.bring), [self.upload, tab.language], outputs, **tab.event).success(
            friendly(tab.draw), tab.inputs, tab.result, **tab.event
        )
        self.delete.click(
            friendly(self.end),
            tab.inputs,
            [*outputs, tab.varied, tab.variations, *tab.pin_outputs, *tab.result],
            **tab.event,
        )

    def run(
        self, request: gr.Request, photos: list[str] | None, whose: str, agreed: bool, language: str
    ) -> Iterator[dict]:
        """Look at the photos, fit, and show how far it is."""
        for key, given in (
            ("error.no_photos", photos),
            ("error.no_whose", (whose or "").strip()),
            ("error.agreed", agreed),
        ):
            if not given:
                raise InputError(translate(key, language))
        yield {
            self.progress: progress_html(0, 1, translate("person.make_begin", language)),
            self.refused: gr.update(visible=False),
            self.told: gr.update(visible=False),
        }
        try:
            yield from self._fit(photos, whose, request.session_hash or "", language, asked_at(request))
        except Cancelled:
            yield given_up(self.progress, self.preview, language)

    def _fit(self, photos: list[str], whose: str, session: str, language: str, asked_ns: int) -> Iterator[dict]:
        started, shown_at, first = time.monotonic(), 0.0, True
        for step in self.tab.studio.make_profile(photos, whose, session, asked_ns):
            if step.entry is not None:
                yield self._have(step.entry, language)
                return
            update: dict = {}
            if step.refused:
                update[self.refused] = gr.update(value=_refused_html(step.refused, language), visible=True)
                if len(step.refused) == len(photos):
                    yield update | {self.progress: notice_html(translate("person.none_usable", language))}
                    return
            if step.preview is not None:
                update[self.preview] = gr.update(value=step.preview, visible=True)
            if step.stage == "photos":
                text = translate("person.make_photos", language, done=step.done, total=step.total)
                update[self.progress] = progress_html(step.done, step.total, text)
            else:
                if first:
                    started, first = time.monotonic(), False
                elapsed = time.monotonic() - started
                if step.done > 1 and (update or elapsed - shown_at > 1):
                    shown_at = elapsed
                    left = time_left(elapsed, step.done - 1, step.total - 1, language)
                    text = translate("style.make_progress", language, done=step.done, total=step.total, left=left)
                    update[self.progress] = progress_html(step.done, step.total, text)
            if update:
                yield update

    def give_up(self, request: gr.Request) -> None:
        """Stop what is being made in this visit."""
        self.tab.studio.stop_making(request.session_hash or "")

    def bring(self, archive: str, language: str) -> dict:
        """A zip was chosen."""
        return self._have(self.tab.studio.add_profile(archive), language)

    def end(self, *values: Any) -> dict:
        """Delete the profile, and say what is gone."""
        controls = self.tab.read(values)
        text = translate("person.nothing_deleted", controls.language)
        if controls.profile is not None:
            text = deleted_text(self.tab.studio.delete_profile(controls.profile, caches()), controls.language)
        return self.tab.profile_ended(controls) | {
            self.tab.profile: None,
            self.told: gr.update(value=notice_html(text), visible=True),
            self.maker: gr.update(visible=True),
            self.photos: None,
            self.progress: "",
            self.refused: gr.update(visible=False),
            self.preview: gr.update(value=None, visible=False),
            self.card: gr.update(visible=False),
            self.archive: gr.update(value=None),
        }

    def left_behind(self, entry: ProfileEntry | None) -> None:
        """The visit is over: its profile goes."""
        if entry is not None:
            self.tab.studio.delete_profile(entry, caches())

    def _have(self, entry: ProfileEntry, language: str) -> dict:
        """The profile is there; another one is made when this one is deleted."""
        text = translate("person.have", language, whose=entry.whose_face, count=entry.num_photos)
        return {
            self.tab.profile: entry,
            self.told: gr.update(value=notice_html(text), visible=True),
            self.maker: gr.update(visible=False),
            self.progress: "",
            self.preview: gr.update(value=entry.preview, visible=True),
            self.card: gr.update(visible=True),
            self.archive: gr.update(value=entry.archive),
        }


def deleted_text(deleted: Deleted, language: str) -> str:
    """A sentence that names what is gone, or what is left."""
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
