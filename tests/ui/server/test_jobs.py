"""Stopping long jobs: also those that still wait for their turn, and never those that come later."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from benchmarks.server import Server
from gan_space.errors import Cancelled
from gan_space.pipelines import pack_fitting
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.i18n import load_locale
from gan_space.ui.server.jobs import Job, Stops, one_core_worker, steps_in

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


@pytest.fixture(scope="module")
def actions(style_folder) -> CreateActions:
    return CreateActions(style_pipeline(GenerationPipeline.from_pretrained(style_folder)))


def test_a_stop_is_meant_for_what_was_asked_for_before_it():
    stops, others = Stops("a"), Stops("b")
    before = stops.sign("visit/../1")
    assert not before.given
    stops.stop("visit/../1")
    assert before.given and not stops.sign("visit/../1").given
    assert not stops.sign("2", before.asked_ns).given and not others.sign("visit/../1", before.asked_ns).given
    with pytest.raises(Cancelled, match="before it began"):
        before.check()


def test_a_job_tells_its_steps_ends_when_stopped_and_hands_its_errors_on():
    stops, ended = Stops("c"), threading.Event()

    def count(job: Job) -> None:
        number = 0
        while job.tell(number := number + 1):
            pass
        ended.set()
        job.check("stopped")

    steps = Job(stops.sign("1")).steps(count, "count")
    assert [next(steps), next(steps)] == [1, 2]
    stops.stop("1")
    with pytest.raises(Cancelled, match="stopped"):
        list(steps)
    ended.clear()
    steps = Job(None).steps(count, "count")
    next(steps)
    steps.close()  # nobody waits any more
    assert ended.wait(60)
    assert list(Job(None).steps(lambda job: job.tell(job.stopped) and None, "once")) == [False]


def test_what_was_stopped_while_it_waited_never_starts(actions, monkeypatch):
    opened = actions.open(str(SAMPLES / "woman-lake.jpg"), own=False)
    monkeypatch.setattr(actions.photos, "_find", None)  # looking for a face would be a start
    monkeypatch.setattr(actions.refiner, "_steps", None)
    waiting = [
        actions.make_pack([str(SAMPLES / "naval-officer.jpg")], "never", "visit"),
        actions.refiner.run(opened, "largest", 20, "visit"),
    ]
    actions.stop_making("visit")
    actions.refiner.stop("visit")
    for job in waiting:
        with pytest.raises(Cancelled):
            next(job)


def dependency(config: dict, elem_id: str) -> dict:
    """The event of a click on a button."""
    (button,) = [part["id"] for part in config["components"] if part["props"].get("elem_id") == elem_id]
    events = (event for event in config["dependencies"] if event["backend_fn"])
    return next(event for event in events if [button, "click"] in event["targets"])


def test_a_visitor_stops_a_look_that_waits_behind_anothers(style_app, style_url, until_stopped, monkeypatch):
    server = Server(style_url, 0, Path())
    tuned = []
    until_stopped("gan_space.pipelines.pack_fitting.tune_on_pictures")

    waiting = pack_fitting.tune_on_pictures
    monkeypatch.setattr(
        pack_fitting, "tune_on_pictures", lambda *args, **named: tuned.append(1) or waiting(*args, **named)
    )
    config = json.loads(server.get("/config"))
    make, stop = dependency(config, "make-start"), dependency(config, "make-stop")
    picture = server.upload("a.jpg", (SAMPLES / "naval-officer.jpg").read_bytes())

    def press(event: dict, session: str, data: list) -> None:
        body = {"data": data, "fn_index": event["id"], "session_hash": session, "trigger_id": event["targets"][0][0]}
        server.post("/gradio_api/queue/join" if event["queue"] else "/gradio_api/run/predict", body)

    elements = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    for session in ("first", "second"):
        order = {"make-pictures": [picture], "make-name": session, "consent": True, "language": "en"}
        press(make, session, [order.get(elements[part]) for part in make["inputs"]])
    press(stop, "second", [])
    press(stop, "first", [])
    said = server.get("/gradio_api/queue/data?session_hash=second").decode()
    assert load_locale("en")["error.stopped"] in said
    assert load_locale("en")["error.stopped"] in server.get("/gradio_api/queue/data?session_hash=first").decode()
    assert len(tuned) <= 1  # that of the first, if it had begun


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_worker_keeps_to_one_core_and_no_other_thread_does(two_threads):
    counts = (torch.get_num_threads() for _ in range(3))
    with one_core_worker("small") as worker, ThreadPoolExecutor(1) as later:
        assert list(steps_in(worker, counts)) == [1, 1, 1]
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
