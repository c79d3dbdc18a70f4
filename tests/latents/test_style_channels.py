from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents.style_channels import (
    StyleChannel,
    best_channels,
    channel_effects,
    shifted_styles,
    style_layers,
    style_statistics,
)
from gan_space.models.generator import Generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(1)
    network = Generator(16, z_dim=8, w_dim=8, channel_base=128, channel_max=8, num_mapping_layers=2, use_noise=False)
    network.compute_dtype = torch.float32
    return network.eval().requires_grad_(False)


def codes(generator: Generator, count: int, seed: int = 2) -> torch.Tensor:
    return generator.mapping(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)))


def colours(images: torch.Tensor) -> torch.Tensor:
    """Red and green of [N, 3, R, R]: [N, 2]."""
    return images[:, :2].mean(dim=(2, 3))


def test_layers_are_named_in_the_order_in_which_they_draw(generator):
    names = list(style_layers(generator.synthesis))
    assert names == ["b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb", "b16.conv0", "b16.conv1", "b16.torgb"]


def test_a_shift_is_the_same_as_another_bias_and_leaves_nothing_behind(generator):
    w_plus = codes(generator, 2)
    plain = generator.synthesis(w_plus)
    affine = style_layers(generator.synthesis)["b8.conv1"]
    shift = torch.zeros(affine.weight.shape[0])
    shift[3] = 0.7
    with shifted_styles(generator.synthesis, {"b8.conv1": shift}):
        moved = generator.synthesis(w_plus)
    assert torch.equal(generator.synthesis(w_plus), plain) and not torch.allclose(moved, plain, atol=1e-3)
    state = affine.bias.detach().clone()
    try:
        gain = affine(torch.zeros(1, 8))[0, 3] / affine.bias[3]
        affine.bias[3] += 0.7 / gain
        torch.testing.assert_close(generator.synthesis(w_plus), moved, atol=1e-5, rtol=1e-5)
    finally:
        affine.bias.copy_(state)


def test_wrong_shifts_are_named_together(generator):
    wrong = {"b99.conv0": torch.zeros(8), "b8.conv0": torch.zeros(3)}
    with pytest.raises(InputError, match="b99") as caught, shifted_styles(generator.synthesis, wrong):
        pass
    assert "b8.conv0" in str(caught.value)


def test_effects_are_those_of_small_steps(generator):
    synthesis, w_plus = generator.synthesis, codes(generator, 5)
    statistics = style_statistics(synthesis, codes(generator, 400, seed=3)[:, 0])
    effects = channel_effects(synthesis, w_plus, colours, statistics, batch_size=2)
    for layer, channel in (("b4.conv1", 1), ("b8.torgb", 2), ("b16.conv0", 5)):
        shift = torch.zeros(effects[layer].shape[1])
        step = 1e-2
        scores = []
        for sign in (-1, 1):
            shift[channel] = sign * step
            with shifted_styles(synthesis, {layer: shift}):
                scores.append(colours(synthesis(w_plus)))
        slow = (scores[1] - scores[0]).mean(dim=0) / (2 * step) * statistics.deviation[layer][channel]
        torch.testing.assert_close(effects[layer][:, channel], slow.double(), atol=2e-4, rtol=0.02)


def test_the_best_channels_move_one_score_and_not_the_others():
    effects = {"a": torch.tensor([[0.5, 0.1, 0.0], [0.4, 0.0, 0.3]]), "b": torch.tensor([[-0.3], [0.01]])}
    assert best_channels(effects, 0, 1) == [StyleChannel("b", 0)]  # 0.3 without the other, 0.5 comes with 0.4
    assert StyleChannel("a", 2) not in best_channels(effects, 0, 9)
    assert best_channels(effects, 1, 3, least=0.2) == [StyleChannel("a", 2), StyleChannel("a", 0)]
    assert best_channels(effects, 0, 5, least=0.9) == []


def test_too_few_codes_are_refused(generator):
    with pytest.raises(InputError, match="3 or more"):
        style_statistics(generator.synthesis, torch.zeros(2, 8))
