"""Settings that change with the number of images seen, as pure functions of it: a resumed run needs no state."""

from __future__ import annotations

import math


def cosine_ramp(nimg: float, start: float, end: float, over_kimg: float) -> float:
    """Go from `start` to `end` along half a cosine over the first `over_kimg` thousand images, then stay."""
    if over_kimg <= 0:
        return end
    progress = min(nimg / (over_kimg * 1000), 1.0)
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def linear_ramp(nimg: float, start: float, end: float, over_kimg: float) -> float:
    """Go from `start` to `end` in a straight line over the first `over_kimg` thousand images, then stay."""
    if over_kimg <= 0:
        return end
    return start + (end - start) * min(nimg / (over_kimg * 1000), 1.0)


def learning_rate(nimg: float, base: float, warmup_kimg: float, decay_kimg: float, total_kimg: float) -> float:
    """Return a linear warm-up from 0, then `base`, then a cosine to 0 over the last `decay_kimg` thousand images."""
    rate = base
    if warmup_kimg > 0:
        # Half a step ahead of zero, so that the very first step already moves.
        rate *= min((nimg + 1) / (warmup_kimg * 1000), 1.0)
    if decay_kimg > 0:
        into_decay = nimg / 1000 - (total_kimg - decay_kimg)
        if into_decay > 0:
            rate *= 0.5 * (1 + math.cos(math.pi * min(into_decay / decay_kimg, 1.0)))
    return rate


def ema_decay(nimg: float, batch_size: int, halflife_kimg: float, rampup: float | None) -> float:
    """Return the decay of the weight average for one step of `batch_size` images.

    The half-life is `halflife_kimg`, but at most the share `rampup` of the images seen so far, so that the random
    first weights are forgotten (Karras et al. 2020, ADA).
    """
    halflife_nimg = halflife_kimg * 1000
    if rampup is not None:
        halflife_nimg = min(halflife_nimg, nimg * rampup)
    return 0.5 ** (batch_size / max(halflife_nimg, 1e-8))
