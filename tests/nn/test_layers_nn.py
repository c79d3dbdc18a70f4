"""Equalised layers against plain arithmetic in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_space.nn.layers import Conv2d, FullyConnected, MinibatchStd, leaky_relu, normalize_2nd_moment


def slow_leaky_relu(x: np.ndarray, gain: float) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x) * gain


def test_leaky_relu_with_and_without_gradient():
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = slow_leaky_relu(x.numpy(), math.sqrt(2))
    np.testing.assert_allclose(leaky_relu(x.clone()).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(leaky_relu(x.clone().requires_grad_()).detach().numpy(), expected, atol=1e-12)
    assert leaky_relu(torch.full((1,), 5.0), clamp=2.0).item() == 2.0


@pytest.mark.parametrize("lr_multiplier", [1.0, 0.01])
@pytest.mark.parametrize("activate", [False, True])
def test_fully_connected(activate, lr_multiplier):
    layer = FullyConnected(5, 3, activate=activate, bias_init=1, lr_multiplier=lr_multiplier).double()
    x = torch.randn(2, 5, dtype=torch.float64)
    weight = layer.weight.detach().numpy() * lr_multiplier / math.sqrt(5)
    expected = x.numpy() @ weight.T + layer.bias.detach().numpy() * lr_multiplier
    if activate:
        expected = slow_leaky_relu(expected, math.sqrt(2))
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-12)


def test_normalize_2nd_moment():
    x = normalize_2nd_moment(torch.randn(4, 64, dtype=torch.float64) * 7)
    torch.testing.assert_close(x.square().mean(dim=1), torch.ones(4, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("gain", [1.0, math.sqrt(0.5)])
@pytest.mark.parametrize("kernel_size,down,activate", [(3, 1, True), (3, 2, True), (1, 1, True), (1, 2, False)])
def test_conv2d(kernel_size, down, activate, gain):
    layer = Conv2d(4, 6, kernel_size, down=down, activate=activate, conv_clamp=0.9).double()
    layer.bias.data.normal_()
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    y = x
    weight = layer.weight.detach() / math.sqrt(4 * kernel_size**2)
    if down == 2:
        # Written out: filter the picture at full size, convolve at full size, keep every second sample.
        kernel = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])).double() / 64
        margin = 1 + kernel_size // 2
        y = F.pad(x, [margin] * 4)
        y = F.conv2d(y, kernel[None, None].repeat(4, 1, 1, 1), groups=4)
    y = F.conv2d(y, weight, padding=0 if down == 2 else kernel_size // 2)[..., ::down, ::down]
    y = y + layer.bias.detach()[None, :, None, None]
    expected = slow_leaky_relu(y.numpy(), math.sqrt(2)) if activate else y.numpy()
    expected = (expected * gain).clip(-0.9 * gain, 0.9 * gain)
    np.testing.assert_allclose(layer(x, gain=gain).detach().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("batch,group", [(8, 4), (4, 4), (2, 4), (6, 3)])
def test_minibatch_std(batch, group):
    x = torch.randn(batch, 6, 4, 4, dtype=torch.float64)
    y = MinibatchStd(group_size=group)(x)
    assert y.shape == (batch, 7, 4, 4)
    torch.testing.assert_close(y[:, :6], x)
    group = min(group, batch)
    num_groups = batch // group
    for n in range(batch):
        members = [m for m in range(batch) if m % num_groups == n % num_groups]
        assert len(members) == group
        values = x[members].numpy()
        expected = np.sqrt(values.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(y[n, 6].numpy(), np.full((4, 4), expected), rtol=1e-6)


def test_minibatch_std_sees_collapse():
    same = torch.randn(1, 6, 4, 4).expand(4, -1, -1, -1)
    assert MinibatchStd()(same)[:, 6].max() < 1e-3
