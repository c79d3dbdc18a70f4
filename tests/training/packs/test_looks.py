"""Looks by formula: ranges, both languages, sizes, and what each promises."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from gan_space.errors import ConfigError
from gan_space.images import from_uint8, luminance
from gan_space.packs.style import SCOPES, TRANSFERS
from tests.packs.skin_tones import TONES, faces_by_tone, mean_lightness
from training.common.face_labels import load_labelled_faces
from training.packs.looks import DRAWN, LOOKS, render_look

FACES = str(Path(__file__).resolve().parents[3] / "tests" / "data" / "fairface64.parquet")


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return from_uint8(load_labelled_faces(FACES, "train", face_px=64, limit=12).images)


@pytest.fixture(scope="module")
def rendered(faces) -> dict[str, torch.Tensor]:
    return {name: render_look(name, faces) for name in LOOKS}


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_gives_pictures_and_says_what_it_is(name, faces, rendered):
    images, look = rendered[name], LOOKS[name]
    assert images.shape == faces.shape and images.dtype == torch.float32
    assert images.isfinite().all() and images.min() >= -1 and images.max() <= 1
    assert look.scope in SCOPES and look.transfer in TRANSFERS
    for texts in (look.name, look.description):
        assert set(texts) == {"en", "zh-CN"} and all(texts.values())
        assert any("\u4e00" <= letter <= "\u9fff" for letter in texts["zh-CN"])


@pytest.mark.parametrize("name", LOOKS)
def test_a_face_looks_the_same_whatever_else_is_in_the_batch(name, faces, rendered):
    assert torch.allclose(render_look(name, faces[3:4]), rendered[name][3:4], atol=1e-4)


def test_looks_differ_clearly_from_each_other_and_from_the_photo(faces, rendered):
    every = {"photo": faces, **rendered}
    apart = {
        (one, other): (every[one] - every[other]).abs().mean().item()
        for one, other in itertools.combinations(every, 2)
    }  # fmt: skip
    assert min(apart.values()) > 0.04, min(apart, key=apart.get)


@pytest.mark.parametrize("name", sorted(set(LOOKS) - set(DRAWN)))
@pytest.mark.parametrize("tone", TONES)
def test_no_look_makes_skin_lighter(name, tone):
    faces, skin = faces_by_tone()[tone]
    moved = mean_lightness(render_look(name, faces), skin) - mean_lightness(faces, skin)
    assert -3 < moved.mean() < 1.5 and moved.max() < 3, moved


def test_drawings_are_grey_and_duotone_is_a_line_through_colour_space(rendered):
    for name in ("ink-wash", "pencil"):
        spread = (rendered[name].amax(dim=1) - rendered[name].amin(dim=1)).max()
        assert spread < 0.16, name
    colours = rendered["duotone"].permute(0, 2, 3, 1).reshape(-1, 3)
    order = luminance(rendered["duotone"]).flatten().argsort()
    red = colours[order, 0]
    assert (red.diff() > -0.02).all()  # one luminance, one colour


def test_an_unknown_look_is_an_error_that_lists_all():
    with pytest.raises(ConfigError, match=r"no look 'anime'; there are soft-glow, .*duotone"):
        render_look("anime", torch.zeros(1, 3, 32, 32))
