"""From a few aligned photos of one person to the numbers of an identity pack.

First the anchors move: the encoder's codes are improved by descent on the pictures, held near where they began, since
far from W edits stop working. Then, with the anchors nearly still, a low-rank change of the synthesis weights brings
the rest of the way (pivotal tuning; Roich et al. 2021), while random faces have to stay what they are. Everything is
drawn from W+ alone: generation has no feature map of a photo to lean on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import Cancelled, ConfigError, InputError, PackError, raise_all
from gan_space.models.discriminator import Discriminator
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.packs.attaching import attached, call_with
from gan_space.packs.descent import descend, wants_preview
from gan_space.packs.frozen import frozen_copies
from gan_space.packs.identity import MAX_PHOTOS
from gan_space.packs.losses import feature_l1_distance, pyramid_distance
from gan_space.packs.low_rank import LowRankDelta
from gan_space.settings import least_faults, positive_faults, values_of

Callback = Callable[[int, int, Tensor | None], bool | None]
NUM_FEATURE_MAPS = 3  # of the discriminator, from the finest
NUM_HELD_OUT = 16  # random faces that locality is measured on and never trained with
W_SAMPLES = 1024  # behind the spread of W, the unit of the anchors' moves


@dataclass(frozen=True)
class IdentitySettings:
    """How a profile is made.

    Args:
        num_steps: steps of Adam in all.
        anchor_share: of the steps, in which only the anchors move.
        batch_size: photos a step; all of them where there are fewer.
        rank: of the weights' change.
        lr: learning rate of the weights' change, relative to the size of each weight; falls along a cosine.
        anchor_lr: of the anchors, in standard deviations of W; a fifth of it once the weights move.
        num_random: random faces that have to stay what they are.
        random_batch: of these in every step.
        hull_batch: portraits drawn between the anchors in every step, that have to show the person.
        seed: of everything random.
        preview_every: steps between previews; 0: none.
        pixel, feature: weights of the nearness to the photos.
        stay: weight of holding the anchors where the encoder put them.
        locality: weight of leaving random faces alone.
        identity: weight of the portraits' likeness to the person, where a network for it is given.

    Raises:
        ConfigError: all faults at once.
    """

    num_steps: int = 300
    anchor_share: float = 0.4
    batch_size: int = 4
    rank: int = 8
    lr: float = 0.006
    anchor_lr: float = 0.03
    num_random: int = 48
    random_batch: int = 2
    hull_batch: int = 2
    seed: int = 0
    preview_every: int = 25
    pixel: float = 1.0
    feature: float = 0.3
    stay: float = 0.01
    locality: float = 1.0
    identity: float = 0.3

    def __post_init__(self):
        counts = ("num_steps", "batch_size", "rank", "num_random", "random_batch", "hull_batch")
        weights = ("pixel", "feature", "stay", "locality", "identity")
        faults = least_faults(1, values_of(self, *counts))
        faults += least_faults(0, values_of(self, "preview_every", *weights, "seed"))
        faults += positive_faults(values_of(self, "lr", "anchor_lr"))
        if not 0 <= self.anchor_share <= 1:
            faults.append(f"anchor_share must be from 0 to 1, got {self.anchor_share}")
        raise_all(faults, ConfigError)


@dataclass(frozen=True)
class TunedIdentity:
    """What tuning found; goes into an `IdentityPack` as it is.

    Args:
        anchors: [K, num_ws, w_dim] float32.
        delta: float16, as it is stored.
        quality: psnr_start (dB; from the codes as given), psnr (of the anchors with the weights' change), and
            random_change, by how many grey levels random faces moved on average.
        training: settings and the last losses.
    """

    anchors: Tensor
    delta: LowRankDelta
    quality: dict[str, float] = field(default_factory=dict)
    training: dict = field(default_factory=dict)


def tuned_weights(generator: Generator) -> list[str]:
    """Return the names of the weights that a profile changes: convolutions and to_rgb of all blocks, and their biases.

    Not the affine layers: through them every code would mean something else, also those far from the person.
    """
    return [
        name
        for name, _ in generator.named_parameters()
        if name.startswith("synthesis.") and name.endswith((".weight", ".bias")) and ".affine." not in name
    ]


def tune_identity(
    generator: Generator,
    photos: Tensor,
    start: Tensor,
    *,
    discriminator: Discriminator | None = None,
    identity: FaceIdentity | None = None,
    settings: IdentitySettings | None = None,
    callback: Callback | None = None,
) -> TunedIdentity:
    """Find anchors and a change of the weights under which they draw the photos.

    Args:
        generator: not changed; packs that are attached to it take no part.
        photos: [K, 3, R, R] in [-1, 1], aligned, K from 1 to 20.
        start: [K, num_ws, w_dim], what the encoder says of them.
        discriminator: of the same model, for the perceptual loss; None leaves that out.
        identity: says whether portraits show the person of the photos; None leaves that out.
        settings: None for the defaults.
        callback: called as (steps done, num_steps, what the anchors draw [K, 3, R, R] or None) after every step; False
            gives the job up.

    Raises:
        InputError: photos or codes of another shape or number.
        Cancelled: the callback said so.
        PackError: tuning did not stay finite.

    Example:
        >>> generator = Generator(16, z_dim=4, w_dim=4, channel_base=64, use_noise=False)
        >>> start = generator.mapping(torch.randn(2, 4)).detach()
        >>> tuned = tune_identity(generator, torch.zeros(2, 3, 16, 16), start, settings=IdentitySettings(num_steps=2))
        >>> tuned.anchors.shape
        torch.Size([2, 6, 4])
    """
    settings = settings or IdentitySettings()
    _check_photos(generator, photos, start)
    tuner = _Tuner(generator, discriminator, identity, photos, start, settings)
    first_tuning_step = round(settings.anchor_share * settings.num_steps)
    optimizer = torch.optim.Adam(
        [
            {"params": [tuner.moves], "lr": settings.anchor_lr},
            {"params": tuner.delta.parameters(), "lr": settings.lr},
        ],
        betas=(0.9, 0.99),
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    losses: dict[str, Tensor] = {}
    for step in range(settings.num_steps):
        tuning = step >= first_tuning_step
        fade = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / settings.num_steps))).item()
        optimizer.param_groups[0]["lr"] = rates[0] * fade * (0.2 if tuning else 1.0)
        optimizer.param_groups[1]["lr"] = rates[1] * max(fade, 0.05)
        # What a step draws depends on its number alone.
        random = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        with torch.enable_grad():
            losses = tuner.losses(random, tuning)
        descend(losses, settings, [tuner.moves, *(tuner.delta.parameters() if tuning else ())], optimizer)
        if callback is not None:
            done = step + 1
            due = wants_preview(done, settings.preview_every, settings.num_steps)
            preview = tuner.draw_anchors() if due else None
            if callback(done, settings.num_steps, preview) is False:
                raise Cancelled(f"making the profile was stopped after {done} of {settings.num_steps} steps")
    return tuner.result(losses)


class _Tuner:
    """The numbers of a profile while they are tuned, and all that one step needs."""

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None,
        identity: FaceIdentity | None,
        photos: Tensor,
        start: Tensor,
        settings: IdentitySettings,
    ):
        self.settings = settings
        self.generator, self.discriminator = frozen_copies(generator, discriminator)
        self.device = next(self.generator.parameters()).device
        self.photos, self.start = photos.to(self.device), start.detach().float().to(self.device).clone()
        with torch.no_grad():
            if self.discriminator is not None:
                self.photo_features = self.discriminator.features(self.photos, NUM_FEATURE_MAPS)
            self.identity = None
            if identity is not None and settings.identity > 0:
                self.identity = copy.deepcopy(identity).eval().requires_grad_(False)
                self.person = F.normalize(self.identity(self.photos).mean(dim=0), dim=0)  # [D]
            random = torch.Generator().manual_seed(settings.seed)
            w = self.generator.mapping(self._latents(W_SAMPLES, random))[:, 0]
            std = w.std(dim=0)
            self.unit = std.clamp(min=1e-3 * std.max().item() + 1e-8)  # [w_dim]
            z = self._latents(settings.num_random + NUM_HELD_OUT, random)
            self.random_codes = self.generator.mapping(z, truncation_psi=0.9)
            self.random_faces = self._draw(self.random_codes)
            self.start_faces = self._draw(self.start)
        self.moves = torch.zeros_like(self.start, requires_grad=True)
        self.delta = LowRankDelta.create(
            self.generator, tuned_weights(self.generator), settings.rank, settings.seed
        ).requires_grad_()

    def _latents(self, count: int, random: torch.Generator) -> Tensor:
        return torch.randn(count, self.generator.config.z_dim, generator=random).to(self.device)

    def _draw(self, codes: Tensor) -> Tensor:
        return torch.cat([self.generator.synthesis(part, noise_mode="const").float() for part in codes.split(16)])

    @property
    def anchors(self) -> Tensor:
        """[K, num_ws, w_dim]; differentiable."""
        return self.start + self.unit * self.moves

    def _between(self, count: int, random: torch.Generator) -> Tensor:
        """Codes of random places in the hull of the anchors, as portraits have them: [count, num_ws, w_dim]."""
        weights = torch.rand(count, len(self.photos), generator=random).log().neg()  # Dirichlet with ones
        weights = (weights / weights.sum(dim=1, keepdim=True)).to(self.device)
        return torch.einsum("nk,kld->nld", weights, self.anchors)

    @torch.no_grad()
    def draw_anchors(self) -> Tensor:
        """Return what the anchors draw now: [K, 3, R, R]."""
        with attached(self.generator, [(self.delta, 1.0)]):
            return self._draw(self.anchors)

    def losses(self, random: torch.Generator, tuning: bool) -> dict[str, Tensor]:
        """Return the parts of one step's loss, unweighted."""
        settings = self.settings
        rows = torch.randperm(len(self.photos), generator=random)[: settings.batch_size].to(self.device)
        codes, num_between = self.anchors[rows], 0
        if tuning:
            which = torch.randperm(settings.num_random, generator=random)[: settings.random_batch].to(self.device)
            codes = torch.cat([codes, self.random_codes[which]])  # one pass for all
            if self.identity is not None and len(self.photos) > 1:
                num_between = settings.hull_batch
                codes = torch.cat([codes, self._between(num_between, random)])
            drawn = call_with(self.generator, [self.delta], "synthesis", codes, noise_mode="const")
        else:
            drawn = self.generator.synthesis(codes, noise_mode="const")
        person, others, between = drawn.split([len(rows), len(codes) - len(rows) - num_between, num_between])
        parts = {"pixel": pyramid_distance(person, self.photos[rows]), "stay": self.moves[rows].square().mean()}
        if tuning:
            parts["locality"] = pyramid_distance(others, self.random_faces[which])
        if self.discriminator is not None:
            features = self.discriminator.features(person, NUM_FEATURE_MAPS)
            parts["feature"] = feature_l1_distance(features, [part[rows] for part in self.photo_features])
        if self.identity is not None:
            portraits = torch.cat([person, between]).float().clamp(-1, 1)
            parts["identity"] = 1 - (self.identity(portraits) @ self.person).mean()
        return parts

    @torch.no_grad()
    def result(self, losses: dict[str, Tensor]) -> TunedIdentity:
        delta, anchors = self.delta.to(torch.float16).to("cpu"), self.anchors.detach().cpu()
        if not all(tensor.isfinite().all() for tensor in (*delta.parameters(), anchors)):
            raise PackError("tuning did not stay finite: lower lr and anchor_lr, or give other photos")
        held_out = self.random_codes[-NUM_HELD_OUT:]
        with attached(self.generator, [(delta, 1.0)]):
            drawn, others = self._draw(self.anchors), self._draw(held_out)
        change = (others.clamp(-1, 1) - self.random_faces[-NUM_HELD_OUT:].clamp(-1, 1)).abs().mean()
        quality = {
            "psnr_start": round(mean_psnr(self.start_faces, self.photos), 3),
            "psnr": round(mean_psnr(drawn, self.photos), 3),
            "random_change": round(127.5 * change.item(), 3),
        }
        training = {"settings": asdict(self.settings), "with_discriminator": self.discriminator is not None}
        training["with_identity"] = self.identity is not None
        training["losses"] = {name: round(part.item(), 4) for name, part in losses.items()}
        return TunedIdentity(anchors, delta, quality, training)


def mean_psnr(images: Tensor, targets: Tensor) -> float:
    """Average over N pictures in [-1, 1] the peak signal-to-noise ratio in dB."""
    squares = ((images.clamp(-1, 1) - targets) / 2).square().flatten(1).mean(dim=1)
    return (-10 * squares.clamp(min=1e-10).log10()).mean().item()


def _check_photos(generator: Generator, photos: Tensor, start: Tensor) -> None:
    R, faults = generator.config.resolution, []
    if photos.ndim != 4 or tuple(photos.shape[1:]) != (3, R, R) or not 1 <= len(photos) <= MAX_PHOTOS:
        faults.append(f"photos must be [1 to {MAX_PHOTOS}, 3, {R}, {R}] in [-1, 1], got {list(photos.shape)}")
    expected = [len(photos), generator.num_ws, generator.config.w_dim]
    if list(start.shape) != expected:
        faults.append(f"start must be {expected}, got {list(start.shape)}")
    if generator.config.c_dim:
        faults.append(f"profiles are for generators without labels, this one has c_dim {generator.config.c_dim}")
    raise_all(faults, InputError)
