"""`gan-space inspect` on a real photo: what it prints, what it draws, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.cli import app
from gan_space.models.landmarker import Landmarker
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.loading import default_model_folder

PHOTO = Path(__file__).resolve().parents[1] / "data" / "samples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The embedded aligner and a landmarker that puts everything at the mean of nothing in particular."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "model_index.json").write_text('{"_class_name": "GenerationPipeline"}')
    shutil.copytree(default_model_folder() / "aligner", folder / "aligner")
    torch.manual_seed(0)
    Landmarker(32, 4, 4, 8, 4).save_pretrained(folder / "landmarker")
    return folder


def test_a_face_is_a_line_and_the_overlay_a_labelled_picture(model, tmp_path, capsys):
    out = tmp_path / "seen.png"
    assert app.main(["inspect", str(PHOTO), "--model", str(model), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("face 0: ")
    assert all(word in lines[0] for word in ("px wide", "turn", "tilt", "presence", "lips", "lids", "brows", "oval"))
    assert read_provenance(out) is not None
    before, after = (np.asarray(Image.open(file).convert("RGB")) for file in (PHOTO, out))
    assert before.shape == after.shape and (before != after).any()
    changed = np.argwhere((before != after).any(axis=2))
    assert np.ptp(changed, axis=0).max() < 250, "only the face is drawn over"


def test_a_photo_without_a_face_is_told_by_the_exit_code(model, tmp_path, capsys):
    Image.new("RGB", (120, 80), "grey").save(tmp_path / "wall.png")
    assert app.main(["inspect", str(tmp_path / "wall.png"), "--model", str(model)]) == 1
    assert "no face is seen" in capsys.readouterr().out


def test_nothing_is_overwritten_and_a_model_without_the_networks_is_named(model, tmp_path, capsys):
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    photo, before = tmp_path / "photo.jpg", (tmp_path / "photo.jpg").read_bytes()
    assert app.main(["inspect", str(photo), "--model", str(model), "--out", str(photo), "--overwrite"]) == 2
    (tmp_path / "there.png").write_bytes(b"mine")
    assert app.main(["inspect", str(photo), "--model", str(model), "--out", str(tmp_path / "there.png")]) == 2
    assert photo.read_bytes() == before and (tmp_path / "there.png").read_bytes() == b"mine"
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "model_index.json").write_text('{"_class_name": "GenerationPipeline"}')
    assert app.main(["inspect", str(photo), "--model", str(bare)]) == 2
    assert "no aligner and no landmarker" in capsys.readouterr().err
