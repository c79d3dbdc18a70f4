"""Detail where a warp stretches and squeezes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.faces import stretch
from gan_space.faces.mesh import Flow, warp_photo
from gan_space.faces.stretch import restore_detail, stretches

UNIT, CELL = 100.0, 4
SIZE = 240


def scaled(x: float, y: float) -> Flow:
    """A flow that draws the middle of a photo so many times as large, and lets its edge be."""
    middle, cells = SIZE / 2, SIZE // CELL
    place = (np.arange(cells) + 0.5) * CELL - middle
    fade = np.clip((middle - 8 - np.abs(place)) / 40, 0, 1)
    shift = np.stack(np.broadcast_arrays((1 / x - 1) * place, (1 / y - 1) * place[:, None]), axis=-1)
    return Flow((shift * (fade * fade[:, None])[..., None]).astype(np.float32), 0, 0, CELL, 1.0)


def pores() -> torch.Tensor:
    """Grey skin with texture of a few pixels, [3, 240, 240] uint8."""
    spectrum = np.fft.rfft2(np.random.default_rng(2).normal(size=(SIZE, SIZE)))
    pitch = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE))
    light = np.fft.irfft2(spectrum * np.exp(-((pitch / 0.12) ** 2)), s=(SIZE, SIZE))
    return torch.from_numpy((128 + 12 * light / light.std()).clip(0, 255).astype(np.uint8)).repeat(3, 1, 1)


def gradients(photo: torch.Tensor) -> float:
    """Gradient energy of the middle, where everything is drawn as large as asked."""
    light = photo[0].double()[80:160, 80:160]
    return float(light.diff(dim=0).square().mean() + light.diff(dim=1).square().mean())


@pytest.mark.parametrize(("x", "y"), [(1.2, 1.0), (1.1, 1.1)])
def test_what_is_drawn_larger_stays_as_crisp(x, y):
    photo, flow = pores(), scaled(x, y)
    warped = warp_photo(photo, flow)
    assert gradients(warped) < 0.9 * gradients(photo)
    assert 0.95 < gradients(restore_detail(warped, flow, UNIT)) / gradients(photo) < 1.1


def test_what_only_moves_and_what_lies_outside_is_equal_to_the_bit():
    photo = pores()
    moved = Flow(np.full((SIZE // CELL, SIZE // CELL, 2), 1.4, np.float32), 0, 0, CELL, 1.0)
    assert torch.equal(restore_detail(photo, moved, UNIT), photo)
    changed = (restore_detail(photo, scaled(1.2, 1.2), UNIT) != photo).any(dim=0)
    assert changed[40:200, 40:200].any()
    changed[4:-4, 4:-4] = False
    assert not changed.any()


def test_an_edge_gets_no_rim():
    photo = torch.full((3, SIZE, SIZE), 60, dtype=torch.uint8)
    photo[:, :, SIZE // 2 :] = 200
    flow = scaled(1.2, 1.2)
    warped = warp_photo(photo, flow)
    drawn = restore_detail(warped, flow, UNIT)
    rim = 0.06 * (200 - 60)
    assert int(drawn.max()) - int(warped.max()) <= rim + 1
    assert int(warped.min()) - int(drawn.min()) <= rim + 1
    away = drawn[:, 80:160, list(range(100, 112)) + list(range(128, 140))].int()
    assert (away - warped[:, 80:160, list(range(100, 112)) + list(range(128, 140))].int()).abs().max() <= 1


def test_colours_change_by_light_alone():
    photo = pores()
    photo[0] //= 2
    flow = scaled(1.2, 1.0)
    warped = warp_photo(photo, flow)
    change = restore_detail(warped, flow, UNIT).int() - warped.int()
    assert change.abs().max() >= 2
    assert (change.max(dim=0).values - change.min(dim=0).values).max() <= 1  # but for rounding


def test_a_stretch_is_told_from_a_turn():
    y, x = np.mgrid[0:12, 0:12].astype(np.float32)
    turn = np.stack([(np.cos(0.2) - 1) * x - np.sin(0.2) * y, np.sin(0.2) * x + (np.cos(0.2) - 1) * y], axis=-1)
    assert np.abs(stretches(turn, 1.0)).max() < 1e-5
    wider = np.stack([x / 1.1 - x, 0 * y], axis=-1)
    assert np.allclose(stretches(wider, 1.0), np.log(1.1), atol=1e-4)
    assert np.allclose(stretches(wider * (-1.1, 0), 1.0), np.log(1.1) / 2, atol=1e-4)  # squeezed as much


@pytest.mark.parametrize(("rows", "unit"), [(1, 20.0), (37, 20.0), (101, 300.0)])
def test_strips_are_equal_to_the_whole(monkeypatch, rows, unit):
    photo, flow = pores(), scaled(1.2, 1.1)
    monkeypatch.setattr(stretch, "STRIP_ROWS", 10**6)
    whole = restore_detail(photo, flow, unit)
    assert not torch.equal(whole, photo)
    monkeypatch.setattr(stretch, "STRIP_ROWS", rows)
    assert torch.equal(restore_detail(photo, flow, unit), whole)
