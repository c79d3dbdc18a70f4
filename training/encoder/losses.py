"""What the encoder is trained and measured by: feature distance, terms of the code, and picture quality in numbers."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # for pictures in [0, 1]
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, from fine to coarse


class Samples(NamedTuple):
    """Pictures of the generator whose true answer is known."""

    w_plus: Tensor  # [N, num_ws, w_dim]
    state: SynthesisState  # after block r
    images: Tensor  # [N, 3, R, R] in [-1, 1]


@torch.no_grad()
def draw_samples(
    generator: Generator, resolution: int, num: int, random: torch.Generator,
    psi: tuple[float, float] = (0.7, 1.0), mixing_prob: float = 0.5,
) -> Samples:  # fmt: skip
    """Draw pictures with their codes and states, from the block of `resolution`; the rest is as in `draw_codes`."""
    w_plus = draw_codes(generator, num, random, psi, mixing_prob)
    state = generator.synthesis.features(w_plus, resolution)
    images = generator.synthesis.finish(state, w_plus, resolution)
    return Samples(w_plus, state, images.clamp(-1, 1))


@torch.no_grad()
def draw_codes(
    generator: Generator, num: int, random: torch.Generator,
    psi: tuple[float, float] = (0.7, 1.0), mixing_prob: float = 0.5,
) -> Tensor:  # fmt: skip
    """Draw w_plus, [num, num_ws, w_dim].

    Args:
        generator: without labels.
        num: how many.
        random: on the CPU; the result depends on nothing else.
        psi: range of the truncation, drawn for each picture.
        mixing_prob: share of pictures whose rows from a random one on belong to another code.
    """
    device = generator.mapping.w_avg.device
    z = torch.randn(2 * num, generator.config.z_dim, generator=random).to(device)
    w_plus, others = generator.mapping(z).split(num)
    crossover = torch.randint(1, generator.num_ws, [num], generator=random)
    mixed = torch.rand(num, generator=random) < mixing_prob
    crossover = torch.where(mixed, crossover, generator.num_ws)
    from_other = torch.arange(generator.num_ws)[None] >= crossover[:, None]  # [N, num_ws]
    w_plus = torch.where(from_other.to(device)[:, :, None], others, w_plus)
    strength = (psi[0] + (psi[1] - psi[0]) * torch.rand(num, 1, 1, generator=random)).to(device)
    return generator.mapping.w_avg + strength * (w_plus - generator.mapping.w_avg)


def feature_distance(maps: list[Tensor], targets: list[Tensor]) -> Tensor:
    """Return the perceptual distance in a network's feature maps: [N], between 0 and 4.

    As LPIPS without its learned weights (Zhang et al. 2018, eq. 1): unit length over the channels at each place,
    squared difference, mean over places and maps. Our own discriminator gives the maps (`Discriminator.features`).
    """
    total = maps[0].new_zeros(len(maps[0]), dtype=torch.float32)
    for one, other in zip(maps, targets, strict=True):
        one, other = F.normalize(one.float(), dim=1, eps=1e-4), F.normalize(other.float(), dim=1, eps=1e-4)
        total = total + (one - other).square().sum(dim=1).flatten(1).mean(dim=1)
    return total / len(maps)


def state_distance(state: SynthesisState, target: SynthesisState, feature_std: Tensor) -> Tensor:
    """Average the absolute difference of two states, [N]: features in deviations of their channel, plus the picture."""
    features = (state.x.float() - target.x.float()).abs() / feature_std[:, None, None]
    return features.flatten(1).mean(dim=1) + (state.rgb - target.rgb).abs().flatten(1).mean(dim=1)


def code_distance(w_plus: Tensor, target: Tensor, w_std: Tensor) -> Tensor:
    """Return the mean absolute difference of two codes in standard deviations of each number: [N]."""
    return ((w_plus - target).abs() / w_std).flatten(1).mean(dim=1)


def code_excess(w_plus: Tensor, encoder: Encoder) -> Tensor:
    """Say how far codes leave W: [N]; the terms are 0 where a code could have come from one z.

    The first counts how much further from the average face a row is than samples typically are; the second how far
    the rows are apart (the delta of e4e, Tov et al. 2021). Both in the typical distance, squared.
    """
    typical = encoder.w_std.square().sum().sqrt()
    offsets = (w_plus - encoder.w_avg) / typical  # [N, num_ws, w_dim]
    beyond = F.relu(offsets.norm(dim=2) - 1).square().mean(dim=1)
    apart = (offsets - offsets.mean(dim=1, keepdim=True)).square().sum(dim=2).mean(dim=1)
    return beyond + apart


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB of pictures in [-1, 1], values outside clipped: [N]."""
    error = (images.float().clamp(-1, 1) - targets.float()).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4 / error.clamp(min=1e-10))


def ms_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Return the multi-scale structural similarity of pictures in [-1, 1]: [N], 1 where equal (Wang et al. 2003).

    The paper's five scales need 176 px; of smaller pictures as many are taken as the 11 px window allows (four at
    128 px, three at 64 px), their weights scaled to a sum of 1. Numbers of different sizes are not comparable.
    """
    one, other = ((part.float().clamp(-1, 1) + 1) / 2 for part in (images, targets))
    scales = 1
    while scales < len(MS_SSIM_WEIGHTS) and min(one.shape[-2:]) >> scales >= SSIM_WINDOW:
        scales += 1
    weights = torch.tensor(MS_SSIM_WEIGHTS[:scales])
    result = torch.ones(len(one), device=one.device)
    for scale, weight in enumerate((weights / weights.sum()).tolist()):
        luminance, contrast = _ssim_parts(one, other)
        # The luminance counts at the coarsest scale alone. Negative similarities have no fractional power.
        similarity = (luminance * contrast if scale + 1 == scales else contrast).flatten(1).mean(dim=1)
        result = result * similarity.clamp(min=0) ** weight
        one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
    return result


def _ssim_parts(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure terms of SSIM, [N, C, H - 10, W - 10] each."""
    channels = one.shape[1]
    size = min(SSIM_WINDOW, *one.shape[-2:])
    taps = torch.exp(-((torch.arange(size, device=one.device) - (size - 1) / 2) ** 2) / (2 * SSIM_SIGMA**2))
    taps = (taps / taps.sum()).expand(5 * channels, 1, 1, -1)
    stack = torch.cat([one, other, one * one, other * other, one * other], dim=1)
    stack = F.conv2d(stack, taps, groups=5 * channels)
    stack = F.conv2d(stack, taps.transpose(2, 3), groups=5 * channels)
    mean_one, mean_other, square_one, square_other, product = stack.split(channels, dim=1)
    both = mean_one * mean_other
    variance_one, variance_other = square_one - mean_one**2, square_other - mean_other**2
    luminance = (2 * both + SSIM_C1) / (mean_one**2 + mean_other**2 + SSIM_C1)
    contrast = (2 * (product - both) + SSIM_C2) / (variance_one + variance_other + SSIM_C2)
    return luminance, contrast
