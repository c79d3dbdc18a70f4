"""What an error of the Hub's client means: one line that says what to do, and whether another try may help."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import httpx2
from huggingface_hub import get_token
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CLIENT_ERRORS = (httpx2.HTTPError, OSError, ValueError, RuntimeError)
MAX_WAIT_SEC = 60.0  # however long the Hub asks to wait
BUSY = (408, 429, 500, 502, 503, 504)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def wait_before_retry(error: BaseException, wait: float | None) -> float | None:
    """Return the seconds to wait before another try, or None if there is none left or it would not help.

    A broken connection is not tried again here: the client did so already, several times.
    """
    response = _response(error)
    if wait is None or (response is None and not _is_cut_short(error)):
        return None
    if response is None:
        return wait
    if response.status_code not in BUSY:
        return None
    asked = response.headers.get("Retry-After", "")
    return min(max(wait, float(asked)), MAX_WAIT_SEC) if asked.isdigit() else wait


def reason(error: BaseException, token: str | bool | None) -> str:
    """Say in one line, without any token, what went wrong and what to do."""
    chain = list(_chain(error))

    def met(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in chain)

    response = _response(error)
    status = None if response is None else response.status_code
    if any(isinstance(one, OSError) and one.errno in _DISK_FULL for one in chain):
        return "there is no room left for its files; free disk space, or set HF_HOME to a folder on a larger disk"
    if met(RevisionNotFoundError):
        return "it has no such revision; leave revision out for the newest, or look up its branches and tags"
    if met(GatedRepoError):
        return f"its owner wants you to accept conditions first; do so on its page, then {_LOG_IN}"
    if status == 401 or met(RepositoryNotFoundError):
        if not _is_logged_in(token):
            return f"there is no such repository, or it needs a token; check the name, or {_LOG_IN}"
        return (
            "there is no such repository, or your token does not reach it (wrong, expired, or of another account); "
            f"check the name and the token: {_LOG_IN}"
        )
    if status == 403:
        return f"your token may not do this; get one with write access for this name, then {_LOG_IN}"
    if status == 412:
        return "somebody pushed meanwhile; look at its newest commit, then push again"
    if status == 429:
        return "the Hub asks for fewer requests (429); wait some minutes, logged in you may make more"
    if status in BUSY:
        return f"the Hub is out of order ({status}); try again later"
    if met(RemoteEntryNotFoundError):
        return f"a file is missing in it; ask its owner to push it again ({_first_line(error, token)})"
    if _is_cut_short(error):
        return "a file arrived cut short; try again, or from another network"
    if met(FileMetadataError) or (met(ValueError) and "Expecting value" in str(error)):
        return (
            "something other than the Hub answered (a login page of the network, a proxy, or a wrong HF_ENDPOINT); "
            "open the Hub in a browser from this machine first"
        )
    if met(httpx2.HTTPError, ConnectionError) and status is None and not met(OfflineModeIsEnabled):
        how = "the copy on this machine is incomplete, and " if met(IncompleteSnapshotError) else ""
        return f"{how}the connection to the Hub failed; check the network and try again"
    if "Invalid metadata" in str(error):  # the Hub's own words on the front matter of README.md
        return _without_tokens(str(error), token)
    if response is not None:
        refused = next(one for one in chain if isinstance(one, HfHubHTTPError))
        return f"the Hub refused it ({status}): {_without_tokens(refused.server_message or str(refused), token)}"
    if met(IncompleteSnapshotError):
        return "the copy on this machine is incomplete; load it once with the network on"
    if met(LocalEntryNotFoundError, OfflineModeIsEnabled):
        return "it is not in the cache of this machine, and the network is off; load it once with the network on"
    return _first_line(error, token)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _response(error: BaseException) -> httpx2.Response | None:
    """The Hub's answer that an error is about, if there was one."""
    return next((one.response for one in _chain(error) if isinstance(one, HfHubHTTPError)), None)


def _is_cut_short(error: BaseException) -> bool:
    return any("Consistency check failed" in str(one) for one in _chain(error) if isinstance(one, OSError))


def _is_logged_in(token: str | bool | None) -> bool:
    return isinstance(token, str) or (token is not False and get_token() is not None)


def _first_line(error: BaseException, token: str | bool | None) -> str:
    return _without_tokens((str(error).strip().splitlines() or [type(error).__name__])[0], token)


def _without_tokens(text: str, token: str | bool | None) -> str:
    """One line in which no token that was in use can be read."""
    text = " ".join(text.split())
    for secret in (token, get_token()):
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return text
