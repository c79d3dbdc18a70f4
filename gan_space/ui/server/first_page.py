"""The pages as they are first sent: in the visitor's language, with their styles in place, written once for all.

`/` is the page for a photo, which is ours alone. With `?tab=`, a recipe or another of gradio's own words it is gradio's
page. gradio writes that anew for every visitor, most of a second of CPU, always in one language, and adds our styles
only when its scripts run. What it wrote is taken here, changed, and kept. The address under which the server is reached
is put in for each request: whatever one visitor's headers say of it, no other one's page has it, and none is written
for it.

`/config`, with which every client begins, is kept in the same way, as gradio wrote it: three quarters of a megabyte,
for which gradio takes half a second of CPU each time.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from gradio.route_utils import get_root_url
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan_space.ui.i18n import choose_language, load_locale

COOKIE = "gan_space_language"  # the language that a visitor has chosen
GRADIO_QUERIES = {"tab", "recipe", "view"}  # of addresses that are not those of the page for a photo
MAX_KEPT = 12  # pages by language and tab; and as many of them packed, with the address in place
MAX_ADDRESS_CHARS = 500
CONFIG = "/config"
HTML, JSON = b"text/html; charset=utf-8", b"application/json"
_PLACE = "gan-space-address.invalid"  # stands for the address in pages that are kept
_ADDRESS = re.compile(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?(/[\w.~%/:@+-]*)?", re.ASCII)
_ADDRESS_HEADERS = {
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-gradio-server",
}
_CONFIG = re.compile(r"(<script>window\.gradio_config = )(.*?)(;</script>)", re.DOTALL)
_TRANSLATED = re.compile(r"__i18n__(\{.*?\})", re.DOTALL)


class FirstPage:
    """An ASGI middleware: answers `GET /` and `GET /config` with what it keeps."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self._kept: OrderedDict[tuple, str] = OrderedDict()
        self._packed: OrderedDict[tuple, bytes] = OrderedDict()
        self._writing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        path = scope.get("path", "").removeprefix(scope.get("root_path", "")) or "/"
        is_kept = scope["type"] == "http" and scope["method"] == "GET" and path in ("/", CONFIG)
        if not is_kept or "deep_link" in query or (path == CONFIG and "page" in query):
            return await self.app(scope, receive, send)
        blocks = scope["app"].get_blocks()
        headers = dict(scope["headers"])
        if path == CONFIG:
            return await self._send_config(scope, receive, send)
        tag = wanted_language(query, headers)
        photo = getattr(blocks, "photo_page", None) if GRADIO_QUERIES.isdisjoint(query) else None
        tab = blocks.first_tab("expert" if "recipe" in query else query.get("tab", [""])[0])
        key = (id(blocks), tag, "photo" if photo else tab)
        stays, address = True, "" if photo else address_of(scope)
        async with self._writing:
            page = self._kept.get(key)
            if page is None:
                if photo:
                    page, stays = photo(tag)
                else:
                    status, page = await self._ask(scope, receive)
                    if status != 200:
                        return await _send(send, status, page.encode(), packed=False)
                    page = first_page(page, tag, await blocks.words_for(tag, tab))
                if stays:
                    _keep(self._kept, key, page)
        await self._send_kept(scope, send, page, key if stays else None, address)

    async def _send_config(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = (id(scope["app"].get_blocks()), CONFIG)
        async with self._writing:
            config = self._kept.get(key)
            if config is None:
                status, config = await self._ask(scope, receive, CONFIG)
                if status != 200:
                    return await _send(send, status, config.encode(), packed=False, kind=JSON)
                _keep(self._kept, key, config)
        await self._send_kept(scope, send, config, key, address_of(scope, CONFIG), JSON)

    async def _send_kept(
        self, scope: Scope, send: Send, text: str, key: tuple | None, address: str, kind: bytes = HTML
    ) -> None:
        """Put the address into a text and send it, packed where the client takes that; None as key keeps nothing."""
        if b"gzip" not in dict(scope["headers"]).get(b"accept-encoding", b""):
            return await _send(send, 200, text.replace(_PLACE, address).encode(), packed=False, kind=kind)
        body = None if key is None else self._packed.get((*key, address))
        if body is None:
            body = gzip.compress(text.replace(_PLACE, address).encode(), 6)
            if key is not None:
                _keep(self._packed, (*key, address), body)
        await _send(send, 200, body, packed=True, kind=kind)

    async def _ask(self, scope: Scope, receive: Receive, route: str = "/") -> tuple[int, str]:
        """Status and text of gradio's own answer, in which a word stands for the address."""
        status, parts = 500, []
        headers = [(name, value) for name, value in scope["headers"] if name not in _ADDRESS_HEADERS]
        scope = {**scope, "headers": [*headers, (b"x-forwarded-host", _PLACE.encode())]}

        async def take(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self.app(scope, receive, take)
        return status, b"".join(parts).decode().replace(_root_of(scope, route), _PLACE)


def address_of(scope: Scope, route: str = "/") -> str:
    """Return the address under which a visitor reaches the server, as gradio reads it off the request's headers.

    One that is very long, or that no page could hold, is left out: the page then goes by the host that was asked for.
    """
    try:
        address = _root_of(scope, route)
    except Exception:  # an address that is none: of which kind depends on what gradio reads it with
        address = ""
    if len(address) > MAX_ADDRESS_CHARS or not _ADDRESS.fullmatch(address):
        address = str(Request(scope).base_url).rstrip("/")
    return address


def _root_of(scope: Scope, route: str) -> str:
    app = scope["app"]
    path = app.root_path or scope.get("root_path") or app.get_blocks().custom_mount_path
    return get_root_url(Request(scope), route, path)


def _keep(kept: OrderedDict, key: tuple, what: Any) -> None:
    kept[key] = what
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)


def wanted_language(query: Mapping[str, list[str]], headers: Mapping[bytes, bytes]) -> str:
    """Return the tag of the language of the link, else the one chosen before, else the browser's."""
    try:
        chosen = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        chosen = None
    first = headers.get(b"accept-language", b"").decode("latin-1").split(",")[0].strip()
    return choose_language(query.get("lang", [""])[0] or (chosen.value if chosen else "") or first)


def first_page(page: str, tag: str, words: Mapping[int, Mapping[str, Any]]) -> str:
    """Change gradio's page: all texts in one language, our head in its head.

    Args:
        page: as gradio wrote it; one of another form comes back unchanged.
        tag: of the language.
        words: properties of components that are other ones in it, by id.
    """
    found = _CONFIG.search(page)
    if found is None:
        return page
    config = json.loads(found[2])
    for component in config["components"]:
        component["props"] |= words.get(component["id"], {})
    head, config["head"], config["i18n_translations"] = config.get("head") or "", None, None
    told = json.dumps(_in_language(config, load_locale(tag)), ensure_ascii=False, separators=(",", ":"))
    told = told.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    page = page[: found.start(2)] + told + found[3] + page[found.end() :]
    page = page.replace('lang="en"', f'lang="{tag}" data-built="{tag}"', 1)
    return page.replace("</head>", head + "</head>", 1)


def _in_language(value: Any, texts: Mapping[str, str]) -> Any:
    """A part of gradio's configuration with every marked text in place of its mark."""
    if isinstance(value, dict):
        return {key: _in_language(part, texts) for key, part in value.items()}
    if isinstance(value, list):
        return [_in_language(part, texts) for part in value]
    if isinstance(value, str) and "__i18n__" in value:
        return _TRANSLATED.sub(lambda mark: texts.get(key := json.loads(mark[1])["key"], key), value)
    return value


async def _send(send: Send, status: int, body: bytes, *, packed: bool, kind: bytes = HTML) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"vary", b"Accept-Encoding, Accept-Language, Cookie"),
        (b"cache-control", b"no-cache"),
    ]
    if packed:
        headers.append((b"content-encoding", b"gzip"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
