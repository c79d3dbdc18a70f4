"""Tune a style pack: from pairs (face, the same face in the look), or from a few pictures of the look alone.

From pictures alone, the pairs have to be made. JoJoGAN (Chong & Forsyth 2022) finds the latent code of the picture and
replaces parts of it by random ones: faces of different looks and the same structure, all of which shall become that
picture. Our code has two parts, so it is done with both: the features keep their layout but take on the statistics and
colours of a photo, the later rows of w_plus come from a random face. Other faces must then show the same patches,
colours and feature statistics as the pictures, keep light and dark in their own places, and get no lighter: a
painting lends dark skin its hues, not its sitter's skin.

Nothing but numbers of the pack is trained: the generator stays as it is, and the caller's copy of it is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, PackError, raise_all
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState
from gan_space.packs.attaching import attached, attached_packs, call_with
from gan_space.packs.descent import descend, wants_preview
from gan_space.packs.frozen import frozen_copies
from gan_space.packs.losses import (
    band_correlation_distance,
    feature_l1_distance,
    feature_statistics_distance,
    lightening,
    patch_distance,
    pyramid_distance,
)
from gan_space.packs.low_rank import LowRankDelta
from gan_space.packs.style import StateChange, StylePack
from gan_space.settings import least_faults, positive_faults, values_of

Callback = Callable[[int, int, Tensor | None], bool | None]
MAX_PICTURES = 100
NUM_FEATURE_MAPS = 3  # of the discriminator, from the finest
LIGHT_GAIN, LIGHT_OFFSET = 0.35, 0.25  # spread for every colour channel of pictures in [-1, 1]


@dataclass(frozen=True)
class TuneSettings:
    """How a pack is tuned.

    Args:
        num_steps: steps of Adam.
        batch_size: faces a step.
        rank: of the weights' change.
        lr: learning rate, falling along a cosine; relative to the size of each weight.
        seed: of everything random; the same settings give the same pack on the same machine.
        num_faces: random faces that are drawn where none are given.
        preview_every: steps between previews; 0: none.
        pixel, feature, patch, statistics: weights of the nearness to the look; pixel only counts with pairs.
        mixed: weight of mixed codes becoming the picture; only counts without pairs.
        structure: weight of keeping light and dark in a face's own places; only counts without pairs.
        lightness: weight of making no face lighter, of looks in colours of skin; only counts without pairs.
        identity: weight of keeping the embedding, where one is given.

    Raises:
        ConfigError: all faults at once.
    """

    num_steps: int = 240
    batch_size: int = 4
    rank: int = 8
    lr: float = 0.01
    seed: int = 0
    num_faces: int = 64
    preview_every: int = 20
    pixel: float = 1.0
    feature: float = 0.3
    patch: float = 1.0
    statistics: float = 0.1
    mixed: float = 0.15
    structure: float = 0.75
    lightness: float = 2.0
    identity: float = 0.5

    def __post_init__(self):
        faults = least_faults(1, values_of(self, "num_steps", "batch_size", "rank", "num_faces"))
        weights = ("pixel", "feature", "patch", "statistics", "mixed", "structure", "lightness", "identity")
        faults += least_faults(0, values_of(self, "preview_every", *weights, "seed"))
        faults += positive_faults(values_of(self, "lr"))
        raise_all(faults, ConfigError)


@dataclass(frozen=True)
class TunedStyle:
    """What tuning found; goes into a `StylePack` as it is.

    Args:
        delta, w_offset, state_change: see `StylePack`; float16, as they are stored.
        training: settings, steps done, whether stopped early, and the last losses.
    """

    delta: LowRankDelta
    w_offset: Tensor
    state_change: StateChange
    training: dict = field(default_factory=dict)


@dataclass
class _Codes:
    """Encoded faces."""

    x: Tensor  # [N, C, r, r]
    rgb: Tensor  # [N, 3, r, r]
    w_plus: Tensor  # [N, num_ws, w_dim]
    drawn: Tensor  # [N, 3, R, R], the reconstructions

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> _Codes:
        return _Codes(self.x[rows], self.rgb[rows], self.w_plus[rows], self.drawn[rows])


def tune_on_pairs(
    generator: Generator,
    encoder: Encoder,
    faces: Tensor,
    targets: Tensor,
    *,
    discriminator: Discriminator | None = None,
    init: StylePack | None = None,
    settings: TuneSettings | None = None,
    callback: Callback | None = None,
) -> TunedStyle:
    """Tune a pack so that every face becomes its target.

    Args:
        generator, encoder: of one model; not changed.
        faces: [N, 3, R, R] in [-1, 1], aligned.
        targets: [N, 3, R, R] in [-1, 1], the same faces in the look.
        discriminator: of the same model, for the perceptual loss; None leaves that out.
        init: pack to start from, such as the same look's of a model that this one goes on from; of the rank that
            `settings` ask for.
        settings: None for the defaults.
        callback: called as (steps done, num_steps, preview [K, 3, R, R] or None) after every step; False stops.

    Raises:
        InputError: pictures of another shape or number.
        PackError: packs are attached to the generator, or `init` does not fit it.
    """
    settings = settings or TuneSettings()
    _check_pictures(encoder, faces=faces, targets=targets)
    if len(faces) != len(targets):
        raise InputError(f"expected as many targets as faces, got {len(targets)} and {len(faces)}")
    tuner = _Tuner(generator, encoder, discriminator, settings)
    if init is not None:
        tuner.check_start(init)
    codes, targets = tuner.encode(faces), targets.to(tuner.device)

    def parts(random: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(codes), [settings.batch_size], generator=random)
        batch, wanted = codes.take(rows), targets[rows]
        drawn = tuner.draw(batch)
        losses = {
            "pixel": pyramid_distance(drawn, wanted),
            "patch": patch_distance(drawn, wanted, random),
        }
        return losses | tuner.perceptual(drawn, tuner.look_features(wanted))

    return tuner.run(parts, codes, callback, init)


def tune_on_pictures(
    generator: Generator,
    encoder: Encoder,
    pictures: Tensor,
    *,
    faces: Tensor | None = None,
    discriminator: Discriminator | None = None,
    identity: Callable[[Tensor], Tensor] | None = None,
    settings: TuneSettings | None = None,
    callback: Callback | None = None,
) -> TunedStyle:
    """Tune a pack from 1 to 100 pictures of a look, such as a single painting.

    Args:
        generator, encoder: of one model; not changed.
        pictures: [K, 3, R, R] in [-1, 1], faces aligned.
        faces: [N, 3, R, R] photos that the look is tried on; None draws `num_faces` random ones.
        discriminator: of the same model, for the perceptual loss; None leaves that out.
        identity: differentiable, images [N, 3, R, R] -> embeddings [N, D] of unit length; None leaves that term out.
        settings, callback: see `tune_on_pairs`.

    Raises:
        InputError: pictures of another shape or number.
        PackError: packs are attached to the generator.
    """
    settings = settings or TuneSettings()
    _check_pictures(encoder, pictures=pictures, **({} if faces is None else {"faces": faces}))
    if len(pictures) > MAX_PICTURES:
        raise InputError(
            f"a look is tuned from 1 to {MAX_PICTURES} pictures, got {len(pictures)}; choose the best ones"
        )
    tuner = _Tuner(generator, encoder, discriminator, settings)
    codes = tuner.encode(tuner.random_faces() if faces is None else faces)
    pictures = pictures.to(tuner.device)
    looks, features = tuner.encode(pictures), tuner.look_features(pictures)

    def parts(random: torch.Generator) -> dict[str, Tensor]:
        half = max(1, settings.batch_size // 2)
        which = torch.randint(len(looks), [half], generator=random)
        photos = codes.take(torch.randint(len(codes), [half], generator=random))
        wanted = pictures[which]
        # One pass for both halves: pictures as photos, and other faces.
        batch = _joined(as_photos(looks.take(which), photos, tuner.first_row, random), photos)
        drawn = tuner.draw(batch)
        back, others = drawn[:half], drawn[half:]
        losses = {
            "mixed": pyramid_distance(back, wanted),
            "patch": patch_distance(others, wanted, random),
            "structure": band_correlation_distance(others, photos.drawn),
            "lightness": lightening(others, photos.drawn, wanted),
        }
        if identity is not None:
            with torch.no_grad():
                own = identity(photos.drawn)
            losses["identity"] = (1 - (identity(others) * own).sum(dim=1)).mean()
        return losses | tuner.perceptual(back, [maps[which] for maps in features], others)

    return tuner.run(parts, codes, callback)


def as_photos(looks: _Codes, photos: _Codes, first_row: int, random: torch.Generator) -> _Codes:
    """Return codes with the structure of `looks` and, in a random degree, the statistics of `photos`; N of each.

    Features and colours move to the photo's mean and spread of every channel (AdaIN; Huang & Belongie 2017), the rows
    of w_plus from `first_row` on are the photo's.
    """
    degree = (0.5 + 0.5 * torch.rand(len(looks), 1, 1, 1, generator=random)).to(looks.x.device)
    x, rgb = (
        one + degree * (_with_statistics_of(one, other) - one)
        for one, other in ((looks.x, photos.x), (looks.rgb, photos.rgb))
    )
    w_plus = torch.cat([looks.w_plus[:, :first_row], photos.w_plus[:, first_row:]], dim=1)
    return _Codes(x, rgb, w_plus, looks.drawn)


def _with_statistics_of(x: Tensor, other: Tensor) -> Tensor:
    mean, std = x.mean(dim=[2, 3], keepdim=True), x.std(dim=[2, 3], keepdim=True)
    new_mean, new_std = other.mean(dim=[2, 3], keepdim=True), other.std(dim=[2, 3], keepdim=True)
    return (x - mean) * (new_std / (std + 1e-4)).clamp(max=4) + new_mean


def _joined(one: _Codes, other: _Codes) -> _Codes:
    return _Codes(*(torch.cat([getattr(one, key), getattr(other, key)]) for key in ("x", "rgb", "w_plus", "drawn")))


def _in_other_light(faces: Tensor, random: torch.Generator) -> Tensor:
    """Every second face in other light and colours: photos have more of these than faces that are drawn."""
    gain, offset = torch.randn(2, len(faces[1::2]), 3, 1, 1, generator=random).to(faces.device)
    faces[1::2] = (faces[1::2] * (1 + LIGHT_GAIN * gain).clamp(0.3, 2) + LIGHT_OFFSET * offset).clamp(-1, 1)
    return faces


def tuned_weights(generator: Generator, feature_resolution: int) -> list[str]:
    """Return the names of the weights that a style pack changes: all of the blocks after `feature_resolution`."""
    later = [size for size in generator.synthesis.block_resolutions if size > feature_resolution]
    starts = tuple(f"synthesis.b{size}." for size in later)
    return [name for name, _ in generator.named_parameters() if name.startswith(starts) and "noise" not in name]


class _Tuner:
    """The numbers of a pack while they are tuned, and all that one step needs."""

    def __init__(
        self, generator: Generator, encoder: Encoder, discriminator: Discriminator | None, settings: TuneSettings
    ):
        if attached_packs(generator):
            raise PackError("packs are attached to the generator; detach them before a new one is tuned")
        self.settings, self.encoder = settings, encoder
        self.resolution = encoder.feature_resolution
        self.generator, self.discriminator = frozen_copies(generator, discriminator)
        self.device = next(self.generator.parameters()).device
        synthesis = self.generator.synthesis
        self.first_row = synthesis.first_row(2 * self.resolution)
        self.delta = LowRankDelta.create(
            self.generator, tuned_weights(self.generator, self.resolution), settings.rank, settings.seed
        )
        channels = synthesis.block(self.resolution).conv1.weight.shape[0] + self.generator.config.img_channels
        rows = synthesis.num_ws - self.first_row
        self.offset = torch.zeros(rows, synthesis.w_dim, device=self.device, requires_grad=True)
        self.weight = torch.zeros(channels, channels, device=self.device, requires_grad=True)
        self.bias = torch.zeros(channels, device=self.device, requires_grad=True)
        self.delta.requires_grad_()

    @torch.no_grad()
    def random_faces(self) -> Tensor:
        """Return faces drawn by the generator: [num_faces, 3, R, R]."""
        random = torch.Generator().manual_seed(self.settings.seed)
        z = torch.randn(self.settings.num_faces, self.generator.config.z_dim, generator=random).to(self.device)
        w_plus = self.generator.mapping(z, truncation_psi=0.8)
        drawn = [self.generator.synthesis(part, noise_mode="const") for part in w_plus.split(16)]
        return _in_other_light(torch.cat(drawn).clamp(-1, 1), random)

    @torch.no_grad()
    def encode(self, images: Tensor) -> _Codes:
        parts = []
        for some in images.to(self.device).split(16):
            code = self.encoder(some)
            drawn = self.generator.synthesis.finish(code.state, code.w_plus, self.resolution)
            parts.append((code.state.x.float(), code.state.rgb.float(), code.w_plus.float(), drawn))
        return _Codes(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def units_from(self, codes: _Codes) -> None:
        """Measure what the trained numbers are multiples of, so that one learning rate suits all of them."""
        both = torch.cat([codes.x, codes.rgb], dim=1)  # [N, C + 3, r, r]
        self.unit = both.std(dim=[0, 2, 3]).clamp(min=1e-3)  # [C + 3]
        self.mean = both.mean(dim=[0, 2, 3])
        self.w_unit = codes.w_plus.std(dim=0).mean().clamp(min=1e-3)

    def check_start(self, pack: StylePack) -> None:
        """Raise PackError unless tuning can start from `pack`; all faults at once."""
        found = {name: tuple(tensor.shape) for name, tensor in pack.delta.to_tensors().items()}
        found |= {"w_offset": tuple(pack.w_offset.shape), "state": tuple(pack.state_change.weight.shape)}
        wanted = {name: tuple(tensor.shape) for name, tensor in self.delta.to_tensors().items()}
        wanted |= {"w_offset": tuple(self.offset.shape), "state": tuple(self.weight.shape)}
        faults = [
            f"pack {pack.id} has {name} {list(found.get(name, ()))}, to start here it needs {list(shape)}"
            for name, shape in wanted.items()
            if found.get(name) != shape
        ]
        raise_all(faults, PackError)

    @torch.no_grad()
    def start_from(self, pack: StylePack) -> None:
        """Take over the numbers of a pack that `check_start` let pass; after `units_from`."""
        for name, tensor in self.delta.to_tensors().items():
            tensor.copy_(pack.delta.to_tensors()[name])
        self.offset.copy_(pack.w_offset.float() / self.w_unit)
        weight, bias = (part.float().to(self.device) for part in (pack.state_change.weight, pack.state_change.bias))
        self.weight.copy_(weight * self.unit[None] / self.unit[:, None])
        self.bias.copy_((bias + weight @ self.mean) / self.unit)

    def pack_parts(self) -> tuple[LowRankDelta, Tensor, StateChange]:
        """Return delta, offset of w_plus and change of the state, in natural units; differentiable."""
        weight = self.weight * self.unit[:, None] / self.unit[None]
        bias = self.bias * self.unit - weight @ self.mean
        return self.delta, self.offset * self.w_unit, StateChange(weight, bias)

    def draw(self, codes: _Codes) -> Tensor:
        """Return faces in the look, with gradients to the pack."""
        delta, offset, change = self.pack_parts()
        state, w_plus = self._moved(codes, offset, change)
        return call_with(self.generator, [delta], "synthesis.finish", state, w_plus, self.resolution)

    @torch.no_grad()
    def preview(self, codes: _Codes) -> Tensor:
        delta, offset, change = self.pack_parts()
        state, w_plus = self._moved(codes, offset, change)
        with attached(self.generator, [(delta, 1.0)]):
            return self.generator.synthesis.finish(state, w_plus, self.resolution)

    def _moved(self, codes: _Codes, offset: Tensor, change: StateChange) -> tuple[SynthesisState, Tensor]:
        state = SynthesisState(codes.x, codes.rgb)
        moved = change(state)
        state = SynthesisState(state.x + moved.x, state.rgb + moved.rgb)
        return state, codes.w_plus + nn.functional.pad(offset, [0, 0, self.first_row, 0])

    @torch.no_grad()
    def look_features(self, pictures: Tensor) -> list[Tensor]:
        """Return the discriminator's features of pictures of the look; no maps where there is no discriminator."""
        if self.discriminator is None:
            return []
        parts = [self.discriminator.features(some, NUM_FEATURE_MAPS) for some in pictures.split(16)]
        return [torch.cat(maps) for maps in zip(*parts, strict=True)]

    def perceptual(self, drawn: Tensor, wanted: list[Tensor], others: Tensor | None = None) -> dict[str, Tensor]:
        """Return the losses in the discriminator's features.

        Args:
            drawn: [N, 3, R, R], what should have the features.
            wanted: `look_features` of N pictures.
            others: [M, 3, R, R], what should share only their statistics; None: `drawn` should.
        """
        if self.discriminator is None:
            return {}
        if others is None:
            same = rest = self.discriminator.features(drawn, NUM_FEATURE_MAPS)
        else:  # one pass for both
            maps = self.discriminator.features(torch.cat([drawn, others]), NUM_FEATURE_MAPS)
            same, rest = zip(*(part.split([len(drawn), len(others)]) for part in maps), strict=True)
        return {"feature": feature_l1_distance(same, wanted), "statistics": feature_statistics_distance(rest, wanted)}

    def run(
        self,
        parts: Callable[[torch.Generator], dict[str, Tensor]],
        codes: _Codes,
        callback: Callback | None,
        init: StylePack | None = None,
    ) -> TunedStyle:
        settings = self.settings
        self.units_from(codes)
        if init is not None:
            self.start_from(init)
        trained = [*self.delta.parameters(), self.offset, self.weight, self.bias]
        optimizer = torch.optim.Adam(trained, lr=settings.lr, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.num_steps, 0.05 * settings.lr)
        shown = codes.take(torch.arange(min(4, len(codes))))
        done, stopped, losses = 0, False, {}
        while done < settings.num_steps and not stopped:
            random = torch.Generator().manual_seed(settings.seed * 1_000_003 + done)
            with torch.enable_grad():
                losses = parts(random)
            descend(losses, settings, trained, optimizer)
            schedule.step()
            done += 1
            if callback is not None:
                due = wants_preview(done, settings.preview_every, settings.num_steps)
                preview = self.preview(shown) if due else None
                stopped = callback(done, settings.num_steps, preview) is False
        record = {"settings": asdict(settings), "steps_done": done, "stopped": stopped, "num_faces": len(codes)}
        if init is not None:
            record["started_from"] = {"id": init.id, "base_hash": init.base_hash}
        record["losses"] = {name: round(part.item(), 4) for name, part in losses.items()}
        return self.result(record)

    def result(self, record: dict) -> TunedStyle:
        delta, offset, change = self.pack_parts()
        half = (tensor.detach().to(torch.float16).cpu() for tensor in (offset, change.weight, change.bias))
        offset, weight, bias = half
        delta = delta.to(torch.float16).to("cpu")
        finite = all(tensor.isfinite().all() for tensor in (*delta.parameters(), offset, weight, bias))
        if not finite:
            raise PackError("tuning did not stay finite: lower lr, or give other pictures")
        return TunedStyle(delta, offset, StateChange(weight, bias), record)


def _check_pictures(encoder: Encoder, **named: Tensor) -> None:
    R = encoder.resolution
    faults = [
        f"{name} must be [N, 3, {R}, {R}] in [-1, 1] with N of 1 or more, got {list(images.shape)}"
        for name, images in named.items()
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, R, R) or not len(images)
    ]
    raise_all(faults, InputError)
