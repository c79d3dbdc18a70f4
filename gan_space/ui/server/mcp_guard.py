"""Tools for assistants must not read the server's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OnlyUploadedFiles:
    """Takes the mark of a file off whatever names something else than an upload, in requests to the MCP server.

    gradio hands a tool's arguments to a client of its own on the same machine, and that client uploads every file that
    they name: any caller could have any file of the server. Without the mark a record stays a record, and the
    endpoints answer that they expected an uploaded file.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or "mcp" not in scope["path"].split("/"):
            return await self.app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":  # the caller has gone
                return None
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            body = json.dumps(without_foreign_files(json.loads(body))).encode()
        except (ValueError, RecursionError):
            body = b""  # not JSON; the MCP server says so
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, replay, send)


def without_foreign_files(value: Any) -> Any:
    """Return a copy of JSON in which only files inside gradio's folder of uploads are still marked as files."""
    if isinstance(value, list):
        return [without_foreign_files(item) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {name: without_foreign_files(item) for name, item in value.items()}
    if "path" in copy and "meta" in copy and not _is_upload(copy["path"]):
        del copy["meta"]
    return copy


def _is_upload(path: object) -> bool:
    try:
        inside = Path(str(path)).resolve().is_relative_to(Path(get_upload_folder()).resolve())
        return isinstance(path, str) and inside and Path(path).is_file()
    except (OSError, ValueError):
        return False
