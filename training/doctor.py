"""Says how a training run is doing: healthy, discriminator overfits, collapsing, collapsed, or diverged.

Losses of a GAN do not tell: both can look calm while every image is the same. The signs here are measured at each
evaluation from a few hundred images and logits within a second, and each verdict comes with its reasons in numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Literal

import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.metrics.diversity import diversity_against, mean_pairwise_distance, structure, thumbnails

Verdict = Literal["healthy", "discriminator overfits", "collapsing", "collapsed", "diverged"]

# (D(train) - D(heldout)) / (D(train) - D(fake)): 0 when the discriminator treats unseen real images like those it was
# trained on, 1 when it takes them for fakes (r_v in Karras 2020, ADA). At a half it knows images rather than faces.
OVERFIT_SIGN = 0.5
# The gap D(train) - D(heldout) must also be this many standard errors wide, or a few held-out images could raise alarm.
OVERFIT_STANDARD_ERRORS = 3.0
# The sign is noisy from one evaluation to the next: the median of this many counts.
OVERFIT_WINDOW = 3

# Mean distance between samples over that between reals, on 16 px thumbnails. Different real images give 1.00 ± 0.02,
# reals at 80 % contrast 0.8; an untruncated generator in good health lies between 0.7 and 1.1.
COLLAPSING_DIVERSITY = 0.5
COLLAPSED_DIVERSITY = 0.15
# The same with mean colour and contrast taken out, so that one face in many lights does not pass for many faces.
# Healthy runs measured 0.75 or more from 5 kimg on and 0.95 later; runs made to collapse 0.33 to 0.68.
COLLAPSING_STRUCTURE = 0.7
COLLAPSED_STRUCTURE = 0.3
# Diversity against its own recent median: a fall to this share is a collapse on its way, whatever the level.
FALLING_DIVERSITY = 0.6
FALLING_WINDOW = 5
# Share of samples with a near-duplicate among the others, beyond the share that reals have. 1000 reals have none; 1000
# samples from 50 fixed modes have 100 %, though their mean distance is that of the reals.
COLLAPSING_DUPLICATES = 0.2
COLLAPSED_DUPLICATES = 0.9
# A generator starts from nearly equal images, so low diversity before this is a beginning and not an end: healthy runs
# measured 0.58 at 5 kimg and 0.70 or more from 10 kimg on.
WARMUP_KIMG = 6.0

# Steps with a gradient that is not finite since the last evaluation: one may be bad luck, these are a pattern.
NONFINITE_STEPS = 5
# Logits of a discriminator under R1 stay within some tens.
LOGIT_LIMIT = 1e4
# Gradient norm over its median at earlier evaluations.
GRADIENT_JUMP = 100.0
GRADIENT_WINDOW = 5


@dataclass(frozen=True)
class Signs:
    """What one evaluation measured.

    Args:
        real_logit: mean logit on training images.
        fake_logit: mean logit on generated images.
        heldout_logit: mean logit on real images never trained on; None without such images.
        logit_error: standard error of real_logit - heldout_logit.
        diversity: mean distance between samples over mean distance between reals, both on thumbnails.
        duplicate_rate: share of samples with a near-duplicate, beyond the reals' own share, in [0, 1].
        grad_norm_g: norm of the generator's gradient before clipping.
        grad_norm_d: the same of the discriminator.
        nonfinite_steps: steps with a non-finite loss or gradient since the last evaluation.
        kimg: thousands of real images shown so far; None when that is unknown, which means past the warm-up.
        structure_diversity: like diversity, with mean colour and contrast taken out of the thumbnails.
    """

    real_logit: float
    fake_logit: float
    heldout_logit: float | None
    logit_error: float
    diversity: float
    duplicate_rate: float
    grad_norm_g: float
    grad_norm_d: float
    nonfinite_steps: int = 0
    kimg: float | None = None
    structure_diversity: float = 1.0

    @property
    def overfit_sign(self) -> float | None:
        """r_v of Karras 2020; None without held-out images, 0 if fakes score as high as reals or the gap is noise."""
        if self.heldout_logit is None:
            return None
        separation, gap = self.real_logit - self.fake_logit, self.real_logit - self.heldout_logit
        if separation <= 0 or gap <= OVERFIT_STANDARD_ERRORS * self.logit_error:
            return 0.0
        return gap / separation

    @property
    def is_warm(self) -> bool:
        """Whether training has gone on long enough for diversity to mean something."""
        return self.kimg is None or self.kimg >= WARMUP_KIMG


@dataclass(frozen=True)
class Diagnosis:
    """A verdict and every finding that speaks for it or for a milder one, the gravest first."""

    verdict: Verdict
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return ": ".join([self.verdict, "; ".join(self.reasons)]) if self.reasons else self.verdict


def _mean(logits: Tensor) -> float:
    return logits.double().mean().item()


def signs_from(
    fake_images: Tensor,
    real_images: Tensor,
    *,
    real_logits: Tensor,
    fake_logits: Tensor,
    heldout_logits: Tensor | None = None,
    grad_norm_g: float,
    grad_norm_d: float,
    nonfinite_steps: int = 0,
    kimg: float | None = None,
) -> Signs:
    """Measure the signs.

    Args:
        fake_images: [N, 3, H, W], generated without truncation, float in [-1, 1] or uint8, on the CPU.
        real_images: [M, 3, H, W], the same; the first min(N, M) of both are compared. Use 200 or more.
        real_logits: the discriminator's logits on training images, any shape.
        fake_logits: on generated images.
        heldout_logits: on real images never trained on; None if there are none.
        grad_norm_g: norm of the generator's gradient, a recent mean or value.
        grad_norm_d: the same of the discriminator.
        nonfinite_steps: steps with a non-finite loss or gradient since the last evaluation.
        kimg: thousands of real images shown so far.

    Raises:
        InputError: fewer than two images or no logits in a set, or images of another shape.
    """
    if min(len(fake_images), len(real_images)) < 2:
        raise InputError(f"diversity needs 2 images or more, got {len(fake_images)} fake, {len(real_images)} real")
    logits = {"real_logits": real_logits, "fake_logits": fake_logits, "heldout_logits": heldout_logits}
    empty = [name for name, values in logits.items() if values is not None and values.numel() == 0]
    if empty:
        raise InputError(f"no logits in {', '.join(empty)}: give one or more (heldout_logits may be None)")
    count = min(len(fake_images), len(real_images))
    fake, real = thumbnails(fake_images[:count]), thumbnails(real_images[:count])
    if torch.isfinite(fake).all():
        relative, duplicates = diversity_against(real, fake)
        structural = mean_pairwise_distance(structure(fake)) / max(mean_pairwise_distance(structure(real)), 1e-12)
    else:
        relative = duplicates = structural = math.nan
    logit_error = 0.0
    if heldout_logits is not None and min(real_logits.numel(), heldout_logits.numel()) > 1:
        parts = (values.double().var().item() / values.numel() for values in (real_logits, heldout_logits))
        logit_error = math.sqrt(sum(parts))
    return Signs(
        real_logit=_mean(real_logits),
        fake_logit=_mean(fake_logits),
        heldout_logit=None if heldout_logits is None else _mean(heldout_logits),
        logit_error=logit_error,
        diversity=relative,
        duplicate_rate=duplicates,
        grad_norm_g=float(grad_norm_g),
        grad_norm_d=float(grad_norm_d),
        nonfinite_steps=nonfinite_steps,
        kimg=kimg,
        structure_diversity=structural,
    )


def diagnose(signs: Signs, history: Sequence[Signs] = ()) -> Diagnosis:
    """Judge one evaluation in the light of the earlier ones.

    Args:
        signs: measured now.
        history: measured before, oldest first, without `signs`.

    Returns:
        The gravest verdict that holds. A healthy one may carry reasons too: notes on what is not yet grave.

    Example:
        >>> signs = Signs(0.8, -0.8, 0.7, 0.02, diversity=0.05, duplicate_rate=1.0, grad_norm_g=1.0, grad_norm_d=1.0)
        >>> diagnose(signs).verdict
        'collapsed'
    """
    findings: list[tuple[Verdict, str]] = []  # the gravest first
    notes: list[str] = []
    _find_divergence(signs, history, findings, notes)
    _find_collapse(signs, history, findings, notes)
    _find_overfitting(signs, history, findings)
    verdict = findings[0][0] if findings else "healthy"
    return Diagnosis(verdict, tuple([reason for _, reason in findings] + notes))


def _find_divergence(
    signs: Signs, history: Sequence[Signs], findings: list[tuple[Verdict, str]], notes: list[str]
) -> None:
    broken = [
        field.name
        for field in fields(signs)
        if isinstance(value := getattr(signs, field.name), float) and not math.isfinite(value)
    ]
    if broken:
        findings.append(("diverged", f"not finite: {', '.join(broken)}"))
    if signs.nonfinite_steps >= NONFINITE_STEPS:
        findings.append(("diverged", f"{signs.nonfinite_steps} steps since the last evaluation were not finite"))
    elif signs.nonfinite_steps:
        notes.append(f"{signs.nonfinite_steps} steps were not finite (diverged from {NONFINITE_STEPS})")
    for name in ("real_logit", "fake_logit", "heldout_logit"):
        value = getattr(signs, name)
        if value is not None and math.isfinite(value) and abs(value) > LOGIT_LIMIT:
            findings.append(("diverged", f"{name} is {value:.3g}, beyond ±{LOGIT_LIMIT:g}"))
    for name in ("grad_norm_g", "grad_norm_d"):
        earlier = [value for past in history if math.isfinite(value := getattr(past, name)) and value > 0]
        usual = median(earlier[-GRADIENT_WINDOW:]) if len(earlier) >= 3 else None
        if usual is not None and getattr(signs, name) > GRADIENT_JUMP * usual:
            times = getattr(signs, name) / usual
            findings.append(("diverged", f"{name} is {times:.0f} times its recent median (limit {GRADIENT_JUMP:g})"))


def _find_collapse(
    signs: Signs, history: Sequence[Signs], findings: list[tuple[Verdict, str]], notes: list[str]
) -> None:
    found: list[tuple[Verdict, str]] = []
    level = f"samples differ {signs.diversity:.2f} times as much as reals"
    if signs.diversity < COLLAPSED_DIVERSITY:
        found.append(("collapsed", f"{level} (limit {COLLAPSED_DIVERSITY:g})"))
    elif signs.diversity < COLLAPSING_DIVERSITY:
        found.append(("collapsing", f"{level} (limit {COLLAPSING_DIVERSITY:g})"))
    level = f"apart from colour and light, samples differ {signs.structure_diversity:.2f} times as much as reals"
    if signs.structure_diversity < COLLAPSED_STRUCTURE:
        found.append(("collapsed", f"{level} (limit {COLLAPSED_STRUCTURE:g})"))
    elif signs.structure_diversity < COLLAPSING_STRUCTURE:
        found.append(("collapsing", f"{level} (limit {COLLAPSING_STRUCTURE:g})"))
    share = f"{signs.duplicate_rate:.0%} of samples have a near-duplicate"
    if signs.duplicate_rate > COLLAPSED_DUPLICATES:
        found.append(("collapsed", f"{share} (limit {COLLAPSED_DUPLICATES:.0%})"))
    elif signs.duplicate_rate > COLLAPSING_DUPLICATES:
        found.append(("collapsing", f"{share} (limit {COLLAPSING_DUPLICATES:.0%})"))
    recent = [past.diversity for past in history if past.is_warm and math.isfinite(past.diversity)][-FALLING_WINDOW:]
    if len(recent) >= 2 and signs.diversity < FALLING_DIVERSITY * median(recent):
        fall = f"diversity fell from {median(recent):.2f} to {signs.diversity:.2f} (limit {FALLING_DIVERSITY:.0%})"
        found.append(("collapsing", fall))
    if not signs.is_warm:
        notes += [f"{reason}, expected before {WARMUP_KIMG:g} kimg" for _, reason in found]
        return
    findings += sorted(found, key=lambda finding: finding[0] != "collapsed")


def _find_overfitting(signs: Signs, history: Sequence[Signs], findings: list[tuple[Verdict, str]]) -> None:
    recent = [past.overfit_sign for past in (*history, signs)][-OVERFIT_WINDOW:]
    known = [sign for sign in recent if sign is not None and math.isfinite(sign)]
    if signs.overfit_sign is not None and known and median(known) >= OVERFIT_SIGN:
        reason = (
            f"held-out reals lie {median(known):.0%} of the way from training images to fakes "
            f"(limit {OVERFIT_SIGN:.0%}): more augmentation or more data"
        )
        findings.append(("discriminator overfits", reason))


class Doctor:
    """Keeps the last evaluations of a run and judges each new one; its state goes into the checkpoint.

    Args:
        memory: evaluations that are remembered.
    """

    def __init__(self, memory: int = 20) -> None:
        self.memory = memory
        self.history: list[Signs] = []

    def examine(self, signs: Signs) -> Diagnosis:
        """Judge `signs` by what came before, then remember them."""
        diagnosis = diagnose(signs, self.history)
        self.history = [*self.history, signs][-self.memory :]
        return diagnosis

    def state_dict(self) -> dict:
        """Return what `load_state_dict` takes; plain numbers, fit for JSON."""
        return {"history": [asdict(signs) for signs in self.history]}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a saved state."""
        self.history = [Signs(**signs) for signs in state["history"]]
