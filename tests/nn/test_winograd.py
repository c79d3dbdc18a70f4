"""Winograd convolution against the plain one in float64, and where it is used."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan_space import Generator
from gan_space.models.synthesis import SynthesisLayer
from gan_space.nn.modulated import PreparedWeight
from gan_space.nn.precision import has_native_bfloat16
from gan_space.nn.winograd import MOST_THREADS, transform_weight, transforms, winograd_conv2d, winograd_tile


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


@pytest.mark.parametrize("m", [2, 4])
def test_one_dimension_by_the_definition(m):
    b_t, g, a_t = transforms(m)
    d, taps = torch.randn(m + 2, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    expected = torch.stack([(d[i : i + 3] * taps).sum() for i in range(m)])
    torch.testing.assert_close(a_t @ ((g @ taps) * (b_t @ d)), expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 3, 8, 8),
        (5, 4, 8, 8),  # several pictures a chunk, the last chunk smaller
        (2, 512, 12, 64),  # rows of tiles are a chunk
        (3, 16, 4, 4),
        (1, 64, 100, 96),  # the last chunk has fewer rows
    ],
)
def test_equals_the_plain_convolution(m, shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=torch.channels_last)
    weight = torch.randn(7, shape[1], 3, 3, dtype=torch.float64) / (9 * shape[1]) ** 0.5
    styles = torch.rand(shape[:2], dtype=torch.float64)
    expected = F.conv2d(x * styles[:, :, None, None], weight, padding=1)
    got = winograd_conv2d(x, transform_weight(weight, m, torch.float64), in_scale=styles)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert relative_error(got, expected) < 1e-12
    single = winograd_conv2d(x.float(), transform_weight(weight.float(), m, torch.float32), in_scale=styles.float())
    assert relative_error(single, expected) < 1e-5


def test_finish_sees_every_row_once():
    x = torch.randn(5, 8, 16, 16)
    seen = torch.zeros(5, 16)

    def finish(rows, pictures, h):
        assert rows.shape == (pictures.stop - pictures.start, 6, h.stop - h.start, 16)
        seen[pictures, h] += 1
        rows.add_(1)

    matrices = transform_weight(torch.randn(6, 8, 3, 3), 4, torch.float32)
    got = winograd_conv2d(x, matrices, finish=finish)
    assert torch.equal(seen, torch.ones(5, 16))
    torch.testing.assert_close(got, winograd_conv2d(x, matrices) + 1)


def make_layer(channels: int = 64, resolution: int = 32, **options) -> SynthesisLayer:
    torch.manual_seed(0)
    layer = SynthesisLayer(channels, channels, w_dim=6, resolution=resolution, **options)
    with torch.no_grad():
        layer.bias.normal_()
        layer.noise_strength.fill_(0.3)
    return layer


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
@pytest.mark.parametrize("conv_clamp", [None, 0.5])
def test_the_layer_draws_the_same_with_and_without(batch, noise_mode, conv_clamp):
    layer = make_layer(conv_clamp=conv_clamp)
    x = torch.randn(batch, 64, 32, 32).to(memory_format=torch.channels_last)
    w, kept = torch.randn(batch, 6), x.clone()
    images = []
    with torch.no_grad():
        assert winograd_tile(x, layer.weight) == 4
        for layer.exact in (False, True):
            images.append(layer(x, w, noise_mode, torch.Generator().manual_seed(1)))
    assert torch.equal(x, kept)
    assert not torch.equal(images[0], images[1])
    assert relative_error(*images) < 1e-4  # of values that the clamp cuts to a tenth


@pytest.mark.skipif(not has_native_bfloat16("cpu"), reason="only used where bfloat16 is native")
def test_bfloat16_loses_little():
    layer = make_layer(channels=128)
    x, w = torch.randn(2, 128, 32, 32).to(memory_format=torch.channels_last), torch.randn(2, 6)
    errors = []
    with torch.no_grad():
        layer.exact = True
        expected = layer(x, w, "none")
        for layer.exact in (False, True):
            got = layer(x.bfloat16(), w, "none").float()
            errors.append(((got - expected).norm() / expected.norm()).item())
    assert errors[0] != errors[1]
    assert errors[0] < 1.6 * errors[1] < 0.01


def test_only_where_it_wins_and_nothing_needs_a_gradient():
    weight = nn.Parameter(torch.randn(64, 64, 3, 3))
    x = torch.randn(1, 64, 32, 32)
    assert winograd_tile(x, weight) is None  # gradients are on
    with torch.no_grad():
        assert winograd_tile(x, weight) == 4
        torch.set_num_threads(MOST_THREADS + 1)
        assert winograd_tile(x, weight) is None
        torch.set_num_threads(1)
        assert winograd_tile(x[:, :, :30], weight) is None  # no whole number of tiles
        assert winograd_tile(x[:, :, :8], weight) is None  # too small
        assert winograd_tile(x, weight[:32]) is None  # too few channels
        assert winograd_tile(x, weight[:, :, :1, :1]) is None
        assert winograd_tile(x.double(), weight) is None  # for references
        assert winograd_tile(x.bfloat16(), weight) is None  # too few channels for it


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_traces_see_the_plain_convolution():
    layer = make_layer().requires_grad_(False)
    x, w = torch.randn(1, 64, 32, 32), torch.randn(1, 6)
    with torch.no_grad():
        graph = str(torch.jit.trace(layer, (x, w), check_trace=False).inlined_graph)
    assert "aten::_convolution" in graph
    assert "aten::bmm" not in graph


def test_prepared_matrices_follow_the_weight_and_stand_beside_the_plain_one():
    prepared, weight = PreparedWeight(), nn.Parameter(torch.randn(4, 3, 3, 3))
    with torch.no_grad():
        plain, _ = prepared.get(weight, torch.float32, False)
        matrices, squared = prepared.get_winograd(weight, torch.float32, 4)
        assert matrices.shape == (36, 3, 4)
        assert prepared.get_winograd(weight, torch.float32, 4)[0] is matrices
        assert prepared.get(weight, torch.float32, False)[0] is plain
        torch.testing.assert_close(squared, weight.square().sum(dim=[2, 3]))
        weight.mul_(2)
        torch.testing.assert_close(prepared.get_winograd(weight, torch.float32, 4)[0], 2 * matrices)


def test_the_switch_of_a_whole_network():
    generator = Generator(resolution=32, z_dim=8, w_dim=8, channel_base=2048, channel_max=64).eval()
    generator.compute_dtype = torch.float32
    w_plus = generator.mapping(torch.randn(2, 8)).detach()
    assert not generator.exact
    with torch.no_grad():
        fast = generator.synthesis(w_plus, noise_mode="const")
        generator.exact = True
        exact = generator.synthesis(w_plus, noise_mode="const")
    assert generator.exact
    assert not torch.equal(fast, exact)
    assert relative_error(fast, exact) < 1e-5
    with_gradient = generator.synthesis(w_plus, noise_mode="const").detach()
    torch.testing.assert_close(exact, with_gradient, atol=1e-5, rtol=1e-5)
