from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents.mixing import interpolation_positions, lerp_codes, mix_styles


def test_mixing_copies_rows_and_changes_no_input():
    a, b = torch.zeros(2, 8, 3), torch.ones(1, 8, 3)
    mixed = mix_styles(a, b, "coarse+7")
    expected = torch.zeros(2, 8, 3)
    expected[:, [0, 1, 2, 7]] = 1
    assert torch.equal(mixed, expected) and not a.any()


def test_mixing_refuses_codes_that_do_not_fit():
    with pytest.raises(InputError, match="shapes"):
        mix_styles(torch.zeros(2, 8, 3), torch.zeros(2, 6, 3), "coarse")
    with pytest.raises(InputError, match="shapes"):
        mix_styles(torch.zeros(3, 8, 3), torch.zeros(2, 8, 3), "coarse")


def test_walks():
    assert interpolation_positions(1, 5, True) == [(0, 0, 0.0)]
    assert interpolation_positions(3, 0, False) == [(0, 1, 0.0), (1, 2, 0.0), (2, 2, 0.0)]
    loop = interpolation_positions(3, 3, True)
    assert len(loop) == 12 and loop[-1] == (2, 0, 0.75) and loop[5] == (1, 2, 0.25)
    with pytest.raises(InputError):
        interpolation_positions(0, 1, True)


def test_lerp_against_float64():
    a, b = torch.randn(2, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(lerp_codes(a, b, 0.25), 0.75 * a + 0.25 * b)
    assert torch.equal(lerp_codes(a, b, 0.0), a)
