"""Whom the server answers: requests for names that are its own, and from pages that are its own.

Any web page can send requests to a server on the visitor's machine or network, and by pointing a name of its own there
(DNS rebinding) can even read the answers. Both show in what browsers send along: the host that was asked for, and the
site whose page asks. Programs send no site; they only have to use one of the server's names.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gan_space.errors import ConfigError, raise_all

HOSTS_VARIABLE = "GAN_SPACE_ALLOWED_HOSTS"
SPACE_DOMAIN, SPACE_FRAME = ".hf.space", "huggingface.co"  # where Spaces are, and the pages that show them in a frame
SAFE_METHODS = ("GET", "HEAD")
MAX_HOST_CHARS = 253
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


class Hosts:
    """The names of a server.

    Args:
        names: besides those of the machine itself: "portraits.example.org", "*.example.org" for all names below it, or
            "*" for every name.

    Raises:
        ConfigError: one of them is none; says which, all of them at once.
    """

    def __init__(self, names: Iterable[str] = ()):
        own = [name.strip().lower() for name in names if name.strip()]
        raise_all(
            [
                f"an allowed host is a name such as portraits.example.org, *.example.org or *, got {name!r}"
                for name in own
                if name != "*" and not _is_address(name) and not _NAME.fullmatch(name.removeprefix("*."))
            ],
            ConfigError,
        )
        space = [name.strip().lower() for name in os.environ.get("SPACE_HOST", "").split(",") if name.strip()]
        self.known = [*own, *space]
        self._on_a_space = bool(space or os.environ.get("SPACE_ID"))

    @property
    def answers_all(self) -> bool:
        """Whether every name will do."""
        return "*" in self.known

    def has(self, host: str, own_address: str = "") -> bool:
        """Tell whether the server goes by this name, without a port; `own_address` is where the request arrived."""
        # The Hub routes a Space's names to it, and they are below a domain that is the Hub's alone.
        at_the_hub = self._on_a_space and host.endswith(SPACE_DOMAIN)
        # A page may point its own name at any machine, but not somebody else's address.
        return _is_local(host) or host == own_address or at_the_hub or self._is_own(host)

    def trusts(self, site: str, host: str) -> bool:
        """Tell whether pages of a site may send requests to `host`."""
        framed = self._on_a_space and site == SPACE_FRAME
        return site == host or _is_local(site) or framed or self._is_own(site)

    def _is_own(self, host: str) -> bool:
        return any(
            name in ("*", host) or (name.startswith("*.") and host.endswith(name.removeprefix("*")))
            for name in self.known
        )


def find_hosts(given: Iterable[str] = (), bound_to: str | None = None) -> Hosts:
    """Join the names `given`, those in GAN_SPACE_ALLOWED_HOSTS (commas between), and the one listened on."""
    names = [part for text in (*given, os.environ.get(HOSTS_VARIABLE, "")) for part in text.split(",")]
    bound = (bound_to or os.environ.get("GRADIO_SERVER_NAME") or "").strip("[]")
    return Hosts([*names, *([bound] if bound and not _is_local(bound) else [])])


def reach(bound_to: str | None, given: Iterable[str] = ()) -> str:
    """Say what to know about the names of a server that other machines reach; "" where only this machine does."""
    bound = bound_to or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    hosts = find_hosts(given, bound)
    if bound not in ("0.0.0.0", "::", "[::]") or hosts.answers_all:
        return ""
    known = f" and as {', '.join(hosts.known)}" if hosts.known else ""
    return (
        f"Other machines reach this server by its address{known}. For another name, such as portraits.example.org, "
        f"start it with --allowed-host portraits.example.org, or set {HOSTS_VARIABLE}."
    )


class HostGuard:
    """Refuses requests for other hosts and from the pages of other sites, with one line; an ASGI middleware."""

    def __init__(self, app: ASGIApp, hosts: Hosts):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._fault(scope) if scope["type"] in ("http", "websocket") else ""
        if not fault:
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": fault[:100]})
        headers = {"X-Content-Type-Options": "nosniff", "Connection": "close"}
        return await PlainTextResponse(fault + "\n", status_code=403, headers=headers)(scope, receive, send)

    def _fault(self, scope: Scope) -> str:
        found: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name.lower(), []).append(value.decode("latin-1"))
        host = host_of(found.get(b"host", []))
        own_address = (scope.get("server") or ("",))[0] or ""
        if host is None or not self.hosts.has(host, own_address):
            shown = "without a host" if host is None else f"for the host {host}"
            return f"Requests {shown} are not answered here; whoever runs this server can allow it by --allowed-host."
        site = site_of(found.get(b"origin", []))
        fetch_site = "".join(found.get(b"sec-fetch-site", []))
        if site is None:  # no page, or one whose site is unknown; then the browser says where it stands
            foreign = fetch_site == "cross-site" and scope.get("method") not in SAFE_METHODS
        elif site == "null":
            foreign = fetch_site != "same-origin"
        else:
            foreign = not self.hosts.trusts(site, host)
        if foreign:
            return "Requests from the pages of other sites are not taken here; --allowed-host can allow a site."
        return ""


def guarded(hosts: Hosts) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Make a lifespan for `launch(app_kwargs=…)`: when the server starts, the guard is put before all that gradio adds.

    As one of the app's middlewares it would stand behind gradio's, which answers some requests of other sites itself.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.middleware_stack = HostGuard(app.middleware_stack, hosts)
        yield

    return lifespan


def host_of(values: list[str]) -> str | None:
    """Return the name or address in a Host header, without the port; None for none, several, or anything else."""
    if len(values) != 1 or len(values[0]) > MAX_HOST_CHARS:
        return None
    match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d*)?", values[0].strip().lower())
    return match[1].strip("[]").removesuffix(".") if match else None


def site_of(values: list[str]) -> str | None:
    """Return the host in an Origin header; "null" for one that cannot be told, None where there is none."""
    if not values:
        return None
    try:
        return (urlsplit(values[0]).hostname or "null").removesuffix(".") if len(values) == 1 else "null"
    except ValueError:
        return "null"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_local(host: str) -> bool:
    """Whether a name or address always is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if not _is_address(host):
        return False
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_unspecified
