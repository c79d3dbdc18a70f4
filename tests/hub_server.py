"""A small Hub on this machine, for the real `huggingface_hub` client over real HTTP.

It keeps models, data sets and Spaces in memory, with commits, tags, private repositories and large files (LFS), and it
can be told to fail in the ways that networks and servers do, see `HubServer.fail`. tests/conftest.py starts one for all
tests.

`python -m tests.hub_server` starts one to try things with, and says which variables to set.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

WRITE_TOKEN = "hf_WriteWriteWriteWriteWriteWrite00"
READ_TOKEN = "hf_ReadReadReadReadReadReadReadRead0"
OTHER_TOKEN = "hf_OtherOtherOtherOtherOtherOther00"
ACCOUNTS = {WRITE_TOKEN: ("user", "write"), READ_TOKEN: ("user", "read"), OTHER_TOKEN: ("somebody", "write")}
LFS_ENDINGS = (".safetensors", ".png", ".parquet", ".bin")
# Some of the identifiers that the Hub knows; it refuses a card with another one.
LICENSES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "other", "unknown")
HTML = b"<!doctype html><title>Please log in to the network</title>"


def git_oid(data: bytes) -> str:
    """Object id that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class Blob:
    """One version of one file."""

    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        if not self.lfs:
            return git_oid(self.data)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        return git_oid(pointer.encode())


@dataclass(frozen=True)
class Commit:
    """One state of a repository."""

    oid: str
    summary: str
    files: dict[str, Blob]


@dataclass
class Repository:
    """Its commits, oldest first; `main` is the last one. A Space also has a kit (`sdk`) and variables."""

    private: bool
    owner: str
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    sdk: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, summary: str, files: dict[str, Blob]) -> Commit:
        parent = self.commits[-1].oid if self.commits else ""
        listing = "".join(f"{path} {blob.oid}\n" for path, blob in sorted(files.items()))
        oid = hashlib.sha1(f"{len(self.commits)} {parent} {summary}\n{listing}".encode()).hexdigest()
        self.commits.append(Commit(oid, summary, files))
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """Commit that a branch, tag or (shortened) commit id names."""
        if revision == "main":
            return self.commits[-1]
        revision = self.tags.get(revision, revision)
        matching = [commit for commit in self.commits if len(revision) >= 7 and commit.oid.startswith(revision)]
        return matching[0] if matching else None


@dataclass
class Fault:
    """What goes wrong with the requests that `where` (a regular expression on "METHOD path") matches."""

    kind: str
    where: re.Pattern
    times: int | None
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    after: int = 0
    body: bytes = b""


class HubServer:
    """Starts at once on a free port; `reset` empties it for the next test."""

    def __init__(self):
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # Large files come from another host, as they do from the real Hub: a token must not go there.
        self.cdn_url = f"http://localhost:{self._server.server_port}"
        self.reset()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reset(self) -> None:
        with self._lock:
            self.repositories: dict[tuple[str, str], Repository] = {}
            self.lfs: dict[str, bytes] = {}
            self.faults: list[Fault] = []
            self.requests: list[str] = []  # "METHOD path", in order

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(
        self,
        kind: str,
        where: str,
        *,
        times: int | None = None,
        status: int = 503,
        retry_after: int | None = None,
        after: int = 0,
        body: bytes = b"",
    ) -> None:
        """Let matching requests fail.

        Args:
            kind: "status" (an HTTP error, not carried out), "lost" (carried out, then an HTTP error), "cut" (connection
                closed in the middle of the body), "truncate" (a shorter body that claims to be whole), "flip" (one
                bit of the body), "html" (a page of another server, with status 200).
            where: regular expression on "METHOD path".
            times: how often; None: for ever.
            status, retry_after, body: of "status" and "lost".
            after: bytes sent before a "cut" or kept by "truncate".
        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        with self._lock:
            self.faults.append(Fault(kind, re.compile(where), times, status, headers, after, body))

    def add(self, repo_id: str, files: dict[str, bytes], *, kind: str = "models", private: bool = False) -> Repository:
        """Put a commit with these files into a repository, which is made where it is missing."""
        with self._lock:
            repository = self.repositories.setdefault((kind, repo_id), Repository(private, repo_id.partition("/")[0]))
            blobs = {path: Blob(data, path.endswith(LFS_ENDINGS)) for path, data in files.items()}
            self.lfs |= {blob.sha256: blob.data for blob in blobs.values() if blob.lfs}
            repository.commit("files", blobs)
            return repository

    def repository(self, repo_id: str, kind: str = "models") -> Repository:
        return self.repositories[kind, repo_id]

    def count(self, where: str) -> int:
        """How many requests matched."""
        return sum(re.search(where, request) is not None for request in self.requests)

    def take_fault(self, request: str) -> Fault | None:
        """The fault that this request suffers, noted as having happened once more."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times != 0 and fault.where.search(request):
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None


class _Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits 40 ms for the client to confirm its head

    @property
    def hub(self) -> HubServer:
        return self.server.hub

    def log_message(self, *arguments) -> None:
        pass

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self.body = self._read_chunks()
        else:
            self.body = self.rfile.read(length)
        parts = urlsplit(self.path)
        self.route, self.query = unquote(parts.path), parse_qs(parts.query)
        self.fault = self.hub.take_fault(f"{self.command} {self.route}")
        kind = self.fault.kind if self.fault else ""
        if kind == "status":
            self._fail(self.fault)
        elif kind == "html":
            self._send(200, HTML, {"Content-Type": "text/html"})
        else:
            try:
                with self.hub._lock:
                    self.answer()
            except _Refusal as refusal:
                headers = {"X-Error-Message": str(refusal)} | ({"X-Error-Code": refusal.code} if refusal.code else {})
                self.json({"error": str(refusal)}, refusal.status, headers)

    do_HEAD = do_POST = do_PUT = do_GET

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fail(self, fault: Fault) -> None:
        body = fault.body or json.dumps({"error": f"trouble {fault.status}"}).encode()
        self._send(fault.status, body, fault.headers, whole=True)

    def json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, whole: bool = False) -> None:
        fault = None if whole else self.fault
        if fault and fault.kind == "lost":
            return self._fail(fault)
        length = len(data)
        if fault and fault.kind == "flip" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        elif fault and fault.kind == "truncate":
            data = data[: fault.after]
            length = len(data)
        elif fault and fault.kind == "cut":
            data = data[: fault.after]
            self.close_connection = True
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # What the Hub offers -------------------------------------------------------------------------------------------

    def answer(self) -> None:
        route = self.route
        if route == "/api/whoami-v2":
            name, role = self.account(needed=True)
            self.json({"type": "user", "name": name, "auth": {"accessToken": {"role": role}}, "orgs": []})
        elif route == "/api/repos/create":
            self.create()
        elif route == "/api/validate-yaml":
            self.validate_card(json.loads(self.body)["content"])
        elif match := re.fullmatch(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/([a-z-]+)(?:/(.+))?)?", route):
            self.api(*match.groups())
        elif match := re.fullmatch(r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", route):
            self.lfs_batch((match[1] or "models").rstrip("/"), match[2])
        elif match := re.fullmatch(r"/lfs/([0-9a-f]{64})", route):
            self.hub.lfs[match[1]] = self.body
            self._send(200, b"", {})
        elif route == "/lfs/verify":
            wanted = json.loads(self.body)
            held = self.hub.lfs.get(wanted["oid"], b"")
            if hashlib.sha256(held).hexdigest() != wanted["oid"] or len(held) != wanted["size"]:
                raise _Refusal(422, "the uploaded object does not fit its checksum")
            self.json({})
        elif match := re.fullmatch(r"/cdn/([0-9a-f]{64})", route):
            if "Authorization" in self.headers:
                raise _Refusal(400, "Only one auth mechanism allowed")
            self.send_file(self.hub.lfs[match[1]], {"ETag": f'"{match[1]}"'})
        elif match := re.fullmatch(r"/(datasets/|spaces/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", route):
            self.resolve((match[1] or "models").rstrip("/"), *match.groups()[1:])
        else:
            raise _Refusal(404, f"no such page: {route}")

    def account(self, *, needed: bool = False) -> tuple[str, str]:
        """(name, role) of who asks; ("", "") without a token."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in ACCOUNTS:
            raise _Refusal(401, "Invalid username or password.")
        if needed and not token:
            raise _Refusal(401, "Invalid username or password.")
        return ACCOUNTS.get(token, ("", ""))

    def writer(self, owner: str) -> None:
        name, role = self.account(needed=True)
        if role != "write" or name != owner:
            raise _Refusal(403, f"Forbidden: this token cannot write to the namespace {owner}")

    def find(self, kind: str, repo_id: str) -> Repository:
        name, _ = self.account()
        repository = self.hub.repositories.get((kind, repo_id))
        if repository is None or (repository.private and name != repository.owner):
            raise _Refusal(404 if name else 401, "Repository not found", "RepoNotFound")
        return repository

    def find_commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.at(revision)
        if commit is None:
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def create(self) -> None:
        wanted = json.loads(self.body)
        name, _ = self.account(needed=True)
        owner = wanted.get("organization") or name
        repo_id, kind = f"{owner}/{wanted['name']}", f"{wanted.get('type') or 'model'}s"
        self.writer(owner)
        url = f"{self.hub.url}/{'' if kind == 'models' else f'{kind}/'}{repo_id}"
        if kind == "spaces" and wanted.get("sdk") not in ("gradio", "docker", "static"):
            raise _Refusal(400, f"a Space needs an sdk, got {wanted.get('sdk')!r}")
        if (kind, repo_id) in self.hub.repositories:
            return self.json({"error": "You already created this repo", "url": url}, 409)
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        repository = self.hub.repositories[kind, repo_id] = Repository(private, owner, sdk=wanted.get("sdk"))
        repository.commit("initial commit", {".gitattributes": Blob(b"*.safetensors filter=lfs\n", lfs=False)})
        return self.json({"url": url, "id": repo_id})

    def validate_card(self, content: str) -> None:
        match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        errors = []
        try:
            front = yaml.safe_load(match[1]) if match else {}
        except yaml.YAMLError as error:
            front, errors = {}, [str(error)]
        license_name = front.get("license", "unknown")
        if license_name not in LICENSES:
            errors.append(f'"license" must be one of {LICENSES}, got {license_name!r}')
        if license_name == "other" and "license_name" not in front:
            errors.append('"license_name" is needed with "license: other"')
        errors += [f'"{key}" must be a list of text' for key in ("tags", "datasets") if not _texts(front.get(key, []))]
        result = {"errors": [{"message": error} for error in errors], "warnings": []}
        if match is None:
            result["warnings"].append({"message": "empty or missing yaml metadata in repo card"})
        self.json(result, 400 if errors else 200)

    def api(self, kind: str, repo_id: str, action: str | None, rest: str | None) -> None:
        repository = self.find(kind, repo_id)
        if action in (None, "revision"):
            commit = self.find_commit(repository, rest or "main")
            siblings = [{"rfilename": path} for path in commit.files]
            about = {"id": repo_id, "sha": commit.oid, "private": repository.private, "siblings": siblings}
            return self.json({**about, "author": repository.owner, "tags": [], "downloads": 0, "likes": 0})
        if action == "refs":
            heads = {"main": repository.commits[-1].oid}
            groups = {"branches": ("heads", heads), "tags": ("tags", repository.tags), "converts": ("convert", {})}
            return self.json(
                {
                    group: [{"name": name, "ref": f"refs/{at}/{name}", "targetCommit": refs[name]} for name in refs]
                    for group, (at, refs) in groups.items()
                }
            )
        if action in ("tree", "paths-info"):
            revision, _, path = rest.partition("/")
            commit = self.find_commit(repository, revision)
            if action == "tree":
                return self.json(_tree(commit, path, recursive=self.query.get("recursive", [""])[0].lower() == "true"))
            asked = parse_qs(self.body.decode()).get("paths", [])
            entries = {entry["path"]: entry for entry in _tree(commit, "", recursive=True)}
            return self.json([entries[name] for name in asked if name in entries])
        self.writer(repository.owner)
        if action == "variables" and kind == "spaces":
            return self.set_variable(repository)
        if action == "preupload":
            return self.preupload(self.find_commit(repository, rest))
        if action == "commit":
            return self.receive_commit(repository, repo_id)
        if action == "tag":
            name = json.loads(self.body)["tag"]
            if name in repository.tags:
                raise _Refusal(409, f"Tag reference exists already: {name}")
            repository.tags[name] = self.find_commit(repository, rest).oid
            return self.json({})
        raise _Refusal(404, f"no such page: {self.route}")

    def set_variable(self, repository: Repository) -> None:
        if self.command == "POST":
            wanted = json.loads(self.body)
            repository.variables[wanted["key"]] = wanted["value"]
        self.json({key: {"key": key, "value": value} for key, value in repository.variables.items()})

    def preupload(self, head: Commit) -> None:
        answers = []
        for file in json.loads(self.body)["files"]:
            held = head.files.get(file["path"])
            lfs = file["path"].endswith(LFS_ENDINGS)
            answer = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            answers.append(answer | ({} if held is None else {"oid": held.sha256 if held.lfs else held.oid}))
        self.json({"files": answers})

    def lfs_batch(self, kind: str, repo_id: str) -> None:
        self.writer(self.find(kind, repo_id).owner)
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"},
                "verify": {"href": f"{self.hub.url}/lfs/verify"},
            }
            objects.append(wanted | ({} if wanted["oid"] in self.hub.lfs else {"actions": actions}))
        self.json({"transfer": "basic", "objects": objects})

    def receive_commit(self, repository: Repository, repo_id: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        head, files = repository.commits[-1], dict(repository.commits[-1].files)
        summary = ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                summary = value["summary"]
                if value.get("parentCommit", head.oid) != head.oid:
                    raise _Refusal(412, f"A commit has happened since: {value['parentCommit']} is not {head.oid}")
            elif line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.lfs:
                    raise _Refusal(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = Blob(self.hub.lfs[value["oid"]], lfs=True)
            elif line["key"] == "deletedFile":
                files.pop(value["path"])
        commit = repository.commit(summary, files)
        url = f"{self.hub.url}/{repo_id}/commit/{commit.oid}"
        self.json({"commitUrl": url, "commitOid": commit.oid, "hookOutput": ""})

    def resolve(self, kind: str, repo_id: str, revision: str, path: str) -> None:
        commit = self.find_commit(self.find(kind, repo_id), revision)
        if path not in commit.files:
            raise _Refusal(404, f"Entry not found: {path}", "EntryNotFound")
        blob = commit.files[path]
        headers = {"X-Repo-Commit": commit.oid}
        if not blob.lfs:
            return self.send_file(blob.data, {**headers, "ETag": f'"{blob.oid}"'})
        headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        self._send(302, b"", {**headers, "Location": f"{self.hub.cdn_url}/cdn/{blob.sha256}"})

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        headers |= {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return self._send(200, data, headers)
        start, end = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
        headers |= {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
        self._send(206, data[start : end + 1], headers)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _tree(commit: Commit, folder: str, *, recursive: bool) -> list[dict]:
    """Entries below a folder; folders are listed too, since `datasets` takes a listing without them for empty."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict] = {}
    for path, blob in sorted(commit.files.items()):
        if not path.startswith(prefix):
            continue
        steps = path.removeprefix(prefix).split("/")
        for depth in range(1, len(steps)):
            name = prefix + "/".join(steps[:depth])
            if recursive or depth == 1:
                entries.setdefault(name, {"type": "directory", "path": name, "oid": git_oid(name.encode()), "size": 0})
        if recursive or len(steps) == 1:
            entries[path] = {"type": "file", "path": path, "oid": blob.oid, "size": len(blob.data)}
            if blob.lfs:
                entries[path]["lfs"] = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": 134}
    return list(entries.values())


if __name__ == "__main__":
    server = HubServer()
    print(f"export HF_ENDPOINT={server.url} HF_HUB_DISABLE_XET=1 HF_TOKEN={WRITE_TOKEN}", flush=True)
    threading.Event().wait()
