"""A file that is drawn while its picture is looked at: taken if it is wanted, else nothing is left of it."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.create.actions import CreateActions, style_pipeline
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.photo.actions import PhotoActions
from gan_space.ui.photo.ahead import FilesAhead, Waiting
from gan_space.ui.photo.api import PhotoAsk
from gan_space.ui.server.files import Shown
from gan_space.ui.server.folder import FILE_AGE_SEC, server_folder

PHOTO = OpenedPhoto("me.jpg", "before.jpg", (64, 64), [])
PENCIL, COMIC = PhotoAsk(look="pencil", number=3), PhotoAsk(look="comic", number=4)
PATIENCE_SEC = 60


class Drawing:
    """Draws files that hold the name of the look; waits between its two steps for as long as `open` is not set."""

    def __init__(self, folder: Path):
        self.folder, self.drawn = folder, []
        self.begun, self.open, self.waiting = Event(), Event(), Waiting()
        self.open.set()
        self.ahead = FilesAhead(self.draw, self.waiting)

    def draw(self, opened, ask, go_on) -> Shown:
        self.begun.set()
        assert self.open.wait(PATIENCE_SEC)
        go_on()
        path = self.folder / f"{len(self.drawn)}" / "file.jpg"
        path.parent.mkdir()
        path.write_text(ask.look)
        self.drawn.append(ask.look)
        return Shown(str(path), {}, "")

    def rest(self) -> None:
        """Wait until all that was begun has ended."""
        self.ahead._worker.submit(lambda: None).result(PATIENCE_SEC)

    def is_empty(self) -> bool:
        """Whether nothing is left once all that was begun has ended."""
        self.rest()
        return not any(self.folder.iterdir())


@pytest.fixture
def drawing(tmp_path) -> Drawing:
    return Drawing(tmp_path)


@pytest.mark.parametrize("done", [False, True])
def test_what_was_begun_is_taken_and_drawn_once(drawing, done):
    drawing.ahead.begin(PHOTO, PENCIL)
    assert drawing.begun.wait(PATIENCE_SEC)
    if done:
        drawing.rest()
    shown = drawing.ahead.take(PHOTO, PhotoAsk(look="pencil", number=9, language="zh-CN"))
    assert Path(shown.path).read_text() == "pencil" and drawing.drawn == ["pencil"]
    drawing.ahead.drop(PHOTO)
    assert not drawing.is_empty()  # saved is saved


@pytest.mark.parametrize("end", ["another look", "another file", "drop"])
@pytest.mark.parametrize("done", [False, True])
def test_nothing_is_left_of_what_nobody_wants(drawing, end, done):
    if not done:
        drawing.open.clear()
    drawing.ahead.begin(PHOTO, PENCIL)
    assert drawing.begun.wait(PATIENCE_SEC)
    if done:
        drawing.rest()
    if end == "another look":
        drawing.ahead.begin(PHOTO, COMIC)
    elif end == "another file":
        assert drawing.ahead.take(PHOTO, COMIC) is None
    else:
        drawing.ahead.drop(PHOTO)
    drawing.open.set()
    if end == "another look":
        drawing.rest()
        assert Path(drawing.ahead.take(PHOTO, COMIC).path).read_text() == "comic"
        assert "pencil" not in [path.read_text() for path in drawing.folder.rglob("file.jpg")]
    else:
        assert drawing.is_empty()


def test_it_gives_way_to_a_picture_that_somebody_waits_for(drawing):
    drawing.open.clear()
    drawing.ahead.begin(PHOTO, PENCIL)
    assert drawing.begun.wait(PATIENCE_SEC)
    with drawing.waiting.one_more():
        drawing.open.set()
        assert drawing.is_empty()
        assert drawing.ahead.take(PHOTO, PENCIL) is None
    drawing.ahead.begin(PHOTO, PENCIL)  # given up is not drawn: it may be begun again
    drawing.rest()
    assert drawing.ahead.take(PHOTO, PENCIL) is not None


def test_whoever_waits_for_a_file_comes_before_small_pictures(drawing):
    drawing.open.clear()
    drawing.ahead.begin(PHOTO, PENCIL)
    assert drawing.begun.wait(PATIENCE_SEC)
    assert not drawing.waiting.somebody  # it is drawn ahead of the tap
    with ThreadPoolExecutor(2) as pool:
        taken = pool.submit(drawing.ahead.take, PHOTO, PENCIL)
        deadline = time.monotonic() + PATIENCE_SEC
        while not drawing.waiting.somebody and time.monotonic() < deadline:
            time.sleep(0.001)
        assert drawing.waiting.somebody
        drawing.waiting.rest(0.01)
        assert drawing.waiting.somebody  # patience has an end
        rested = pool.submit(drawing.waiting.rest, PATIENCE_SEC)
        drawing.open.set()
        assert Path(taken.result(PATIENCE_SEC).path).read_text() == "pencil"
        rested.result(PATIENCE_SEC)
    assert not drawing.waiting.somebody


def test_what_was_drawn_ahead_goes_with_its_hour_and_with_the_visit(style_folder):
    create = CreateActions(style_pipeline(GenerationPipeline.from_pretrained(style_folder)))
    actions = PhotoActions(create)
    opened = actions.open(actions.examples[0], own=True)
    ask = PhotoAsk(look="silver-print")

    def drawn_ahead() -> Path:
        """The file that waits for a tap on Save."""
        actions.preview(opened, ask)
        actions._ahead._worker.submit(lambda: None).result(PATIENCE_SEC)
        return Path(actions._ahead._jobs[opened.before].future.result().path)

    path, folder = drawn_ahead(), server_folder()
    assert path.is_relative_to(folder.files)
    long_ago = time.time() - FILE_AGE_SEC - 60
    for one in (path, path.parent):
        os.utime(one, (long_ago, long_ago))
    folder.sweep()
    assert not path.exists() and Path(opened.before).exists()
    assert Path(actions.file(opened, ask).path).is_file()  # drawn anew
    path = drawn_ahead()
    actions.forget(opened)  # what gradio calls when the visit is over, see layout.py
    assert not path.exists()
