"""Push and pull with the real client against a Hub on this machine, which fails in all the ways a Hub can fail."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gan_space import hub as transfer
from gan_space.errors import InputError, WeightsError
from tests.hub_server import OTHER_TOKEN, READ_TOKEN, WRITE_TOKEN, HubServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
WEIGHTS = bytes(range(256)) * 80  # 20 kB
FILES = {
    "model_index.json": b'{"_class_name": "GenerationPipeline"}',
    "generator/config.json": b'{"resolution": 16}',
    "generator/diffusion_pytorch_model.safetensors": WEIGHTS,
    "README.md": b"---\nlicense: cc-by-4.0\n---\n# A model\n",
}
SECRET = "Write" * 4


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS_SEC", (0.01, 0.01))


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "model"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def held(hub: HubServer, repo_id: str = "user/a") -> dict[str, bytes]:
    files = hub.repository(repo_id).commits[-1].files
    return {path: blob.data for path, blob in files.items() if path != ".gitattributes"}


def assert_no_token(error: BaseException) -> None:
    """Neither the error nor anything that hangs on it may give the token away."""
    seen, waiting = set(), [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        assert SECRET not in f"{one!s} {one!r} {one.args} {vars(one)}"
        assert not hasattr(one, "request") and not hasattr(one, "response")
        waiting += [one.__cause__, one.__context__]


def python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True, timeout=400
    )


# Push -------------------------------------------------------------------------------------------------------------


def test_a_folder_goes_up_in_one_commit_and_comes_down_the_same(hub, folder, tmp_path):
    done = transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    repository = hub.repository("user/a")
    assert [commit.summary for commit in repository.commits] == ["initial commit", "Push a gan_space model"]
    assert done.commit == repository.commits[-1].oid == repository.tags["v1"]
    assert done.changed and done.url == f"{hub.url}/user/a"
    got = transfer.download("user/a", "v1", cache_dir=tmp_path / "cache")
    assert content(got) == FILES and got.name == done.commit


def test_pushing_the_same_again_changes_nothing(hub, folder):
    first = transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    again = transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    assert again.commit == first.commit and not again.changed
    assert len(hub.repository("user/a").commits) == 2
    assert hub.count("^PUT") == 1


def test_a_new_version_sends_what_changed_and_drops_what_is_gone(hub, folder):
    (folder / "generator/old-00002-of-00002.safetensors").write_bytes(b"old shard")
    transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    hub.add("user/a", {**held(hub), "LICENSE": b"by hand", ".gitattributes": b""})
    (folder / "generator/old-00002-of-00002.safetensors").unlink()
    (folder / "model_index.json").write_bytes(b"{}")
    before = hub.count("^PUT")
    transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v2")
    assert held(hub) == {**FILES, "model_index.json": b"{}", "LICENSE": b"by hand"}
    assert hub.count("^PUT") == before
    repository = hub.repository("user/a")
    assert repository.at("v1").files.keys() > {"generator/old-00002-of-00002.safetensors"}


def test_a_tag_never_moves(hub, folder):
    transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    (folder / "model_index.json").write_bytes(b"{}")
    with pytest.raises(InputError, match="tag 'v1' of 'user/a' already names commit"):
        transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    assert held(hub) == FILES


def test_a_private_repository_stays_private(hub, folder, tmp_path):
    transfer.upload(folder, "user/a", token=WRITE_TOKEN, private=True)
    assert hub.repository("user/a").private
    for token in (False, OTHER_TOKEN):
        with pytest.raises(WeightsError, match="no such repository"):
            transfer.download("user/a", token=token, cache_dir=tmp_path / "cache")
    assert content(transfer.download("user/a", token=READ_TOKEN, cache_dir=tmp_path / "cache")) == FILES


def test_private_into_a_public_repository_is_refused(hub, folder):
    hub.add("user/a", {"x.txt": b"1"})
    with pytest.raises(InputError, match="is public, so nothing was pushed"):
        transfer.upload(folder, "user/a", token=WRITE_TOKEN, private=True)
    assert held(hub) == {"x.txt": b"1"}


@pytest.mark.parametrize(
    ("token", "repo_id", "words"),
    [
        (False, "user/a", "needs a token.*hf auth login.*HF_TOKEN"),
        (READ_TOKEN, "user/a", "write access"),
        (WRITE_TOKEN, "somebody/a", "write access for this name"),
        ("hf_" + SECRET + "Expired", "user/a", "wrong, expired"),
    ],
)
def test_who_may_not_push_is_told_what_is_missing(hub, folder, token, repo_id, words):
    hub.add(repo_id, {"x.txt": b"1"})
    with pytest.raises(InputError, match=words) as caught:
        transfer.upload(folder, repo_id, token=token)
    assert "cannot push" in str(caught.value) and "\n" not in str(caught.value)
    assert_no_token(caught.value)
    assert held(hub, repo_id) == {"x.txt": b"1"}


def test_a_stale_parent_is_refused(hub, folder):
    hub.add("user/a", {"x.txt": b"1"})
    parent = hub.add("user/a", {"x.txt": b"2"}).commits[0].oid
    with pytest.raises(InputError, match="somebody pushed meanwhile"):
        transfer.upload(folder, "user/a", token=WRITE_TOKEN, parent_commit=parent)
    assert held(hub) == {"x.txt": b"2"}


def test_a_push_in_between_is_noticed_without_a_parent_too(hub, folder, monkeypatch):
    hub.add("user/a", {"x.txt": b"1"})
    push = transfer.HfApi.create_commit

    def slow(self, *arguments, **options):
        hub.add("user/a", {"x.txt": b"theirs"})
        return push(self, *arguments, **options)

    monkeypatch.setattr(transfer.HfApi, "create_commit", slow)
    with pytest.raises(InputError, match="somebody pushed meanwhile"):
        transfer.upload(folder, "user/a", token=WRITE_TOKEN)
    assert held(hub) == {"x.txt": b"theirs"}


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("POST /api/repos/create", "status"),
        ("POST .*/preupload/", "status"),
        ("POST .*/objects/batch", "status"),
        ("POST .*/commit/", "status"),
        ("POST .*/commit/", "lost"),  # the commit was made, but its answer did not arrive
        ("POST .*/tag/", "lost"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_recovers_gets_one_commit(hub, folder, where, kind, status):
    hub.fail(kind, where, times=1, status=status, retry_after=0)
    done = transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    repository = hub.repository("user/a")
    assert len(repository.commits) == 2 and held(hub) == FILES
    assert repository.tags == {"v1": done.commit}


@pytest.mark.parametrize(("status", "words"), [(429, "fewer requests"), (503, r"out of order \(503\)")])
def test_a_hub_that_stays_away_leaves_no_half_push_and_can_be_resumed(hub, folder, status, words):
    hub.fail("status", "POST .*/commit/", status=status)
    with pytest.raises(InputError, match=words) as caught:
        transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    assert "goes on where this one stopped" in str(caught.value)
    assert_no_token(caught.value)
    assert held(hub) == {} and not hub.repository("user/a").tags
    hub.faults.clear()
    transfer.upload(folder, "user/a", token=WRITE_TOKEN, tag="v1")
    assert held(hub) == FILES and len(hub.repository("user/a").commits) == 2
    assert hub.count("^PUT") == 1, "the weights were there already"


def test_a_broken_connection_while_pushing(hub, folder):
    hub.fail("cut", "POST .*/commit/")
    with pytest.raises(InputError, match="connection to the Hub failed") as caught:
        transfer.upload(folder, "user/a", token=WRITE_TOKEN)
    assert_no_token(caught.value)


def test_a_page_of_another_server_is_no_hub(hub, folder):
    hub.fail("html", "POST /api/repos/create")
    with pytest.raises(InputError, match="something other than the Hub answered"):
        transfer.upload(folder, "user/a", token=WRITE_TOKEN)


def test_what_cannot_be_pushed_is_told_at_once_before_any_request(hub, folder):
    (folder / "model.pkl").write_bytes(b"")
    (folder / "generator/x.partial").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        transfer.upload(folder, "no id", token=WRITE_TOKEN, tag="v 1", parent_commit="abc")
    for word in ("'no id'", "'v 1'", "'abc'", "model.pkl is a pickle", "x.partial is half written"):
        assert word in str(caught.value)
    with pytest.raises(InputError, match="is no folder"):
        transfer.upload(folder / "nowhere", "user/a")
    assert hub.requests == []


def test_hidden_files_stay_behind(hub, folder):
    (folder / ".env").write_text("HF_TOKEN=" + WRITE_TOKEN)
    (folder / ".cache").mkdir()
    (folder / ".cache/x.json").write_text("{}")
    transfer.upload(folder, "user/a", token=WRITE_TOKEN)
    assert held(hub) == FILES


def test_a_bad_card_is_refused_by_the_hub_in_words(hub, folder):
    (folder / "README.md").write_text("---\nlicense: my own\n---\n")
    with pytest.raises(InputError, match=r"README\.md.*license"):
        transfer.upload(folder, "user/a", token=WRITE_TOKEN)
    assert held(hub) == {}


# Pull -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(hub) -> HubServer:
    """A Hub that has user/a."""
    hub.add("user/a", {**FILES, "evil.py": b"raise SystemExit", "generator/evil.bin": b"pickle"})
    return hub


def test_only_safe_files_come_down_and_the_token_goes_to_the_hub_alone(model, tmp_path):
    got = transfer.download("user/a", token=WRITE_TOKEN, cache_dir=tmp_path)
    assert content(got) == FILES
    assert model.count("GET /cdn/") == 1 and model.count("evil") == 0  # the other host refuses tokens


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("user/none",), "no such repository"),
        (("user/a", "v9"), "at revision 'v9'.*no such revision"),
        (("user/a", "0" * 40), "no such revision"),
    ],
)
def test_what_is_not_there_is_named(model, tmp_path, arguments, words):
    with pytest.raises(WeightsError, match=words) as caught:
        transfer.download(*arguments, token=WRITE_TOKEN, cache_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert_no_token(caught.value)


def test_what_is_no_hub_id_is_no_download(hub, tmp_path):
    with pytest.raises(InputError, match="neither a folder nor a Hub id"):
        transfer.download("no id / at all", cache_dir=tmp_path)
    assert hub.requests == []


def test_a_file_that_is_listed_but_missing(model, tmp_path):
    del model.repository("user/a").commits[-1].files["generator/config.json"]
    model.add("user/b", FILES)
    model.fail("status", "/user/b/resolve/.*config.json", status=404)
    with pytest.raises(WeightsError, match="cannot download 'user/b'"):
        transfer.download("user/b", cache_dir=tmp_path)
    assert set(content(transfer.download("user/a", cache_dir=tmp_path))) == set(FILES) - {"generator/config.json"}


@pytest.mark.parametrize(
    ("where", "status"),
    [
        ("GET /api/models", 429),
        ("GET /api/models", 503),
        ("HEAD .*config.json", 429),
        ("GET /cdn", 429),
        ("GET /cdn", 503),
    ],
)
def test_a_busy_hub_is_asked_again(model, tmp_path, where, status):
    model.fail("status", where, times=1, status=status, retry_after=0)
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES


@pytest.mark.parametrize(("status", "words"), [(429, "fewer requests"), (503, r"out of order \(503\)")])
def test_a_hub_that_stays_busy_is_an_error_and_then_the_cache_serves(model, tmp_path, status, words):
    model.fail("status", "GET /api/models/user/a/revision", status=status)
    with pytest.raises(WeightsError, match=words):
        transfer.download("user/a", cache_dir=tmp_path)
    model.faults.clear()
    transfer.download("user/a", cache_dir=tmp_path)
    model.fail("status", "/api/", status=status)
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES


def test_a_connection_cut_once_is_resumed(model, tmp_path):
    model.fail("cut", "GET /cdn", times=1, after=5000)
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES


@pytest.mark.parametrize(
    ("kind", "where", "words"),
    [
        ("cut", "GET /cdn", "connection to the Hub failed"),
        ("cut", "GET /api/models/user/a/revision", "connection to the Hub failed"),
        ("truncate", "GET /cdn", "cut short"),
        ("flip", "GET /cdn", "arrived damaged"),
        ("flip", "GET .*config.json", "config.json of 'user/a' arrived damaged"),
        ("html", "GET /cdn", "cut short"),  # it has another length than the Hub told
        ("html", "(GET|HEAD) .*/resolve/", "something other than the Hub"),
        ("html", "/api/", "something other than the Hub"),
    ],
)
def test_a_network_that_stays_broken_leaves_nothing_that_is_loaded_later(model, tmp_path, kind, where, words):
    model.fail(kind, where, after=50)
    with pytest.raises(WeightsError, match=words) as caught:
        transfer.download("user/a", token=WRITE_TOKEN, cache_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert_no_token(caught.value)
    with pytest.raises(WeightsError, match=r"incomplete|not in the cache"):
        transfer.download("user/a", cache_dir=tmp_path, local_files_only=True)
    model.faults.clear()
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES


@pytest.mark.parametrize("kind", ["truncate", "flip"])
def test_a_file_that_arrives_damaged_once_is_fetched_again(model, tmp_path, kind):
    model.fail(kind, "GET /cdn", times=1, after=1000)
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES
    assert model.count("GET /cdn") == 2


def test_a_file_that_rots_in_the_cache_is_not_loaded_offline_and_mended_online(model, tmp_path):
    got = transfer.download("user/a", cache_dir=tmp_path)
    blob = (got / "generator/diffusion_pytorch_model.safetensors").resolve()
    blob.write_bytes(WEIGHTS[:-1] + b"x")
    with pytest.raises(WeightsError, match="damaged; go online"):
        transfer.download("user/a", cache_dir=tmp_path, local_files_only=True)
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES


def test_html_that_is_as_long_as_the_weights_is_no_weights(model, tmp_path):
    page = b"<html>".ljust(len(WEIGHTS))
    model.lfs = dict.fromkeys(model.lfs, page)
    with pytest.raises(WeightsError, match="arrived damaged"):
        transfer.download("user/a", cache_dir=tmp_path)


def test_offline_serves_what_is_there_and_says_what_is_not(model, tmp_path):
    code = "import sys; from gan_space import hub; print(hub.download(*sys.argv[2:], cache_dir=sys.argv[1]))"
    commit = transfer.download("user/a", cache_dir=tmp_path).name
    asked = len(model.requests)
    for revision in ([], ["main"], [commit]):
        done = python(code, str(tmp_path), "user/a", *revision, HF_HUB_OFFLINE="1")
        assert done.returncode == 0 and Path(done.stdout.strip()).name == commit, done.stderr
    done = python(code, str(tmp_path), "user/b", HF_HUB_OFFLINE="1")
    assert "WeightsError" in done.stderr and "the network is off" in done.stderr
    assert len(model.requests) == asked
    done = python(code, str(tmp_path), "user/a", HF_ENDPOINT="http://127.0.0.1:9")  # nobody listens there
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_told_and_leaves_nothing_behind(model, tmp_path):
    code = (
        "import sys; from gan_space.errors import WeightsError; from gan_space import hub\n"
        "try: hub.download('user/a', cache_dir=sys.argv[1])\n"
        "except WeightsError as error: print(error)"
    )
    limit = 8000  # bytes that any file may have: all but the weights fit
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert "no room left" in done.stdout, done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size >= limit]
    with pytest.raises(WeightsError, match="incomplete"):
        transfer.download("user/a", cache_dir=tmp_path, local_files_only=True)
    assert content(transfer.download("user/a", cache_dir=tmp_path)) == FILES


def test_several_at_once_get_the_same(model, tmp_path):
    got: list[dict] = []
    threads = [
        threading.Thread(target=lambda: got.append(content(transfer.download("user/a", cache_dir=tmp_path))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [FILES] * 4


# The token --------------------------------------------------------------------------------------------------------


def test_a_token_given_as_an_argument_is_not_repeated(model, folder, tmp_path):
    model.fail("status", "", status=400, body=b'{"error": "bad token another-secret"}')
    for call in (transfer.download, lambda *a, **k: transfer.upload(folder, *a, token=k["token"])):
        with pytest.raises(InputError, match=r"\*\*\*") as caught:
            call("user/a", token="another-secret", cache_dir=tmp_path)
        assert "another-secret" not in str(caught.value)


@pytest.mark.parametrize("where", ["/api/repos/create", "/revision/"])
def test_a_server_that_repeats_the_token_does_not_get_it_printed(model, folder, tmp_path, where):
    model.fail("status", where, status=400, body=f'{{"error": "bad token {WRITE_TOKEN}"}}'.encode())
    code = (
        "import sys, logging; logging.basicConfig(level=logging.DEBUG); from gan_space import hub\n"
        "getattr(hub, sys.argv[1])(*sys.argv[2:])"
    )
    arguments = ["download", "user/a"] if where == "/revision/" else ["upload", str(folder), "user/a"]
    done = python(code, *arguments, HF_TOKEN=WRITE_TOKEN, HF_HOME=str(tmp_path / "home"))
    assert done.returncode != 0 and "Error: cannot" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    stored = [
        path for path in (tmp_path / "home").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    assert not stored


def test_the_token_of_the_environment_is_used_and_not_stored(hub, folder, tmp_path):
    code = "import sys; from gan_space import hub; print(hub.upload(sys.argv[1], 'user/a'))"
    done = python(code, str(folder), HF_TOKEN=WRITE_TOKEN, HF_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert held(hub) == FILES and SECRET not in done.stdout + done.stderr
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
