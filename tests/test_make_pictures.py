"""The pictures of the pages: which words are taken, and where faces of nobody fill up a sheet."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

FILE = Path(__file__).resolve().parents[1] / "docs" / "make_pictures.py"


@pytest.fixture
def pictures():
    spec = importlib.util.spec_from_file_location("make_pictures", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("words", [["looks=x"], ["shape-faces=x", "shape=x"], ["nothing"]])
def test_what_cannot_be_drawn_is_said_before_anything_is(pictures, monkeypatch, words):
    drawn = []
    for name in ("looks", "shape"):
        monkeypatch.setitem(pictures.PICTURES, name, lambda: drawn.append("one"))
    monkeypatch.setitem(pictures.PICTURES, "shape-faces", lambda photos="": drawn.append(photos))
    monkeypatch.setattr("sys.argv", ["make_pictures.py", *words])
    with pytest.raises(SystemExit, match=words[-1].partition("=")[0]):
        pictures.main()
    assert drawn == []
    monkeypatch.setattr("sys.argv", ["make_pictures.py", "shape", "shape-faces=x"])
    pictures.main()
    assert drawn == ["one", "x"]


@pytest.mark.parametrize(("own", "drawn"), [(3, [9]), (12, []), (14, [])])
def test_faces_of_nobody_are_drawn_only_where_photos_are_missing(pictures, monkeypatch, tmp_path, own, drawn):
    class Pipeline:
        @classmethod
        def from_pretrained(cls):
            return cls()

        def open(self, picture, boxes=None):
            return picture

        def __call__(self, seeds):
            asked.append(len(seeds))
            return type("Faces", (), {"images": [Image.new("RGB", (8, 8)) for _ in seeds]})

    asked, sheets = [], []
    for name in ("PersonalizationPipeline", "GenerationPipeline"):
        monkeypatch.setattr(pictures, name, Pipeline)
    monkeypatch.setattr(pictures, "save_sliders", lambda person, portraits, *_: sheets.append(len(portraits)))
    monkeypatch.setattr(pictures, "EXAMPLES", tmp_path / "none")
    for number in range(own):
        (tmp_path / f"{number}.jpg").touch()
    pictures.draw_shape_faces(str(tmp_path))
    assert asked == drawn and set(sheets) == {12}
