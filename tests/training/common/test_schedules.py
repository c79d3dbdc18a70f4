from __future__ import annotations

import pytest
import torch
from torch import nn

from training.common.ema import make_ema, update_ema
from training.common.schedules import cosine_ramp, ema_decay, learning_rate, linear_ramp


def test_ramps():
    assert [cosine_ramp(n, 4, 2, 10) for n in (0, 5000, 10000, 99999)] == pytest.approx([4, 3, 2, 2])
    assert [linear_ramp(n, 0, 1, 10) for n in (0, 2500, 10000, 99999)] == pytest.approx([0, 0.25, 1, 1])
    assert cosine_ramp(0, 4, 2, 0) == linear_ramp(0, 4, 2, 0) == 2


def test_learning_rate():
    rates = [learning_rate(n, 0.1, 10, 20, 100) for n in (0, 5000, 10000, 80000, 90000, 100000)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.1, 0.05, 0], abs=1e-4)
    assert rates[0] > 0
    assert learning_rate(50, 0.1, 0, 0, 1) == 0.1


def test_ema_halflife():
    """After half_life images of a new value, half of the old one is left."""
    decay = ema_decay(nimg=10**9, batch_size=100, halflife_kimg=1, rampup=0.1)
    assert decay**10 == pytest.approx(0.5)
    # Early on, the half-life is a tenth of what was seen.
    assert ema_decay(nimg=1000, batch_size=100, halflife_kimg=1, rampup=0.1) == pytest.approx(0.5)
    assert ema_decay(nimg=0, batch_size=100, halflife_kimg=1, rampup=0.1) == 0


@torch.no_grad()
def test_update_ema():
    model = nn.BatchNorm1d(2)
    ema = make_ema(model)
    model.weight.fill_(3.0)
    model.running_mean.fill_(5.0)
    update_ema(ema, model, decay=0.75)
    torch.testing.assert_close(ema.weight, torch.full((2,), 0.75 * 1 + 0.25 * 3))
    assert torch.equal(ema.running_mean, model.running_mean)
    assert not ema.weight.requires_grad
    assert not ema.training
