"""What is said to requests that cannot be taken: of another form, too large, or for something that is not there."""

from __future__ import annotations

import logging

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

MAX_BODY_MB = 4  # of what is no upload; parsed, JSON takes about ten times as much memory
MAX_FAULTS, MAX_FAULT_CHARS = 3, 120


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that names something that is not there, or has not the form that gradio wants."""
    logger.warning("refused a request to %s (%s)", request.url.path, type(error).__name__)
    detail = "this request names no function of the page, or lacks what that takes; /?view=api lists the endpoints"
    return JSONResponse({"detail": detail}, status_code=404)


async def refuse_form(request: Request, error: RequestValidationError) -> JSONResponse:
    """Say which fields are missing or wrong; FastAPI would repeat the values, and fails at some of them."""
    faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:MAX_FAULT_CHARS] for one in error.errors()]
    detail = "; ".join(faults[:MAX_FAULTS]).encode(errors="replace").decode()
    return JSONResponse({"detail": f"the request has not the form that is wanted ({detail})"}, status_code=422)


class BodyLimit:
    """Takes no more of a request than `MAX_BODY_MB`, unless it is an upload; an ASGI middleware."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith("/upload"):  # gradio has a limit of its own for these
            return await self.app(scope, receive, send)
        taken = 0

        async def receive_some() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_MB * 1_000_000:
                while message.get("more_body"):  # who is still sending would not hear the answer
                    message = await receive()
                raise HTTPException(413, f"a request may have {MAX_BODY_MB} MB; send pictures to /gradio_api/upload")
            return message

        try:
            await self.app(scope, receive_some, send)
        except HTTPException as error:  # read by a middleware; where an endpoint reads, it is answered there
            await JSONResponse({"detail": error.detail}, status_code=error.status_code)(scope, receive, send)
