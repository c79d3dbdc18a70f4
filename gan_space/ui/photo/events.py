"""What happens when: a photo is chosen, the strip is wanted, a look is tapped, a file is saved."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr

from gan_space.errors import (
    FaceError,
    FaceTooSmallError,
    FaceTooTurnedError,
    GanSpaceError,
    GlassesError,
    InputError,
    NoFaceError,
)
from gan_space.ui.controls import AT_ONCE, DRAW
from gan_space.ui.i18n import choose_language, translate
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.photo.actions import PhotoActions
from gan_space.ui.photo.api import PhotoAsk, PhotoChoice, PhotoGone, file_record
from gan_space.ui.photo.layout import PhotoScreen
from gan_space.ui.server.files import uploaded_path
from gan_space.ui.server.visits import lost_jobs, waiting_before

logger = logging.getLogger(__name__)

STRIP_PACE_SEC = 0.15  # between two answers with small pictures
MAX_IDS = 100  # of questions for which a page waits
MAX_FIRST = 400  # names of looks that are drawn before the others, or not again
FACE_TEXTS = {
    NoFaceError: "photo.error_no_face",
    FaceTooSmallError: "photo.error_small",
    FaceTooTurnedError: "photo.error_turned",
    GlassesError: "photo.error_glasses",
}


def connect_photo_screen(screen: PhotoScreen, actions: PhotoActions, app: gr.Blocks) -> dict[str, dict[str, Any]]:
    """Let the server answer the page's questions; call it inside the gr.Blocks.

    Returns:
        By name of a question what the script has to know: `number` of the function, how many `inputs` it takes, the
        `kind` of the answer, whether only the `last` of several counts, and which questions it `drops`.
    """
    # One drawing at a time, together with the other tabs; the strip fills in beside it.
    quiet = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
    drawing, sketching = {**DRAW, **quiet}, {**DRAW, **quiet, "concurrency_id": "sketch"}
    handlers = _Handlers(actions)
    asked, opened, answer = screen.asked, screen.opened, screen.answer
    events: dict[str, dict[str, Any]] = {}

    def tell_place(asked: Any, request: gr.Request) -> dict[str, Any]:
        ids = asked.get("ids") if isinstance(asked, dict) else None
        lost = lost_jobs(app, ids[:MAX_IDS] if isinstance(ids, list) else [])
        return {"before": waiting_before(request, app, DRAW["concurrency_id"]), "lost": lost}

    def connect(name: str, function: Callable, kind: str, how: dict, *, keeps: bool = False, **more: Any) -> None:
        given = [asked, opened][: len(signature(function).parameters) - (function is tell_place)]
        asked.change(function, given, [opened, answer] if keeps else answer, **how)  # it never changes by itself
        events[name] = {"number": max(app.fns), "inputs": len(given), "kind": kind, "last": False, "drops": []} | more

    connect("greeting_wanted", handlers.greet, "greeting", sketching)
    connect("strip_wanted", handlers.draw_strip, "strip", sketching)
    # Where the strip was moved to is drawn first: what is being drawn is given up, and goes on with another order.
    connect("strip_moved", handlers.draw_strip, "strip", sketching, drops=["strip_wanted"])
    strips = ["strip_wanted", "strip_moved"]
    connect("photo_chosen", handlers.take_photo, "answer", drawing, keeps=True, drops=strips)
    connect("makeup_chosen", handlers.take_makeup, "worn", drawing)
    connect("look_wanted", handlers.draw, "drawn", drawing, keeps=True, last=True)
    connect("file_wanted", handlers.write_file, "file", drawing)
    connect("seen_wanted", handlers.show_seen, "seen", drawing, last=True)
    connect("place_wanted", tell_place, "place", {**AT_ONCE, "queue": True, "concurrency_limit": None})
    return events


class _Handlers:
    """The answers to the page's events, each a record with the number of the question, or with an error in words."""

    def __init__(self, actions: PhotoActions):
        self.actions = actions
        self._looks = [card.name for card in actions.looks]
        self._sliders = {card.name: (card.low, card.high) for card in actions.sliders}

    def greet(self) -> list[dict[str, str]]:
        return [{"look": name, "picture": picture} for name, picture in self.actions.greeting()]

    def take_photo(self, asked: Any, before: OpenedPhoto | None) -> tuple[Any, dict[str, Any]]:
        def answer() -> tuple[OpenedPhoto, dict[str, Any]]:
            choice = PhotoChoice.read(asked, len(self.actions.examples))
            self.actions.forget(before)
            own = choice.example is None
            opened = self.actions.open(choice.path if own else self.actions.examples[choice.example], own=own)
            fault = self.actions.fault_of(opened)
            key = next((key for kind, key in FACE_TEXTS.items() if isinstance(fault, kind)), "")
            words = {"note": translate(key, choice.language)} if key else {}
            words |= {"remark": remark} if (remark := opened.remark(choice.language)) else {}
            return opened, self._photo(opened) | words

        opened, record = _answered(asked, answer, "photo.error_unreadable", (gr.skip(), {}))
        return opened, record

    def take_makeup(self, asked: Any) -> dict[str, Any]:
        def answer() -> tuple[None, dict[str, Any]]:
            data = asked if isinstance(asked, dict) else {}
            path = uploaded_path(file_record(data.get("path")))
            if path is None:
                raise InputError("the picture must be an upload")
            try:
                self.actions.makeup_of(path)
            except FaceError as error:
                raise InputError("the picture shows no face") from error
            return None, {"path": path}

        return _answered(asked, answer, "photo.error_makeup", (None, {}))[1]

    def draw_strip(self, asked: Any, opened: OpenedPhoto | None) -> Iterator[dict[str, Any]]:
        data = asked if isinstance(asked, dict) else {}
        first, done = (
            [name for name in names[:MAX_FIRST] if isinstance(name, str)] if isinstance(names, list) else []
            for names in (data.get("first"), data.get("done"))
        )
        thumbs: dict[str, str] = {}  # that were not sent yet
        try:
            ask, photo = self._ask(asked), _open(opened)
            sent_sec = 0.0
            for name, picture in self.actions.thumbnails(photo, ask, first, done):
                thumbs[name] = picture
                if time.monotonic() - sent_sec > STRIP_PACE_SEC:  # every answer costs the browser some milliseconds
                    yield {"number": ask.number, "thumbs": thumbs, "done": False}
                    thumbs, sent_sec = {}, time.monotonic()
            yield {"number": ask.number, "thumbs": thumbs, "done": True}
        except PhotoGone:
            yield {"number": data.get("number", 0), "what": "gone"}
        except InputError as error:
            logger.info("no strip: %s", error)
        except Exception:  # the strip then shows names alone; the large picture says what is wrong
            logger.exception("the strip could not be drawn")

    def draw(self, asked: Any, opened: OpenedPhoto | None) -> tuple[Any, dict[str, Any]]:
        def answer() -> tuple[OpenedPhoto, dict[str, Any]]:
            ask, photo = self._ask(asked), _open(opened)
            if ask.faces == "all":
                photo = self.actions.look_closer(photo)
            return photo, {"picture": file_record(self.actions.preview(photo, ask).path)}

        return _answered(asked, answer, "photo.error_busy", (gr.skip(), {}))

    def write_file(self, asked: Any, opened: OpenedPhoto | None) -> dict[str, Any]:
        def answer() -> tuple[None, dict[str, Any]]:
            path = self.actions.file(_open(opened), self._ask(asked)).path
            return None, {"file": file_record(path), "name": Path(path).name}

        return _answered(asked, answer, "photo.error_busy", (None, {}))[1]

    def show_seen(self, asked: Any, opened: OpenedPhoto | None) -> dict[str, Any]:
        def answer() -> tuple[None, dict[str, Any]]:
            picture, faces = self.actions.seen(_open(opened))
            found = [
                {
                    "error": round(100 * float(face.landmarks.error.mean()), 2),
                    "covered": [name.replace(" ", "_") for name in face.covered],
                }
                for face in faces
            ]
            return None, {"picture": picture, "faces": found}

        return _answered(asked, answer, "photo.error_busy", (None, {}))[1]

    def _ask(self, asked: Any) -> PhotoAsk:
        return PhotoAsk.read(asked, self._looks, self._sliders)

    def _photo(self, opened: OpenedPhoto) -> dict[str, Any]:
        width, height = opened.size
        before = file_record(opened.before)
        return {"before": before, "width": width, "height": height, "faces": self.actions.faces(opened)}


def _open(opened: OpenedPhoto | None) -> OpenedPhoto:
    if opened is None or not Path(opened.before).is_file() or not Path(opened.path).is_file():
        raise PhotoGone("the photo is no longer on the server")
    return opened


def _answered(
    asked: Any, answer: Callable[[], tuple[Any, dict]], otherwise: str, nothing: tuple[Any, dict]
) -> tuple[Any, dict[str, Any]]:
    """What `answer` gives, with the number of the question; one sentence on what to do where it fails."""
    data = asked if isinstance(asked, dict) else {}
    number = {"number": data.get("number", 0)}
    try:
        first, record = answer()
        return first, number | record
    except GanSpaceError as error:
        key = next((key for kind, key in FACE_TEXTS.items() if isinstance(error, kind)), otherwise)
        key = "photo.error_gone" if isinstance(error, PhotoGone) else key
        if not isinstance(error, InputError):
            logger.exception("drawing failed")
    except gr.Error as error:  # ours are of another kind: there is no GPU to borrow
        logger.warning("no GPU: %s", error)
        key = "photo.error_gpu"
    except Exception:
        logger.exception("drawing failed")
        key = "photo.error_busy"
    text = translate(key, choose_language(data.get("language")))
    what = {FACE_TEXTS[GlassesError]: "glasses", "photo.error_gone": "gone"}.get(key)
    return nothing[0], number | {"error": text} | ({"what": what} if what else {})
