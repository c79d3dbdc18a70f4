"""FIR resampling against sums written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.nn import fir
from gan_space.nn.fir import filter2d, make_filter, upsample2d


def slow_filter(x: np.ndarray, kernel: np.ndarray, before: int, after: int) -> np.ndarray:
    """Pad with zeros, then slide the kernel: [H, W] -> [H + before + after - K + 1, …]."""
    x = np.pad(x, ((before, after), (before, after)))
    size = len(kernel)
    out = np.zeros((x.shape[0] - size + 1, x.shape[1] - size + 1))
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = (x[row : row + size, column : column + size] * kernel[::-1, ::-1]).sum()
    return out


def slow_upsample(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Insert zeros, filter with gain 4; the result stays aligned with the centre of the input."""
    wide = np.zeros((2 * x.shape[0], 2 * x.shape[1]))
    wide[::2, ::2] = x
    return slow_filter(wide, kernel * 4, 2, 1)


def slow_downsample(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return slow_filter(x, kernel, 1, 1)[::2, ::2]


@pytest.fixture
def x() -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).randn(2, 3, 8, 6))


def apply_slow(function, x: torch.Tensor, *args) -> np.ndarray:
    return np.stack([[function(plane, *args) for plane in picture] for picture in x.numpy()])


def test_filter_is_the_binomial_and_sums_to_one():
    kernel = make_filter().double().numpy()
    expected = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    np.testing.assert_allclose(kernel, expected, atol=1e-8)


@pytest.mark.parametrize("padding", [(1, 1), (2, 2), (2, 1), (0, 3)])
def test_filter2d(x, padding):
    kernel = make_filter().double()
    np.testing.assert_allclose(
        filter2d(x, kernel, padding).numpy(), apply_slow(slow_filter, x, kernel.numpy(), *padding), atol=1e-12
    )


def test_upsample2d(x):
    kernel = make_filter().double()
    np.testing.assert_allclose(upsample2d(x, kernel).numpy(), apply_slow(slow_upsample, x, kernel.numpy()), atol=1e-12)


def halved(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return filter2d(x, kernel, padding=(1, 1), stride=2)


def test_every_second_sample_of_the_filtered_picture(x):
    kernel = make_filter().double()
    np.testing.assert_allclose(halved(x, kernel).numpy(), apply_slow(slow_downsample, x, kernel.numpy()), atol=1e-12)


def test_a_flat_picture_stays_flat_inside():
    flat = torch.ones(1, 1, 16, 16)
    for resample in (upsample2d, halved):
        inner = resample(flat, make_filter())[..., 2:-2, 2:-2]
        torch.testing.assert_close(inner, torch.ones_like(inner))


def test_dtype_and_memory_format_are_kept():
    x = torch.randn(2, 8, 8, 8, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    for resample in (upsample2d, halved):
        y = resample(x, make_filter())
        assert y.dtype == torch.bfloat16
        assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("padding", [(1, 1), (2, 2), (2, 1), (0, 3)])
def test_sum_of_shifts_is_the_same_filter(x, padding):
    """What a compiler gets to see, with both its derivatives."""
    kernel = make_filter((1, 2, 4, 3)).double()
    x = x.clone().requires_grad_()

    def shifted(x):
        return fir._ShiftedSum.apply(x, kernel * 4, *padding)

    torch.testing.assert_close(shifted(x), filter2d(x, kernel, padding, gain=4.0), atol=1e-6, rtol=1e-6)
    (ours,) = torch.autograd.grad(shifted(x).square().sum(), x, create_graph=True)
    (reference,) = torch.autograd.grad(filter2d(x, kernel, padding, gain=4.0).square().sum(), x, create_graph=True)
    torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)
    (ours,) = torch.autograd.grad(ours.square().sum(), x)
    (reference,) = torch.autograd.grad(reference.square().sum(), x)
    torch.testing.assert_close(ours, reference, atol=1e-4, rtol=1e-5)
