"""How a look gets into a face: plain functions of codes, feature maps and colours.

A face is a code (w_plus) and a feature map after the generator's block of r px (the state). Of a reference picture
these are taken over, each by `strength`:

  coarse rows (4 and 8 px)      shape, as the difference that they make to the state (`latents.editing.edit_state`);
  middle rows (16 px to r)      the statistics of the features, channel by channel (AdaIN, Huang and Belongie 2017);
  later rows (above r)          the rows of the code themselves, as in style mixing (Karras et al. 2019);
  fine rows                     besides, the colours: a palette in Lab.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_space.images import gaussian_blur
from gan_space.latents.editing import edit_state
from gan_space.latents.layers import group_layers, layer_resolution
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.synthesis import SynthesisNetwork, SynthesisState
from gan_space.output.lab import Palette, lab_to_rgb, match_palette, palette, rgb_to_lab
from gan_space.portraits.paste import frame_weight

MAX_FEATURE_GAIN = 3.0
# Of the reference's feature statistics and later rows at strength 1. All of them come nearer to the reference than its
# palette alone and cost more of the face than a plain colour transfer does; so much is better than that at both.
FEATURE_SHARE = 0.3
MAX_SHADING_GAIN = 1.5
STRUCTURE_BAND = (0.008, 0.06)  # Gaussian widths, as shares of the frame: what lies between makes a face recognisable


@dataclass(frozen=True)
class LookLayers:
    """Which parts of a look the chosen layers ask for.

    Args:
        coarse: rows that give shape.
        fuse: share of the rows between shape and r px that were chosen, in [0, 1].
        later: rows above r px.
        color: share of the fine rows that were chosen, in [0, 1].
    """

    coarse: tuple[int, ...]
    fuse: float
    later: tuple[int, ...]
    color: float

    @classmethod
    def split(cls, rows: tuple[int, ...], synthesis: SynthesisNetwork, feature_resolution: int) -> LookLayers:
        """Sort rows of w_plus by what they do once synthesis starts from a feature map."""
        num_ws = synthesis.num_ws
        start = later_row(synthesis, feature_resolution)
        before = [row for row in range(start) if layer_resolution(row, num_ws) > 8]
        fine = group_layers("fine", num_ws) or tuple(range(start, num_ws))
        return cls(
            coarse=tuple(row for row in rows if row < start and row not in before),
            fuse=sum(row in rows for row in before) / max(1, len(before)),
            later=tuple(row for row in rows if row >= start),
            color=sum(row in rows for row in fine) / max(1, len(fine)),
        )


@dataclass(frozen=True)
class ReferenceLook:
    """What is taken from a reference picture; made once by `StyleTransferPipeline.read_look`, used for any photo.

    w_plus: [1, num_ws, w_dim]. x_mean, x_std: [1, C, 1, 1] of the features in the frame; rgb_mean, rgb_std:
    [1, 3, 1, 1] of the picture so far. colors: palette of the reference itself. has_face: False where the
    middle of the picture was taken, for want of a face.
    """

    w_plus: Tensor
    x_mean: Tensor
    x_std: Tensor
    rgb_mean: Tensor
    rgb_std: Tensor
    colors: Palette
    digest: str = ""
    has_face: bool = True

    @classmethod
    def read(cls, encoder: Encoder, crop: Tensor, has_face: bool, digest: str) -> ReferenceLook:
        """Take the look of a frame [1, 3, R, R] in [-1, 1]."""
        code = encoder(crop)
        weight = frame_weight(*code.state.x.shape[2:])
        moments = [*weighted_moments(code.state.x, weight), *weighted_moments(code.state.rgb, weight)]
        return cls(code.w_plus, *moments, palette(rgb_to_lab(crop).cpu()), digest, has_face)


def later_row(synthesis: SynthesisNetwork, feature_resolution: int) -> int:
    """Return the first row of w_plus that is read after the block of `feature_resolution`."""
    if feature_resolution >= synthesis.resolution:
        return synthesis.num_ws
    return synthesis.first_row(2 * feature_resolution)


def weighted_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Measure mean and deviation of every channel: x [N, C, H, W], weight [H, W] -> two of [N, C, 1, 1] float32."""
    x, weight = x.float(), (weight / weight.sum()).to(x.device)
    mean = (x * weight).sum(dim=(2, 3), keepdim=True)
    return mean, ((x - mean).square() * weight).sum(dim=(2, 3), keepdim=True).sqrt()


def fuse_features(x: Tensor, mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor, amount: float) -> Tensor:
    """Move every channel's mean and deviation the share `amount` of the way to new ones; the layout stays.

    Args:
        x: [N, C, H, W]; mean, std: [N, C, 1, 1] of the face in it; new_mean, new_std: [1 or N, C, 1, 1].
    """
    gain = ((new_std + 1e-3) / (std + 1e-3)).clamp(1 / MAX_FEATURE_GAIN, MAX_FEATURE_GAIN)
    gain = gain**amount
    shift = mean + amount * (new_mean - mean)
    return ((x.float() - mean) * gain + shift).to(x.dtype)


@dataclass(frozen=True)
class ReferenceFusion:
    """A reference's look prepared for some faces, so that the same can be done to the whole photo around them."""

    layers: LookLayers
    strength: float
    look: ReferenceLook
    x_moments: tuple[Tensor, Tensor]
    rgb_moments: tuple[Tensor, Tensor]
    preserve_color: bool

    @classmethod
    def measure(
        cls, state: SynthesisState, look: ReferenceLook, layers: LookLayers, strength: float, preserve_color: bool
    ) -> ReferenceFusion:
        """Take the statistics of N faces from their state."""
        weight = frame_weight(*state.x.shape[2:])
        return cls(
            *(layers, strength, look, weighted_moments(state.x, weight), weighted_moments(state.rgb, weight)),
            preserve_color,
        )

    def codes(self, w_plus: Tensor) -> Tensor:
        """Return [N, num_ws, w_dim] with the later rows moved to the reference's."""
        rows = list(self.layers.later)
        new = w_plus.clone()
        if rows:
            amount = self.strength * FEATURE_SHARE
            new[:, rows] = torch.lerp(w_plus[:, rows], self.look.w_plus.to(w_plus)[:, rows], amount)
        return new

    def shape(
        self,
        synthesis: SynthesisNetwork,
        state: SynthesisState,
        w_plus: Tensor,
        resolution: int,
        editor: Editor | None = None,
    ) -> SynthesisState:
        """Move the shape of faces in their frames by the coarse rows; `editor` as in `edit_state`."""
        rows = list(self.layers.coarse)
        if not rows:
            return state
        new = w_plus.clone()
        new[:, rows] = torch.lerp(w_plus[:, rows], self.look.w_plus.to(w_plus)[:, rows], self.strength)
        return edit_state(synthesis, state, w_plus, new, resolution, editor)

    def fuse(self, state: SynthesisState, face: int | None = None) -> SynthesisState:
        """Move the features' statistics, by those of all N faces, or, for a whole photo, by those of one face."""
        pick = slice(None) if face is None else slice(face, face + 1)
        x, rgb = state
        mean, std = (moment[pick] for moment in self.x_moments)
        if self.layers.fuse:
            amount = self.strength * self.layers.fuse * FEATURE_SHARE
            x = fuse_features(x, mean, std, self.look.x_mean, self.look.x_std, amount)
        if self.layers.color and not self.preserve_color:
            mean, std = (moment[pick] for moment in self.rgb_moments)
            amount = self.strength * self.layers.color * FEATURE_SHARE
            rgb = fuse_features(rgb, mean, std, self.look.rgb_mean, self.look.rgb_std, amount)
        return SynthesisState(x, rgb)


@dataclass(frozen=True)
class ColorMatch:
    """The colours of a reference, fitted on a face and good for the whole photo."""

    source: Palette
    target: Palette
    amount: float
    lightness_only: bool

    @classmethod
    def measure(cls, face: Tensor, target: Palette, amount: float, lightness_only: bool) -> ColorMatch:
        """Take the colours of a whole frame [1, 3, R, R] as drawn before the match."""
        return cls(palette(rgb_to_lab(face)), target, amount, lightness_only)

    def apply(self, images: Tensor) -> Tensor:
        """Map [N, 3, H, W] in [-1, 1] -> the same with other colours."""
        if not self.amount:
            return images
        lab = rgb_to_lab(images)
        matched = match_palette(lab, self.source, self.target, lightness_only=self.lightness_only)
        return lab_to_rgb(torch.lerp(lab, matched, self.amount))


def keep_colors(images: Tensor, original: Tensor) -> Tensor:
    """Give [N, 3, H, W] the hues and chroma of `original` and keep the own lightness."""
    return lab_to_rgb(torch.cat([rgb_to_lab(images)[:, :1], rgb_to_lab(original)[:, 1:]], dim=1))


def keep_structure(images: Tensor, original: Tensor, amount: float) -> Tensor:
    """Bring back what makes a face recognisable: the light and dark of eyes, nose and mouth.

    Of the lightness, the band between fine texture and broad shading is moved the share `amount` of the way to that of
    `original`, at a contrast between the two. The broad shading makes up for it, so that the whole picture is as
    contrasty as the look made it.

    Args:
        images, original: [N, 3, R, R] in [-1, 1].
        amount: in [0, 1].
    """
    if not amount:
        return images
    new, old = rgb_to_lab(images), rgb_to_lab(original)[:, :1]
    fine, broad = (max(0.6, share * images.shape[-1]) for share in STRUCTURE_BAND)

    def band(lightness: Tensor) -> Tensor:
        return _blur(lightness, fine) - _blur(lightness, broad)

    drawn, wanted = band(new[:, :1]), band(old)
    contrast = (drawn.std(dim=(2, 3), keepdim=True) + 0.5) / (wanted.std(dim=(2, 3), keepdim=True) + 0.5)
    lightness = new[:, :1] + amount * (wanted * contrast.clamp(0.6, 1.6).sqrt() - drawn)
    lightness = _stretch_shading(lightness, _blur(lightness, broad), new[:, :1])
    return lab_to_rgb(torch.cat([lightness, new[:, 1:]], dim=1))


def _stretch_shading(lightness: Tensor, shading: Tensor, like: Tensor) -> Tensor:
    """Stretch the part `shading` of [N, 1, H, W] so that the mean and the deviation become those of `like`."""

    def mean(x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3), keepdim=True)

    detail, shading = lightness - shading, shading - mean(shading)
    detail = detail - mean(detail)
    missing = mean((like - mean(like)).square()) - mean(detail.square())
    power, common = mean(shading.square()), mean(shading * detail)
    # Of gain² power + 2 gain common = missing, the larger root; where no gain can reach it, the nearest there is.
    gain = (-common + (common.square() + power * missing).clamp(min=0).sqrt()) / power.clamp(min=1e-3)
    return mean(like) + gain.clamp(1 / MAX_SHADING_GAIN, MAX_SHADING_GAIN) * shading + detail


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [N, 1, H, W], mirrored at the edges."""
    radius = max(1, min(round(2.5 * sigma), min(x.shape[2:]) - 1))
    return gaussian_blur(x, sigma, radius)
