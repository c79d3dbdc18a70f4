"""Refinement: it finds a picture that exists, tells how it goes, can be stopped, and leaves everything else alone."""

from __future__ import annotations

import math

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents.inversion import CHARBONNIER_EPS, charbonnier, error_map, refine, structure_distance
from gan_space.models.encoder import EncoderOutput
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState

R = 8


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    size = dict(resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=8, num_mapping_layers=2)
    return Generator(**size, use_noise=False).eval()


@torch.no_grad()
def wrong_answer(generator: Generator, num: int = 2) -> tuple[EncoderOutput, torch.Tensor]:
    """Pictures of the generator, and code and state that are a third of a standard deviation off."""
    random = torch.Generator().manual_seed(1)
    w_plus = generator.mapping(torch.randn(num, 8, generator=random))
    state = generator.synthesis.features(w_plus, R)
    images = generator.synthesis.finish(state, w_plus, R)
    wrong = [part.float() + 0.3 * part.float().std() * torch.randn(part.shape, generator=random)
             for part in (w_plus, *state)]  # fmt: skip
    return EncoderOutput(wrong[0], SynthesisState(*wrong[1:])), images


def test_it_gets_much_closer_and_says_how(generator):
    output, images = wrong_answer(generator)
    before = [part.clone() for part in (output.w_plus, *output.state)]
    weights = {name: value.clone() for name, value in generator.state_dict().items()}
    steps = []
    refined = refine(generator, output, images, 80, callback=lambda *step: steps.append(step))
    assert [step for step, _, _ in steps] == list(range(1, 81))
    assert {total for _, total, _ in steps} == {80}
    assert [loss for _, _, loss in steps] == refined.losses[1:]
    assert min(refined.losses) < 0.35 * refined.losses[0]
    assert all(torch.equal(a, b) for a, b in zip(before, (output.w_plus, *output.state), strict=True))
    assert all(torch.equal(weights[name], value) for name, value in generator.state_dict().items())
    assert all(parameter.requires_grad for parameter in generator.parameters())
    assert not refined.output.w_plus.requires_grad
    with torch.no_grad():
        drawn = generator.synthesis.finish(refined.output.state, refined.output.w_plus, R)
    torch.testing.assert_close(refined.error_map, error_map(drawn, images))
    assert refined.error_map.shape == (2, 1, 16, 16)


def test_pictures_of_a_batch_do_not_disturb_each_other(generator):
    output, images = wrong_answer(generator)
    both = refine(generator, output, images, 20)
    alone = EncoderOutput(output.w_plus[1:], SynthesisState(*(part[1:] for part in output.state)))
    single = refine(generator, alone, images[1:], 20)
    torch.testing.assert_close(both.output.w_plus[1:], single.output.w_plus, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(both.error_map[1:], single.error_map, atol=5e-3, rtol=0.05)


def test_false_from_the_callback_stops(generator):
    output, images = wrong_answer(generator)
    refined = refine(generator, output, images, 50, callback=lambda step, total, loss: step < 3)
    assert len(refined.losses) == 4
    assert all(parameter.requires_grad for parameter in generator.parameters())


def test_no_steps_only_measure_and_no_result_is_worse_than_the_start(generator):
    output, images = wrong_answer(generator)
    measured = refine(generator, output, images, 0)
    assert len(measured.losses) == 1
    torch.testing.assert_close(measured.output.w_plus, output.w_plus)
    wild = refine(generator, output, images, 5, lr=1e4)
    with torch.no_grad():
        fits = []
        for one in (measured, wild):
            drawn = generator.synthesis.finish(one.output.state, one.output.w_plus, R)
            fits.append(charbonnier(drawn, images) + structure_distance(drawn, images))
    assert (fits[1] <= fits[0] * 1.02).all()


def test_the_answer_stays_nearer_where_it_is_told_to(generator):
    output, images = wrong_answer(generator)
    free = refine(generator, output, images, 40, stay_weight=0).output.state.x
    held = refine(generator, output, images, 40, stay_weight=100).output.state.x
    start = output.state.x
    assert (held - start).norm() < 0.5 * (free - start).norm()


def test_all_faults_are_named(generator):
    output, images = wrong_answer(generator)
    with pytest.raises(InputError, match=r"2 problems(.|\n)*\[N, 3, 16, 16\](.|\n)*num_steps"):
        refine(generator, output, images[..., :8], -1)
    photo = SynthesisState(torch.zeros(2, 8, 8, 16), torch.zeros(2, 3, 8, 16))
    with pytest.raises(InputError, match="aligned face"):
        refine(generator, EncoderOutput(output.w_plus, photo), images)
    with pytest.raises(InputError, match="w_plus must be"):
        refine(generator, EncoderOutput(output.w_plus[:1], output.state), images)


def test_the_losses_against_the_obvious_way():
    one, other = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    wanted = [
        sum(math.sqrt((a - b) ** 2 + CHARBONNIER_EPS**2) - CHARBONNIER_EPS for a, b in zip(x, y, strict=True)) / len(x)
        for x, y in zip(one.flatten(1).tolist(), other.flatten(1).tolist(), strict=True)
    ]
    torch.testing.assert_close(charbonnier(one, other), torch.tensor(wanted), atol=1e-5, rtol=1e-4)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)  # slope 1 across, 2 when halved; nothing down
    assert structure_distance(ramp, torch.zeros_like(ramp), scales=2).item() == pytest.approx((1 + 0 + 2 + 0) / 4)
    assert structure_distance(one, one + 5).abs().max() < 1e-5  # a shift of the light has no edges
