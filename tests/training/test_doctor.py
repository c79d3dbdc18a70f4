from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from gan_space.errors import InputError
from training.doctor import Doctor, Signs, diagnose, signs_from

HEALTHY = Signs(
    real_logit=0.8,
    fake_logit=-0.8,
    heldout_logit=0.7,
    logit_error=0.02,
    diversity=0.95,
    duplicate_rate=0.0,
    grad_norm_g=1.0,
    grad_norm_d=1.0,
)


def portraits(count: int, seed: int) -> torch.Tensor:
    """Smooth coloured pictures with grain, all different, [N, 3, 32, 32] in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.randn(count, 3, 6, 6, generator=generator), size=32, mode="bilinear")
    return (coarse * 0.5 + torch.randn(count, 3, 32, 32, generator=generator) * 0.1).clamp(-1, 1)


def measure(fake: torch.Tensor, *, real=1.0, heldout=0.9, generated=-1.0, grad_norm_d=1.0, **more) -> Signs:
    noise = torch.randn(200, generator=torch.Generator().manual_seed(9)) * 0.3
    return signs_from(
        fake,
        portraits(len(fake), seed=1),
        real_logits=noise + real,
        fake_logits=noise + generated,
        heldout_logits=noise + heldout,
        grad_norm_g=1.0,
        grad_norm_d=grad_norm_d,
        **more,
    )


def test_different_samples_and_calm_logits_are_healthy():
    signs = measure(portraits(200, seed=0))
    assert signs.diversity == pytest.approx(1, abs=0.05) and signs.duplicate_rate == 0
    assert signs.overfit_sign == pytest.approx(0.05, abs=0.001) or signs.overfit_sign == 0
    diagnosis = diagnose(signs)
    assert diagnosis.verdict == "healthy" and diagnosis.reasons == ()
    assert str(diagnosis) == "healthy"


def test_one_image_for_every_latent_is_collapsed():
    one = portraits(1, seed=0).expand(200, -1, -1, -1)
    diagnosis = diagnose(measure(one))
    assert diagnosis.verdict == "collapsed"
    assert "0.00 times" in diagnosis.reasons[0] and "100% of samples" in diagnosis.reasons[2]
    grainy = one + 0.05 * torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    assert diagnose(measure(grainy)).verdict == "collapsed"


def test_few_modes_are_collapsed_though_they_differ_from_each_other():
    modes = portraits(8, seed=0).repeat(25, 1, 1, 1)
    signs = measure(modes + 0.02 * torch.randn(modes.shape, generator=torch.Generator().manual_seed(0)))
    assert signs.diversity > 0.7
    assert diagnose(signs).verdict == "collapsed"


def test_a_part_of_the_samples_in_one_mode_is_collapsing():
    fake = portraits(200, seed=0)
    fake[:80] = fake[0]
    diagnosis = diagnose(measure(fake))
    assert diagnosis.verdict == "collapsing" and "40% of samples" in diagnosis.reasons[0]


def test_low_or_falling_diversity_is_collapsing():
    narrow = measure(0.45 * portraits(200, seed=0))
    assert narrow.duplicate_rate == 0 and diagnose(narrow).verdict == "collapsing"
    past = [replace(HEALTHY, diversity=value) for value in (1.0, 0.95, 0.97)]
    falling = diagnose(replace(HEALTHY, diversity=0.55), past)
    assert falling.verdict == "collapsing" and "fell from 0.97 to 0.55" in falling.reasons[0]
    assert diagnose(replace(HEALTHY, diversity=0.55)).verdict == "healthy"


def test_a_generator_that_has_not_begun_is_not_called_collapsed():
    one = portraits(1, seed=0).expand(100, -1, -1, -1)
    early = diagnose(measure(one, kimg=1.0))
    assert early.verdict == "healthy" and all("expected before 6 kimg" in reason for reason in early.reasons)
    assert diagnose(measure(one, kimg=6.0)).verdict == "collapsed"
    # What was measured that early is no level to fall from either.
    past = [replace(HEALTHY, diversity=3.0, kimg=5.0)] * 3
    assert diagnose(replace(HEALTHY, diversity=0.9, kimg=30.0), past).verdict == "healthy"


def test_held_out_reals_taken_for_fakes_mean_overfitting():
    fake = portraits(200, seed=0)
    signs = measure(fake, real=2.0, heldout=-1.0, generated=-2.0)
    assert signs.overfit_sign == pytest.approx(0.75, abs=1e-4)
    diagnosis = diagnose(signs)
    assert diagnosis.verdict == "discriminator overfits" and "75%" in diagnosis.reasons[0]
    assert diagnose(measure(fake, real=2.0, heldout=1.0, generated=-2.0)).verdict == "healthy"


def test_overfitting_must_be_more_than_noise_and_more_than_one_evaluation():
    suspicious = replace(HEALTHY, real_logit=0.3, heldout_logit=-0.1, fake_logit=-0.3)
    assert diagnose(suspicious).verdict == "discriminator overfits"
    assert diagnose(replace(suspicious, logit_error=0.2)).verdict == "healthy"
    assert diagnose(suspicious, [HEALTHY, HEALTHY]).verdict == "healthy"
    assert diagnose(suspicious, [HEALTHY, HEALTHY, suspicious]).verdict == "discriminator overfits"
    # Fakes above reals, as a relativistic loss may leave them: nothing is told apart, so nothing is overfitted.
    assert diagnose(replace(suspicious, fake_logit=0.5)).verdict == "healthy"
    assert diagnose(replace(suspicious, heldout_logit=None)).verdict == "healthy"


def test_the_standard_error_of_the_gap_is_that_of_two_means():
    real, heldout = torch.randn(50).double(), torch.randn(30).double()
    images = portraits(10, seed=0)
    signs = signs_from(
        images, images, real_logits=real, fake_logits=real, heldout_logits=heldout, grad_norm_g=0.0, grad_norm_d=0.0
    )
    expected = math.sqrt(real.numpy().var(ddof=1) / 50 + heldout.numpy().var(ddof=1) / 30)
    assert signs.logit_error == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "name", ["real_logit", "fake_logit", "heldout_logit", "grad_norm_g", "grad_norm_d", "diversity"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_any_number_that_is_not_finite_means_diverged(name, value):
    diagnosis = diagnose(replace(HEALTHY, **{name: value}))
    assert diagnosis.verdict == "diverged" and name in diagnosis.reasons[0]


def test_images_with_nan_mean_diverged():
    fake = portraits(50, seed=0)
    fake[3, 0, 0, 0] = math.nan
    assert diagnose(measure(fake)).verdict == "diverged"
    assert diagnose(measure(portraits(50, seed=0), real=math.nan)).verdict == "diverged"


def test_broken_steps_huge_logits_and_exploding_gradients_mean_diverged():
    assert diagnose(replace(HEALTHY, nonfinite_steps=5)).verdict == "diverged"
    one = diagnose(replace(HEALTHY, nonfinite_steps=1))
    assert one.verdict == "healthy" and "1 steps were not finite" in one.reasons[0]
    assert diagnose(replace(HEALTHY, fake_logit=-1e6)).verdict == "diverged"
    exploded = replace(HEALTHY, grad_norm_d=500.0)
    assert diagnose(exploded, [HEALTHY] * 3).verdict == "diverged"
    assert diagnose(exploded, [HEALTHY] * 2).verdict == "healthy"  # too little to compare with
    assert diagnose(exploded, [exploded] * 3).verdict == "healthy"  # usual for this run


def test_the_gravest_verdict_wins_and_all_reasons_are_kept():
    signs = replace(HEALTHY, grad_norm_g=math.nan, diversity=0.3, duplicate_rate=0.95, heldout_logit=-0.7)
    diagnosis = diagnose(signs)
    assert diagnosis.verdict == "diverged" and len(diagnosis.reasons) == 4
    milder = diagnose(replace(signs, grad_norm_g=1.0))
    assert milder.verdict == "collapsed" and "95%" in milder.reasons[0] and "0.30" in milder.reasons[1]


def test_a_doctor_remembers_through_json_and_forgets_the_oldest():
    doctor = Doctor(memory=3)
    for value in (0.5, 0.9, 1.0, 0.95):
        doctor.examine(replace(HEALTHY, diversity=value))
    assert [signs.diversity for signs in doctor.history] == [0.9, 1.0, 0.95]
    resumed = Doctor(memory=3)
    resumed.load_state_dict(json.loads(json.dumps(doctor.state_dict())))
    assert resumed.history == doctor.history
    fallen = replace(HEALTHY, diversity=0.52)
    assert resumed.examine(fallen) == doctor.examine(fallen) != diagnose(fallen)


def test_nothing_to_measure_is_refused():
    images, logits = portraits(3, seed=0), torch.zeros(3)
    with pytest.raises(InputError, match="2 images or more, got 1 fake"):
        signs_from(images[:1], images, real_logits=logits, fake_logits=logits, grad_norm_g=0.0, grad_norm_d=0.0)
    with pytest.raises(InputError, match="no logits in fake_logits"):
        signs_from(images, images, real_logits=logits, fake_logits=logits[:0], grad_norm_g=0.0, grad_norm_d=0.0)


def test_one_face_in_many_lights_is_a_collapse():
    lights = torch.rand(200, 3, 1, 1, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    one_face = 0.3 * portraits(1, seed=1) + lights
    signs = measure(one_face)
    assert signs.diversity > 0.5, "colour alone makes them differ"
    assert signs.structure_diversity < 0.3
    assert diagnose(signs).verdict == "collapsed"
