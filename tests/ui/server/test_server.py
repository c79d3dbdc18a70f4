"""The server as strangers use it: wrong values, strange files, many at once, and visits without end."""

from __future__ import annotations

import io
import itertools
import json
import logging
import random
import re
import time
import zipfile

import gradio as gr
import pytest
from PIL import Image

from benchmarks.load import Tally, first_look, marked_photo, read_mark, run_users, use
from benchmarks.server import Refused, Server, opening
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app, launch_options
from gan_space.ui.messages import shown_text
from gan_space.ui.server import visits
from gan_space.ui.server.folder import server_folder
from tests.ui.person.test_person_actions import person_folder  # noqa: F401, a fixture

pytestmark = pytest.mark.slow

# Every type that JSON has, most of them out of any range; what a parameter does take of them is in TAKEN.
WRONG = (None, True, 5, -7.5, 1e300, "zz", "../" * 100, [1], ["a"], {"a": [1]})
TAKEN = {
    "seed": (5,),
    "style_seed": (5,),
    "seeds": ([1],),
    "frames_between": (5,),
    "keep": (None, ["a"]),  # a name that no attribute has holds nothing still
}
SOME = {"seeds": [1, 2], "seed": 1, "style_seed": 2, "attributes": {}, "consent": True}


@pytest.fixture(scope="module")
def page(person_folder) -> gr.Blocks:  # noqa: F811
    app = build_app(GenerationPipeline.from_pretrained(person_folder))
    options = {**launch_options(host="127.0.0.1"), "server_port": None, "quiet": True}
    app.launch(prevent_thread_lock=True, **options)
    yield app
    app.close()


@pytest.fixture(scope="module")
def server(page) -> Server:
    return Server(page.local_url.rstrip("/"), 0, server_folder().path)


@pytest.fixture(scope="module")
def photo(server) -> dict:
    return server.upload("me.jpg", marked_photo(3))


def refusal(server: Server, endpoint: str, values: dict) -> str:
    """What the server says to values that it does not take."""
    with pytest.raises(Refused) as caught:
        server.call(endpoint, **values)
        pytest.fail(f"{endpoint} took {values}")
    return str(caught.value)


def assert_is_a_sentence(text: str) -> None:
    assert text and text != "None" and len(text) < 600, text
    assert "Traceback" not in text and "Error(" not in text and " at 0x" not in text, text
    assert str(server_folder().path) not in text and "site-packages" not in text, text
    assert not re.search(r"(?<![\w:])/(?:tmp|home|root|usr|work|var|opt)/", text), text


def test_every_wrong_value_of_every_endpoint_gets_a_sentence(page, server, photo, caplog):
    named = page.get_api_info()["named_endpoints"]
    assert len(named) == 5
    for endpoint, info in named.items():
        right = {part["parameter_name"]: part.get("parameter_default") for part in info["parameters"]}
        right |= {name: value for name, value in SOME.items() if name in right}
        if endpoint == "/stylize":
            right |= {"photo": photo, "pack": "ink"}
        for part in info["parameters"]:
            name, fine = part["parameter_name"], TAKEN.get(part["parameter_name"], ())
            for value in WRONG:
                optional = value is None and right[name] is None
                is_flag = value is True and part["python_type"]["type"] == "bool"
                if optional or is_flag or any(type(value) is type(one) and value == one for one in fine):
                    continue
                # Without the queue, by which the others here go, and in one visit: gradio takes a while to make one.
                body = {"data": list((right | {name: value}).values()), "session_hash": "walk"}
                with pytest.raises(Refused) as caught:
                    server.post(f"/gradio_api/run{endpoint}", body)
                    pytest.fail(f"{endpoint} took {name}={value!r}")
                text = json.loads(str(caught.value).removeprefix("500: "))["error"]
                assert_is_a_sentence(text)
                assert name.removesuffix("s") in text or value == "zz", (name, value, text)
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
ODD = (
    *WRONG,
    10**30,
    float("nan"),
    [["a", 1]],
    FILE,
    [FILE],
    {"path": "a.jpg"},
    [{"image": FILE}],
    "largest",
    "x" * 3000,
)
EVENTS = (
    None,
    5,
    "a",
    [1],
    {},
    {"index": -1},
    {"look": 5},
    {"example": True},
    {"path": FILE},
    {"first": 5, "done": {}},
)
CLICKS = tuple({"index": place, "value": 1} for place in (0, 10**9, True, "a", [10, 20], [1e300, 5], [1], None))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_function_of_the_page_takes_any_values_or_says_a_sentence(server, photo, caplog, seed):
    """By number, as the page asks: also those that are for the page alone."""
    config, chance = json.loads(server.get("/config")), random.Random(seed)
    shown = {part["id"]: part["props"].get("value") for part in config["components"]}
    taken = 0
    for function in config["dependencies"]:
        data = [shown[part] for part in function["inputs"]]
        for number in chance.sample(range(len(data)), min(len(data), chance.choice([0, 1, 2, 99]))):
            data[number] = chance.choice([photo, [photo], *ODD])
        # One visit, so that each meets what those before have left.
        body = {"data": data, "fn_index": function["id"], "session_hash": f"odd{seed}"}
        body |= {"trigger_id": function["targets"][0][0] if function["targets"] else None}
        try:
            server.post("/gradio_api/run/predict", body | {"event_data": chance.choice(EVENTS + CLICKS)})
            taken += 1
        except Refused as error:
            assert_is_a_sentence(str(error))
        logged = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
        assert logged == [], (function["api_name"], data)
    assert taken > len(config["dependencies"]) / 4


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/call/nothing", {"data": []}),
        ("/call/generate", {"data": []}),
        ("/call/generate", {"data": [[1]] * 20}),
        ("/call/v2/nothing", {}),
        ("/call/v2/generate", {"zz": 1}),
        ("/run/nothing", {"data": []}),
        ("/run/generate", {"data": 5}),
        ("/queue/join", {"data": [], "fn_index": 10**6, "session_hash": "a"}),
        ("/queue/join", {"data": [], "fn_index": "zz", "session_hash": "a"}),
        ("/queue/join", {"data": [], "fn_index": 0}),
        ("/queue/join", {"data": ["x" * 5_000_000], "fn_index": 0, "session_hash": "a"}),
        ("/mcp/", "x" * 5_000_000),
        ("/cancel", {"session_hash": float("nan")}),
        ("/reset", {"\ud800": "\ud800"}),
        ("/cancel", [[]]),
    ],
)
def test_requests_of_the_wrong_form_get_a_sentence(server, path, body, caplog):
    with pytest.raises(Refused) as caught:
        event = server.post(f"/gradio_api{path}", body)["event_id"]
        raise Refused(server.get(f"/gradio_api{path}/{event}").decode())
    assert_is_a_sentence(str(caught.value))
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("path", ["/call/generate/gone", "/call/v2/generate/gone", "/queue/data?session_hash=gone"])
def test_who_waits_for_an_answer_that_is_not_known_is_told_and_let_go(server, path):
    """As every page does that was open while the server was restarted."""
    assert "404" in server.get(f"/gradio_api{path}").decode()  # whole: an answer that breaks off raises


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


STRANGE = {
    "empty.jpg": b"",
    "text.png": b"no picture at all",
    "cut.jpg": marked_photo(1)[:5000],
    "page.webp": b"<html><script>alert(1)</script></html>",
    "archive.jpg": zipped(a=b"b"),
    "..%2f..%2fetc%2fpasswd": b"root:x:0:0",
    "a" * 300 + ".jpg": b"long",
    "<img src=x>.jpg": b"\xff\xd8\xff",
    "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "bomb.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x06\x00\x00\x00",
}


@pytest.mark.parametrize("name", list(STRANGE))
def test_strange_files_get_a_sentence_without_a_path(server, name, caplog):
    try:
        sent = server.upload(name, STRANGE[name])
    except Refused as error:
        assert_is_a_sentence(str(error))
        return
    for endpoint, values in (
        ("/stylize", {"photo": sent, "consent": True, "pack": "ink"}),
        ("/personalize", {"photo": sent, "consent": True, "seeds": [], "attributes": {"smile": 1}}),
        ("/personalize", {"profile": sent, "consent": True, "seeds": [1], "attributes": {}}),
    ):
        assert_is_a_sentence(refusal(server, endpoint, values))
    assert [record for record in caplog.records if record.exc_info] == []


def test_files_that_were_not_uploaded_are_not_told_of(server, caplog):
    places = ["/etc/passwd", "app.py", "a\0b", "a" * 5000, str(server_folder().kept), "http://127.0.0.1:1/a.jpg"]
    for path, meta in itertools.product(places, ({"_type": "gradio.FileData"}, "x", None)):
        values = {"photo": {"path": path, "meta": meta}, "consent": True, "pack": "ink"}
        said = refusal(server, "/stylize", values)
        assert_is_a_sentence(said.replace(path, ""))
        assert "not uploaded here" in said
    assert [record for record in caplog.records if record.exc_info] == []


def test_messages_keep_names_and_lose_folders():
    for text, shown in {
        "/tmp/gradio/1a/me.jpg cannot be read": "me.jpg cannot be read",
        "no file '/a b/x.png'": "no file '/a b/x.png'",  # a space ends a path: better too little than half a sentence
        r"C:\Users\me\x.png is broken": "x.png is broken",
        "for photos there is /stylize": "for photos there is /stylize",
        "user/name@v1 and https://huggingface.co/a/b": "user/name@v1 and https://huggingface.co/a/b",
        "1/2 or and/or/both": "1/2 or and/or/both",
        "(cannot identify image file '/srv/x/y.jpg')": "(cannot identify image file 'y.jpg')",
    }.items():
        assert shown_text(text) == shown


def test_many_at_once_get_their_own(server):
    look = first_look(json.loads(server.get("/config")))
    tally = run_users(server, users=3, rounds=1, look=look)
    assert tally.errors == [] and tally.mixed_up == []
    assert {"/generate", "/mix", "/interpolate", "/personalize", "/personalize photo", "/stylize"} <= set(tally.seconds)


def test_a_photo_that_is_somebody_elses_would_be_seen(server, monkeypatch):
    assert [read_mark(marked_photo(user)) for user in (0, 3, 49)] == [0, 3, 49]
    assert read_mark(_picture(512)) is None and read_mark(_picture(64)) is None
    monkeypatch.setattr(Server, "upload", lambda *_: upload(server, "other.jpg", marked_photo(7)))
    tally = Tally()
    use(server, 3, 0, "ink", tally)
    assert len(tally.mixed_up) == 2 and all("the photo of 7" in line for line in tally.mixed_up)


upload = Server.upload


def _picture(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "gray").save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
def test_what_is_kept_of_visits_is_bounded(page, server, monkeypatch):
    monkeypatch.setattr(visits, "KEPT_VISITS", 3)  # pages take a while to open
    config = json.loads(server.get("/config"))
    for number in range(12):
        server.visit(config, refused=number % 2 == 1)
    for number in range(6):  # results that nobody fetches
        server.post("/gradio_api/queue/join", opening(config, f"gone{number}"))
    queue, holder = page._queue, page.app.state_holder
    for _ in range(100):  # until the last of them had its turn
        server.call("/generate", seeds=[1])
        if not any(event.session_hash.startswith("gone") for event in queue.event_ids_to_events.values()):
            break
        time.sleep(0.1)
    server.call("/generate", seeds=[1])
    for kept in (
        *(holder.session_data, holder.time_last_used, queue.pending_messages_per_session),
        *(queue.pending_event_ids_session, queue.event_analytics, queue.event_ids_to_events),
    ):
        assert len(kept) <= 3 + 2, list(kept)
    assert page.state_session_capacity == visits.MAX_VISITS < 1000
