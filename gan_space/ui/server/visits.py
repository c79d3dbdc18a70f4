"""What gradio keeps of every visit: held for as long as the visit lasts, and for few of those that are over.

gradio makes about half a megabyte of state for every session name that a request brings, and never drops it; results
that nobody fetches stay as well. Here the visits are counted by their open connections. Those without one and without
a job count as over, and only the latest of them are kept, for visitors whose connection broke.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

MAX_VISITS = 256  # of which some may be over; gradio drops the one that was not heard of for longest
KEPT_VISITS = 24  # that are over
ASKED_NS = "gan_space.asked_ns"


class Visits:
    """Counts open connections, has what is left of old visits dropped, and stamps requests; an ASGI middleware."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope[ASKED_NS] = time.time_ns()
        visit = _listening(scope)
        if visit is None:
            try:
                return await self.app(scope, receive, send)
            finally:
                if scope["method"] == "POST":
                    self._tidy(scope["app"])
        self._open[visit] += 1
        try:
            return await self.app(scope, receive, send)
        except RuntimeError as error:
            # A page that was open while the server was restarted. gradio has told it, and then tries to answer 404.
            if not isinstance(error.__cause__, HTTPException):
                raise
            logger.info("a visit asks for answers that are not known here")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._open[visit] -= 1
            if not self._open[visit]:
                del self._open[visit]
            self._tidy(scope["app"])

    def _tidy(self, app: Any) -> None:
        """Drop what is kept of visits that are over, but for the latest of them."""
        holder, queue = app.state_holder, app.get_blocks()._queue
        busy = {event.session_hash for event in queue.event_ids_to_events.values()} | self._open.keys()
        over = [visit for visit in holder.session_data if visit not in busy]  # longest unheard of first
        for visit in over[:-KEPT_VISITS]:
            holder.delete_state(visit)  # tells the components, which delete files
            holder.session_data.pop(visit, None)
            holder.time_last_used.pop(visit, None)
        for mailboxes in (queue.pending_messages_per_session, queue.pending_event_ids_session):
            for visit in [visit for visit in mailboxes if visit not in busy and visit not in holder.session_data]:
                del mailboxes[visit]


def asked_at(request: gr.Request) -> int:
    """Say when a job was asked for, as `time.time_ns` counts: it may have waited for its turn since then."""
    scope = getattr(request.request, "scope", None) or {}
    return scope.get(ASKED_NS) or time.time_ns()


def waiting_before(request: gr.Request, app: gr.Blocks, concurrency_id: str) -> int:
    """Count the jobs that come before the one for which a visit waits; 0 where none of the visit's waits."""
    line = app._queue.event_queue_per_concurrency_id.get(concurrency_id)  # made when the server starts
    events = enumerate(line.queue if line else (), 1)
    waiting = (number for number, event in events if event.session_hash == request.session_hash)
    return next(waiting, 0)  # one less waits before it, and one is at work


def lost_jobs(app: gr.Blocks, ids: Sequence[Any]) -> list[Any]:
    """Return those ids of jobs to which no answer will come: neither waiting nor running for anybody who listens.

    Where one is done, its answer stands in the visit's line before whatever is answered now.
    """
    events = app._queue.event_ids_to_events
    known = {one for one, event in list(events.items()) if event.alive}
    return [one for one in ids if isinstance(one, str) and one not in known]


def _listening(scope: Scope) -> str | None:
    """The visit that a request listens for, as long as it is open; None for requests that are answered at once."""
    if scope["method"] != "GET":
        return None
    parts = scope["path"].rstrip("/").split("/")
    if len(parts) >= 2 and parts[-2] == "heartbeat":
        return parts[-1]
    if parts[-2:] == ["queue", "data"]:
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
    if len(parts) >= 3 and "call" in parts[-4:-2]:  # /call/name/event, whose visit has the event's name
        return parts[-1]
    return None
