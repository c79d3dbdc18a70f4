"""A running app for the benchmarks: started in a process of its own, asked over HTTP, and what it costs (Linux)."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import REPOSITORY
from gan_space.errors import InputError

API = "/gradio_api"
GIVE_UP_SEC, START_SEC = 1800.0, 900.0
MB = 1024 * 1024


def free_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far, all threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, name: str = "VmRSS") -> float:
    """Return the memory of a process in MB: "VmRSS" now, "VmHWM" at its largest (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024 / MB
    return 0.0


class Refused(InputError):
    """The server answered with an error; the message is what it said."""


@dataclass
class Server:
    """A running app.

    Args:
        url: without a slash at its end.
        pid: of the process.
        folder: where its temporary files lie.
    """

    url: str
    pid: int
    folder: Path
    _names: Iterator[int] = field(default_factory=itertools.count)

    def get(self, path: str, headers: dict[str, str] | None = None) -> bytes:
        """Return the body of an answer; Refused for anything but success."""
        return self._open(urllib.request.Request(self.url + path, headers=headers or {}))

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON that answers to JSON."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        return json.loads(self._open(request))

    def upload(self, name: str, content: bytes) -> dict:
        """Send a file as the page does; returns what endpoints take for it."""
        mark = f"part{random.getrandbits(64):x}"
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        (path,) = json.loads(self._open(urllib.request.Request(f"{self.url}{API}/upload", body, headers)))
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def call(self, endpoint: str, **values: Any) -> tuple[list[dict], list[dict]]:
        """Return files and recipes of an endpoint; Refused with the server's sentence where it gives an error."""
        event = self.post(f"{API}/call/v2{endpoint}", values)["event_id"]
        kind, data = "", None
        for line in self.get(f"{API}/call{endpoint}/{event}").decode().splitlines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind in ("complete", "error"):
                data = json.loads(line.removeprefix("data: "))
        if kind != "complete":
            raise Refused(str(data.get("error") if isinstance(data, dict) else data))
        return tuple(data)

    def visit(self, config: dict, refused: bool = False) -> None:
        """Open the page as a browser does, in a session of its own, and leave; or only send what is refused."""
        session = f"visit{next(self._names)}x{os.getpid()}"
        if refused:
            body = {"data": [], "fn_index": 10**6, "session_hash": session}
            with _expected_refusal():
                self.post(f"{API}/queue/join", body)
            return
        with urllib.request.urlopen(f"{self.url}{API}/heartbeat/{session}", timeout=GIVE_UP_SEC):
            self.get("/")
            self.post(f"{API}/queue/join", opening(config, session))
            self.get(f"{API}/queue/data?session_hash={session}")

    def files(self) -> list[Path]:
        """List every file that visitors left, uploads and what was drawn; not the server's own."""
        kept = ("lock", "kept")
        return [
            path
            for path in self.folder.rglob("*")
            if path.is_file() and not set(kept) & set(path.relative_to(self.folder).parts)
        ]

    def _open(self, request: urllib.request.Request) -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=GIVE_UP_SEC) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{error.code}: {error.read().decode(errors='replace')[:2000]}") from error


@contextmanager
def _expected_refusal() -> Iterator[None]:
    try:
        yield
    except Refused:
        return
    raise InputError("the server took a request that names no function of the page")


def opening(config: dict, session: str) -> dict:
    """Return what a browser in another language than the page's asks first: all texts in that language."""
    part = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == "other-texts")
    event = next(one for one in config["dependencies"] if [part, "change"] in map(list, one["targets"]))
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    data = [values.get(part) for part in event["inputs"]]
    return {"data": data, "fn_index": event["id"], "session_hash": session, "trigger_id": None}


@contextmanager
def serve(log: Path, command: list[str] | None = None, arguments: list[str] | None = None) -> Iterator[Server]:
    """Start the app with temporary files in a folder of its own; InputError with its own words where it does not come.

    Args:
        log: file that gets what the server writes.
        command: that starts the app, `python app.py` of this repository if None.
        arguments: further ones.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gan-space-load-") as name:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY), "TMPDIR": name}
        environment.pop("GRADIO_TEMP_DIR", None)
        command = [*(command or [sys.executable, str(REPOSITORY / "app.py")]), "--port", str(port), *(arguments or [])]
        with log.open("w") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            server = Server(f"http://127.0.0.1:{port}", process.pid, Path(name))
            _wait_until_up(server, process, log)
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _wait_until_up(server: Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SEC
    while True:
        try:
            server.get("/")
            return
        except (urllib.error.URLError, ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise InputError(f"the app did not come up: {log.read_text()[-2000:].strip()}") from error
            time.sleep(0.1)
