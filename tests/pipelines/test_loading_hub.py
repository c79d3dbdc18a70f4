"""Loading by Hub id, with the real client over HTTP from a local server that answers as the Hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gan_space.pipelines.loading import ModelSource

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOAD = """
import sys
from gan_space.pipelines.generation import GenerationPipeline
revision = sys.argv[2] if len(sys.argv) > 2 else None
pipe = GenerationPipeline.from_pretrained("user/tiny", revision, cache_dir=sys.argv[1])
print(pipe.model_name, pipe.revision, pipe.credit, pipe(seeds=[1]).recipe[0]["revision"])
"""


class LocalHub(ThreadingHTTPServer):
    """Serves one model repository; `damage` flips a bit in the weights that it sends."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self.damage = False
        self.sent: list[str] = []

    def entry(self, name: str) -> dict:
        data = self.files[name].read_bytes()
        entry = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if name.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass

    def reply(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def reply_json(self, content: object) -> None:
        self.reply(200, json.dumps(content).encode(), Content_Type="application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        wanted = [name for name in self.server.files if name in body.replace("%2F", "/")]
        self.reply_json([self.server.entry(name) for name in wanted])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        model = "/api/models/user/tiny"
        if path.startswith(f"{model}/tree/"):
            self.reply_json([self.server.entry(name) for name in self.server.files])
        elif path in (model, *(f"{model}/revision/{revision}" for revision in ("main", "v1", COMMIT))):
            siblings = [{"rfilename": name} for name in self.server.files]
            self.reply_json({"id": "user/tiny", "sha": COMMIT, "siblings": siblings, "private": False})
        elif path.startswith("/user/tiny/resolve/"):
            self.send_file(path.split("/", 5)[5])
        else:
            self.reply(404, X_Error_Code="RevisionNotFound")

    def send_file(self, name: str) -> None:
        data = self.server.files[name].read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X_Repo_Commit": COMMIT}
        if self.server.damage and name.endswith(".safetensors"):
            data = data[:-1] + bytes([data[-1] ^ 1])
        if self.command == "GET":
            self.server.sent.append(name)
        self.reply(200, data, **headers)


@pytest.fixture
def hub(pipe, tmp_path):
    pipe.source = ModelSource(name="tiny", credit="Credit")
    pipe.save_pretrained(tmp_path / "repository")
    (tmp_path / "repository/evil.py").write_text("raise SystemExit('executed')")
    (tmp_path / "repository/generator/evil.bin").write_bytes(b"pickle")
    server = LocalHub(tmp_path / "repository")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def load(hub: LocalHub, cache: Path, *revision: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **variables,
    }
    command = [sys.executable, "-c", LOAD, str(cache), *revision]
    root = Path(__file__).parents[2]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=120)


def test_a_hub_id_loads_safe_files_at_a_named_commit(hub, tmp_path):
    done = load(hub, tmp_path / "cache", "v1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["user/tiny", COMMIT, "Credit", COMMIT]
    assert {name.rpartition(".")[2] for name in hub.sent} == {"json", "safetensors"}
    again = load(hub, tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert again.returncode != 0  # only v1 was asked for, so main is not known without the network
    offline = load(hub, tmp_path / "cache", COMMIT, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr


def test_a_flipped_bit_is_noticed_and_not_kept(hub, tmp_path):
    hub.damage = True
    done = load(hub, tmp_path / "cache")
    assert done.returncode != 0 and "arrived damaged" in done.stderr
    hub.damage = False
    again = load(hub, tmp_path / "cache")
    assert again.returncode == 0, again.stderr


def test_an_unknown_revision_is_explained(hub, tmp_path):
    done = load(hub, tmp_path / "cache", "v9")
    assert done.returncode != 0 and "WeightsError" in done.stderr and "'v9'" in done.stderr
