"""The two halves of a training step, and the networks they move."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.nn.fir import compile_filters
from gan_space.nn.modulated import weights_have_changed
from training.augment import Augment, AugmentStrength, adapt_p
from training.common.distributed import average_, average_gradients
from training.common.ema import make_ema
from training.common.precision import training_dtype
from training.common.schedules import cosine_ramp, linear_ramp
from training.config import TrainConfig
from training.losses import LOSSES, gradient_penalty, path_length_penalty
from training.projected import ProjectedDiscriminator
from training.recording import Recorder

# Faces come upright and with true colours, so the augmentation bends them less than ADA's table 1 does.
PORTRAIT_STRENGTH = AugmentStrength(rotation_turns=0.06, hue_turns=0.05, saturation=0.3, contrast=0.2, brightness=0.1)
ADAPT_INTERVAL = 4  # steps between changes of an adaptive p


@dataclass
class Players:
    """Networks, optimizers and running values of a run: all that a checkpoint has to hold."""

    generator: Generator
    discriminator: Discriminator | None
    projected: ProjectedDiscriminator | None  # at least one of the two is there
    ema: Generator
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    augment: Augment
    mean_path_length: Tensor
    # The networks as they are called where no second derivative is needed: compiled, if the settings ask for it.
    draw: Callable[..., Tensor]  # w_plus -> pictures
    judge: Callable[..., Tensor] | None  # pictures, labels -> logits
    recorder: Recorder = field(default_factory=lambda: Recorder(enabled=False))
    real_signs: list[float] = field(default_factory=list)  # mean sign(D(real)) of each step since p was adapted
    images_before: int = 0  # that the weights had been trained on, where the run started from others

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks by name, as far as there are any."""
        found = {"generator": self.generator, "discriminator": self.discriminator, "projected": self.projected}
        return {name: module for name, module in found.items() if module is not None} | {"ema": self.ema}

    @property
    def judges(self) -> nn.ModuleList:
        """The discriminators of this run, one or two."""
        return nn.ModuleList(one for one in (self.discriminator, self.projected) if one is not None)

    @property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Both by name."""
        return {"optimizer_g": self.optimizer_g, "optimizer_d": self.optimizer_d}

    def state(self) -> dict:
        """Return the rest of what a checkpoint keeps."""
        return {
            "augment_p": self.augment.p,
            "mean_path_length": self.mean_path_length.item(),
            "real_signs": self.real_signs,
            "images_before": self.images_before,
        }

    def load_state(self, state: dict) -> None:
        """Go on from a saved state."""
        self.augment.p = state["augment_p"]
        self.mean_path_length.fill_(state["mean_path_length"])
        self.real_signs = list(state["real_signs"])
        self.images_before = state.get("images_before", 0)  # checkpoints of earlier versions lack it


class Penalised(NamedTuple):
    """Which pictures the gradient penalties of a step are taken at."""

    real: bool  # R1
    fake: bool  # R2


def make_players(config: TrainConfig, c_dim: int, device: torch.device) -> Players:
    """Build everything from the settings; weights come from torch's random generator."""
    size = dict(resolution=config.resolution, c_dim=c_dim, channel_base=config.channel_base)
    size |= dict(channel_max=config.channel_max, conv_clamp=config.conv_clamp)
    generator = Generator(
        z_dim=config.z_dim,
        w_dim=config.w_dim,
        num_mapping_layers=config.num_mapping_layers,
        use_noise=config.use_noise,
        **size,
    ).to(device)
    generator.compute_dtype = dtype = training_dtype(config.mixed_precision, device)
    discriminator = projected = None
    if config.discriminator != "projected":
        discriminator = Discriminator(
            mbstd_group_size=config.mbstd_group_size, num_mapping_layers=config.num_mapping_layers, **size
        ).to(device)
        discriminator.compute_dtype = dtype
    if config.discriminator != "stylegan":
        projected = ProjectedDiscriminator(
            config.projected_features, config.projected_px, config.mbstd_group_size, dtype
        ).to(device)
    generator.exact = True  # D sees pictures drawn without gradients: they must be those that G is judged by
    ema = make_ema(generator)
    draw, judge = generator.synthesis, discriminator
    if config.compile != "none" and device.type == "cuda":
        compile_filters()
    if config.compile == "networks":
        # The sizes never change within a run. Gradient penalties stay uncompiled: they differentiate twice.
        draw, judge = (network and torch.compile(network, dynamic=False) for network in (draw, judge))
    options = dict(betas=(config.beta1, config.beta2))
    # One kernel for all parameters on a GPU; on a CPU the other form is what resumes bit for bit.
    options |= dict(fused=True) if device.type == "cuda" else dict(foreach=True)
    judges = nn.ModuleList(one for one in (discriminator, projected) if one is not None).train()
    return Players(
        generator=generator.train(),
        discriminator=discriminator,
        projected=projected,
        ema=ema,
        optimizer_g=torch.optim.Adam(generator.parameters(), lr=config.g_lr, eps=config.g_eps, **options),
        optimizer_d=torch.optim.Adam(judges.parameters(), lr=config.d_lr, eps=1e-8, **options),
        augment=Augment(
            config.augment_kinds, PORTRAIT_STRENGTH, p=0.0 if config.augment == "none" else config.augment_p
        ),
        mean_path_length=torch.zeros([], device=device),
        draw=draw,
        judge=judge,
        recorder=Recorder(config.cuda_graphs and device.type == "cuda"),
    )


def draw_w_plus(players: Players, config: TrainConfig, c: Tensor, *, update_w_avg: bool = False) -> Tensor:
    """Draw latents for the labels c [N, c_dim] and map them, now and then two mixed: [N, num_ws, w_dim]."""
    generator, N, device = players.generator, len(c), c.device
    mapping = generator.mapping
    w_plus = mapping(torch.randn(N, config.z_dim, device=device), c, update_w_avg=update_w_avg)
    if config.style_mixing_prob > 0:
        # The dice are thrown on the device, and the second latent is there even if it is not used: nothing to wait for.
        other = mapping(torch.randn(N, config.z_dim, device=device), c)
        cutoff = torch.randint(1, generator.num_ws, [], device=device)
        mixed = torch.rand([], device=device) < config.style_mixing_prob
        from_other = (torch.arange(generator.num_ws, device=device) >= cutoff) & mixed  # [num_ws]
        w_plus = torch.where(from_other[:, None], other, w_plus)
    return w_plus


def discriminator_step(
    players: Players, config: TrainConfig, real: Tensor, real_c: Tensor, fake_c: Tensor, *, nimg: int
) -> dict[str, float]:
    """Move D once: adversarial loss, and every `r1_interval` steps the gradient penalties.

    Args:
        real: [N, 3, R, R] in [-1, 1]; real_c, fake_c: [N, c_dim].
        nimg: images seen so far.

    Returns:
        Named numbers for the log; "bad" is 1.0 if the gradient was not finite and D was left alone.
    """
    penalties_now = players.discriminator is not None and (nimg // config.batch_size) % config.r1_interval == 0
    gamma1, gamma2 = _gammas(config, nimg) if penalties_now else (0.0, 0.0)
    players.generator.requires_grad_(False)
    players.judges.requires_grad_(True)
    penalised = Penalised(real=gamma1 > 0, fake=gamma2 > 0)
    gammas = torch.tensor([gamma1, gamma2], device=real.device)  # an input: a recording would keep a ramp where it was
    stats = players.recorder.run(
        "discriminator, penalties" if penalties_now else "discriminator",
        (penalised, players.augment.p),
        partial(_discriminator_gradients, players, config, penalised),
        (real, real_c, fake_c, gammas),
        players.judges,
    )
    stats = _apply(players.judges, players.optimizer_d, config.max_grad_norm, stats, "grad_norm_d")
    if config.augment == "adaptive":
        # Of all processes at once, since a checkpoint between two adaptations has room for one list.
        players.real_signs.append(average_(torch.tensor(stats["real_sign"])).item())
    if gamma1 > 0:
        stats["r1_gamma"] = gamma1
    return stats


def _discriminator_gradients(
    players: Players,
    config: TrainConfig,
    penalised: Penalised,
    real: Tensor,
    real_c: Tensor,
    fake_c: Tensor,
    gammas: Tensor,
) -> dict[str, Tensor]:
    """Leave in D, in both if there are two, the gradients of its loss; gammas [2] are the weights of R1 and R2."""
    with torch.no_grad():
        fake = players.draw(draw_w_plus(players, config, fake_c), noise_mode="random")
        # The penalty is taken at what D sees, after augmentation: no second derivative of a warp is needed.
        real, fake = players.augment(real).detach(), players.augment(fake)
    total, stats = 0.0, {}
    if players.projected is not None:
        total, stats = _projected_loss(players.projected, real, fake)
    if players.discriminator is not None:
        real.requires_grad_(penalised.real)
        fake.requires_grad_(penalised.fake)
        loss, own = _own_loss(players, config, real, real_c, fake, fake_c, gammas)
        total, stats = total + loss, stats | own
    total.backward()
    return stats


def _own_loss(
    players: Players,
    config: TrainConfig,
    real: Tensor,
    real_c: Tensor,
    fake: Tensor,
    fake_c: Tensor,
    gammas: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of D on pixels, with penalties on pictures that require a gradient, and its numbers for the log."""
    judge = players.discriminator if real.requires_grad or fake.requires_grad else players.judge
    real_logits = judge(real, real_c)
    fake_logits = judge(fake, fake_c)
    loss = LOSSES[config.loss].discriminator(real_logits, fake_logits).mean()
    total = loss
    stats = {"loss_d": loss}
    # Lazy: the penalty is applied every `interval` steps with `interval` times the weight (StyleGAN2, appendix B).
    if real.requires_grad:
        r1 = gradient_penalty(real_logits, real).mean()
        total = total + r1 * (gammas[0] / 2 * config.r1_interval)
        stats["r1"] = r1
    if fake.requires_grad:
        r2 = gradient_penalty(fake_logits, fake).mean()
        total = total + r2 * (gammas[1] / 2 * config.r1_interval)
        stats["r2"] = r2
    return total, stats | _logit_stats(real_logits, fake_logits)


def _projected_loss(projected: ProjectedDiscriminator, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the projected discriminator, a mean over heads and places, and its numbers for the log."""
    real_logits, fake_logits = projected(real), projected(fake)
    loss = LOSSES["hinge"].discriminator(real_logits, fake_logits).mean()
    return loss, {"loss_d_projected": loss} | _logit_stats(real_logits, fake_logits)


def _logit_stats(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    return {"logit_real": real.mean(), "logit_fake": fake.mean(), "real_sign": real.sign().mean()}


def generator_step(
    players: Players, config: TrainConfig, real: Tensor, real_c: Tensor, fake_c: Tensor, *, nimg: int
) -> dict[str, float]:
    """Move G once: adversarial loss, and every `path_length_interval` steps path length regularisation."""
    lengths_now = config.path_length_weight > 0 and (nimg // config.batch_size) % config.path_length_interval == 0
    players.generator.requires_grad_(True)
    players.judges.requires_grad_(False)
    stats = players.recorder.run(
        "generator, path lengths" if lengths_now else "generator",
        players.augment.p,
        partial(_generator_gradients, players, config, lengths_now),
        (real, real_c, fake_c),
        players.generator,
    )
    stats = _apply(players.generator, players.optimizer_g, config.max_grad_norm, stats, "grad_norm_g")
    average_(players.generator.mapping.w_avg)
    average_(players.mean_path_length)
    return stats


def _generator_gradients(
    players: Players, config: TrainConfig, lengths_now: bool, real: Tensor, real_c: Tensor, fake_c: Tensor
) -> dict[str, Tensor]:
    """Leave in G the gradients of its loss, with path length regularisation if `lengths_now`."""
    adversarial = LOSSES[config.loss]
    w_plus = draw_w_plus(players, config, fake_c, update_w_avg=True)
    fake = players.draw(w_plus, noise_mode="random")
    real_logits = None
    if adversarial.generator_needs_real and players.discriminator is not None:
        with torch.no_grad():
            real_logits = players.judge(players.augment(real), real_c)
    seen = players.augment(fake)
    total, stats = 0.0, {}
    if players.discriminator is not None:
        total = stats["loss_g"] = adversarial.generator(players.judge(seen, fake_c), real_logits).mean()
    if players.projected is not None:
        stats["loss_g_projected"] = LOSSES["hinge"].generator(players.projected(seen), None).mean()
        total = total + stats["loss_g_projected"]
    if lengths_now:
        # Half the batch, as in StyleGAN2: the second derivative is what takes the memory.
        half = draw_w_plus(players, config, fake_c[: max(len(fake_c) // 2, 1)])
        images = players.generator.synthesis(half, noise_mode="random")
        penalty, lengths = path_length_penalty(images, half, players.mean_path_length)
        total = total + penalty.mean() * (config.path_length_weight * config.path_length_interval)
        stats |= {"path_length": lengths.mean(), "path_length_penalty": penalty.mean()}
    total.backward()
    return stats


def move_augmentation(players: Players, config: TrainConfig, nimg: int) -> None:
    """Set the augmentation's p for the next step."""
    if config.augment == "fixed":
        players.augment.p = linear_ramp(nimg, 0.0, config.augment_p, config.augment_ramp_kimg)
    elif config.augment == "adaptive" and len(players.real_signs) >= ADAPT_INTERVAL:
        players.augment.p = adapt_p(
            players.augment.p,
            sum(players.real_signs) / len(players.real_signs),
            config.augment_target,
            config.batch_size,
            len(players.real_signs),
            config.augment_speed_kimg,
        )
        players.real_signs = []


def _gammas(config: TrainConfig, nimg: int) -> tuple[float, float]:
    """Weights of R1 and R2 now; R2 keeps its ratio to R1 all along the ramp."""
    if config.r1_gamma_start is None or config.r1_gamma == 0:
        return config.r1_gamma, config.r2_gamma
    r1_gamma = cosine_ramp(nimg, config.r1_gamma_start, config.r1_gamma, config.ramp_kimg)
    return r1_gamma, config.r2_gamma * (r1_gamma / config.r1_gamma)


def _apply(
    network: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float | None, stats: dict[str, Tensor], norm: str
) -> dict[str, float]:
    """Average the gradients over all processes, clip and step, unless their norm is not finite.

    Returns:
        The stats as numbers, fetched from the device all at once, with the norm under the name `norm` and "bad": 1.0 if
        nothing was moved.
    """
    stats = stats | {norm: average_gradients(network.parameters())}
    values = dict(zip(stats, torch.stack([value.float() for value in stats.values()]).tolist(), strict=True))
    finite = math.isfinite(values[norm])
    if finite:
        if max_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(network.parameters(), max_norm, stats[norm])
        optimizer.step()
        weights_have_changed(network)
    optimizer.zero_grad(set_to_none=True)
    return values | {"bad": 0.0 if finite else 1.0}
