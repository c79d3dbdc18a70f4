"""The static-weight form against the paper's formula: one set of weights a picture, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan_space.models.synthesis import SynthesisLayer, ToRGB
from gan_space.nn.fir import make_filter
from gan_space.nn.modulated import (
    PreparedWeight,
    add_noise_,
    has_more_pixels_than_weights,
    modulated_conv2d,
    scaled_conv2d,
    weights_have_changed,
)


def papers_weights(weight: torch.Tensor, styles: torch.Tensor, demodulate: bool) -> torch.Tensor:
    """w'_noik = s_ni w_oik, divided by its norm over i and k if `demodulate`: [N, O, I, k, k]."""
    scaled = weight[None] * styles[:, None, :, None, None]
    if demodulate:
        scaled = scaled / (scaled.square().sum(dim=[2, 3, 4], keepdim=True) + 1e-8).sqrt()
    return scaled


def slow_layer(layer: SynthesisLayer, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    styles = layer.affine(w)
    weights = papers_weights(layer.weight, styles, demodulate=True)
    outputs = []
    for picture, weight in zip(x, weights, strict=True):
        if layer.up:
            # Insert zeros, low-pass with gain 4, then a true (flipped) convolution: order does not matter inside, and
            # the border is that of the filter over the full convolution.
            wide = picture.new_zeros(picture.shape[0], 2 * picture.shape[1], 2 * picture.shape[2])
            wide[:, ::2, ::2] = picture
            full = F.conv2d(F.pad(wide, (2, 2, 2, 2)), weight.flip([2, 3]))
            full = full[:, : 2 * picture.shape[1] + 1, : 2 * picture.shape[2] + 1]
            kernel = (layer.resample_filter * 4).to(full)[None, None].repeat(len(full), 1, 1, 1)
            y = F.conv2d(F.pad(full, (1, 1, 1, 1)), kernel, groups=len(full))
        else:
            y = F.conv2d(picture, weight, padding=1)
        outputs.append(y)
    y = torch.stack(outputs) + noise * layer.noise_strength + layer.bias[None, :, None, None]
    y = F.leaky_relu(y, 0.2) * 2**0.5
    return y if layer.conv_clamp is None else y.clamp(-layer.conv_clamp, layer.conv_clamp)


def make_layer(up: bool, conv_clamp: float | None = None) -> SynthesisLayer:
    layer = SynthesisLayer(5, 7, w_dim=6, resolution=16 if up else 8, up=up, conv_clamp=conv_clamp).double()
    with torch.no_grad():
        layer.bias.normal_()
        layer.noise_strength.fill_(0.3)
    return layer


@pytest.mark.parametrize("conv_clamp", [None, 0.5])
@pytest.mark.parametrize("up", [False, True])
def test_forward_and_gradients(up, conv_clamp):
    torch.manual_seed(0)
    layer = make_layer(up, conv_clamp)
    x = torch.randn(3, 5, 8, 8, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    inputs = [x, w, *layer.parameters()]
    fast = layer(x, w, noise_mode="const")
    slow = slow_layer(layer, x, w, layer.noise_const[None, None])
    # float32 appears inside (demodulation), so not to the last bit of float64.
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(fast)
    for ours, reference in zip(
        torch.autograd.grad((fast * weights).sum(), inputs),
        torch.autograd.grad((slow * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("up", [False, True])
def test_the_path_without_gradients_gives_the_same(up):
    layer = make_layer(up).float()
    x, w = torch.randn(2, 5, 8, 8), torch.randn(2, 6)
    with_gradient = layer(x.clone().requires_grad_(), w, noise_mode="const").detach()
    with torch.no_grad():
        without = layer(x.clone(), w, noise_mode="const")
    torch.testing.assert_close(without, with_gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_weights_scaled_for_every_picture(up, batch):
    torch.manual_seed(0)
    x = torch.randn(batch, 5, 8, 6, dtype=torch.float64)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64)
    styles, scale = torch.randn(batch, 5, dtype=torch.float64), torch.rand(batch, 7, dtype=torch.float64)
    bias, up_filter = torch.randn(7, dtype=torch.float64), make_filter().double() if up else None
    expected = modulated_conv2d(x, weight.transpose(0, 1) if up else weight, styles, up_filter=up_filter)
    expected = expected * scale[:, :, None, None] + bias[:, None, None]
    got = scaled_conv2d(x, weight, styles, scale, bias=bias, up_filter=up_filter)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("up", [False, True])
def test_large_pictures_are_drawn_the_same(up):
    torch.manual_seed(0)
    layer = SynthesisLayer(5, 7, w_dim=6, resolution=32 if up else 16, up=up)
    with torch.no_grad():
        layer.bias.normal_()
        layer.noise_strength.fill_(0.3)
    x, w = torch.randn(2, 5, 16, 16), torch.randn(2, 6)
    assert has_more_pixels_than_weights(x, layer.weight)
    with_gradient = layer(x, w, noise_mode="const").detach()
    with torch.no_grad():
        torch.testing.assert_close(layer(x, w, noise_mode="const"), with_gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("noises", [1, 3])
def test_noise_in_bfloat16(memory_format, noises):
    torch.manual_seed(0)
    x = torch.randn(3, 8, 6, 4).bfloat16().to(memory_format=memory_format)
    noise = torch.randn(noises, 1, 6, 4).bfloat16()
    expected = x.float() + noise.float()
    add_noise_(x, noise)
    assert torch.equal(x, expected.bfloat16())


def test_the_input_is_not_overwritten():
    layer = make_layer(False).float()
    x, w = torch.randn(2, 5, 8, 8), torch.randn(2, 6)
    kept = x.clone()
    with torch.no_grad():
        layer(x, w)
    assert torch.equal(x, kept)


def test_to_rgb():
    layer = ToRGB(5, 3, w_dim=6).double()
    x = torch.randn(2, 5, 8, 8, dtype=torch.float64)
    w = torch.randn(2, 6, dtype=torch.float64)
    weights = papers_weights(layer.weight, layer.affine(w) / 5**0.5, demodulate=False)
    expected = torch.cat([F.conv2d(x[n : n + 1], weights[n]) for n in range(2)]) + layer.bias[None, :, None, None]
    torch.testing.assert_close(layer(x, w).double(), expected, atol=1e-5, rtol=1e-5)


def test_prepared_weight_follows_changes():
    prepared, weight = PreparedWeight(), nn.Parameter(torch.randn(4, 3, 3, 3))
    with torch.no_grad():
        first, _ = prepared.get(weight, torch.float32, False)
        assert prepared.get(weight, torch.float32, False)[0] is first
        weight.add_(1)
        torch.testing.assert_close(prepared.get(weight, torch.float32, False)[0], weight.detach())
        assert prepared.get(weight, torch.bfloat16, False)[0].dtype == torch.bfloat16
    assert prepared.get(weight, torch.float32, False)[0].requires_grad


def test_prepared_weight_is_told_of_hidden_changes():
    layer = make_layer(False).float()
    with torch.no_grad():
        first, _ = layer._prepared.get(layer.weight, torch.float32, False)
        layer.weight.data.add_(1)  # raises no version
        assert layer._prepared.get(layer.weight, torch.float32, False)[0] is first
        weights_have_changed(layer)
        torch.testing.assert_close(layer._prepared.get(layer.weight, torch.float32, False)[0], layer.weight.detach())
