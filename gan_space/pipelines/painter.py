"""Drawing faces, and whole photos, without and with a look; everything here happens at the networks' own size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan_space.faces.find import Face
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder, EncoderOutput
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState
from gan_space.packs.low_rank import attached
from gan_space.packs.style import StylePack, move_code
from gan_space.pipelines.looks import (
    ColorMatch,
    LookLayers,
    ReferenceFusion,
    ReferenceLook,
    keep_colors,
    keep_structure,
)
from gan_space.pipelines.photo_layers import Canvas, settle
from gan_space.pipelines.style_settings import StyleSettings

FACE_COLOR_SHARE = 0.4  # of the reference's colours where neck and hair keep their own: more looks like a mask
NO_LAYERS = LookLayers(coarse=(), fuse=0.0, later=(), color=0.0)  # of packs, which bring their own
PackScales = Sequence[tuple[StylePack, float]]


@dataclass(frozen=True)
class Look:
    """What is to be applied: a reference, packs with their weights, or nothing but post-processing."""

    reference: ReferenceLook | None = None
    packs: tuple[tuple[StylePack, float], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return self.reference is None and not self.packs

    def scaled(self, strength: float) -> PackScales:
        """The packs with what each counts at a strength."""
        return [(pack, weight * strength) for pack, weight in self.packs]

    def kept_colors(self, strength: float) -> float:
        """How much stays of the photo's broad colours that the networks do not redraw.

        They go as a pack comes: a pencil drawing has none of them. A reference's palette is put on top of them.
        """
        return max(0.0, 1 - strength) if self.packs else 1.0

    def decide(self, settings: StyleSettings) -> StyleSettings:
        """Put what the look asks for in place of "auto"; of several packs, the one that changes most decides.

        A reference changes the light of a face, which neck and hair have to share: so the whole photo.
        """
        used = [pack for pack, weight in self.packs if weight]
        scope, transfer = settings.scope, settings.transfer
        if scope == "auto":
            whole = self.reference is not None or any(pack.scope == "photo" for pack in used)
            scope = "photo" if settings.paste_back and whole else "face"
        if transfer == "auto":
            transfer = "picture" if any(pack.transfer == "picture" for pack in used) else "change"
        return replace(settings, scope=scope, transfer=transfer)


@dataclass(frozen=True)
class StyledFaces:
    """N faces of one photo in their frames, and what was done to them, to be done to the rest of the photo too."""

    crops: Tensor  # [N, 3, R, R], as in the photo
    reconstruction: Tensor  # [N, 3, R, R], as the networks redraw them
    styled: Tensor  # [N, 3, R, R]
    plain_w_plus: Tensor  # [N, num_ws, w_dim], of the photo
    w_plus: Tensor  # [N, num_ws, w_dim], with the later rows of a reference
    fusion: ReferenceFusion | None = None
    colors: tuple[ColorMatch, ...] = ()  # one a face


@dataclass(frozen=True)
class Painter:
    """The networks that draw, and what they draw."""

    generator: Generator
    encoder: Encoder
    editor: Editor | None = None

    def faces(
        self,
        crops: Tensor,
        look: Look,
        layers: LookLayers,
        settings: StyleSettings,
        code: EncoderOutput | None = None,
    ) -> StyledFaces:
        """Redraw N faces without and with the look: crops [N, 3, R, R] in [-1, 1]; `code` in place of the encoder's."""
        synthesis, r = self.generator.synthesis, self.encoder.feature_resolution
        if settings.scope == "face" and settings.paste_back:
            layers = replace(layers, color=FACE_COLOR_SHARE * layers.color)
        code = self.encoder(crops) if code is None else code
        state, w_plus = code.state, code.w_plus
        plain = synthesis.finish(state, w_plus, r)
        missing = settle(plain, crops, self.encoder.resolution)
        reconstruction = plain + missing
        fusion, colors = None, ()
        if settings.strength == 0 or look.is_empty:
            return StyledFaces(crops, reconstruction, reconstruction, w_plus, w_plus)
        if look.reference is not None:
            fusion = ReferenceFusion.measure(state, look.reference, layers, settings.strength, settings.preserve_color)
            state = fusion.fuse(fusion.shape(synthesis, state, w_plus, r, self.editor))
            w_plus = fusion.codes(w_plus)
        styled = self.finish(state, w_plus, look.scaled(settings.strength))
        styled = styled + look.kept_colors(settings.strength) * missing
        if fusion is not None and layers.color:
            amount = min(1.0, settings.strength * layers.color)
            target = look.reference.colors
            lightness_only = settings.preserve_color
            colors = tuple(ColorMatch.measure(face[None].cpu(), target, amount, lightness_only) for face in styled)
            styled = torch.cat([match.apply(face[None]) for match, face in zip(colors, styled, strict=True)])
        if settings.preserve_color:
            styled = keep_colors(styled, reconstruction)
        styled = keep_structure(styled, reconstruction, settings.identity(has_reference=fusion is not None))
        return StyledFaces(crops, reconstruction, styled, code.w_plus, w_plus, fusion, colors)

    def over(self, pictures: Tensor, look: Look) -> Tensor:
        """Give drawn faces the packs of a look: [N, 3, R, R] -> the same, about [-1, 1].

        They go through the encoder as photos do. Packs are tuned on the features that it makes of faces; on those that
        the generator makes of codes, they draw blots.
        """
        if not any(weight for _, weight in look.packs):
            return pictures
        settings = look.decide(StyleSettings(strength=1.0, paste_back=False))
        faces = self.faces(pictures, look, NO_LAYERS, settings)
        if settings.transfer == "picture":
            return faces.styled
        return pictures + faces.styled - faces.reconstruction

    def photo(
        self, photo: Tensor, faces: list[Face], styled: StyledFaces, look: Look, settings: StyleSettings
    ) -> tuple[Canvas, Tensor, Tensor]:
        """The whole photo at the largest face's scale, redrawn without and with the look, [1, 3, h, w] each."""
        encoder, r = self.encoder, self.encoder.feature_resolution
        # Coarser steps than the encoder needs: whatever the size of a photo, convolutions see one of few shapes.
        step = max(8, self.encoder.resolution // r)
        canvas = Canvas.make(photo, faces[0].frame_px, self.encoder.resolution, step)
        image = canvas.image.to(styled.crops.device)
        state = encoder.features(image)
        noise_mode = "none" if self.generator.config.use_noise else "const"
        before = self.generator.synthesis.finish(state, styled.plain_w_plus[:1], r, noise_mode)
        missing = settle(before, image, self.encoder.resolution)
        before = before + missing
        after = before
        if settings.strength and not look.is_empty:
            if styled.fusion is not None:
                state = styled.fusion.fuse(state, face=0)
            after = self.finish(state, styled.w_plus[:1], look.scaled(settings.strength), noise_mode)
            after = after + look.kept_colors(settings.strength) * missing
            if styled.colors:
                after = styled.colors[0].apply(after)
            if settings.preserve_color:
                after = keep_colors(after, before)
        for index in reversed(range(len(faces))):  # the largest face last, on top
            transform = faces[index].transform
            before = canvas.lay(before, styled.reconstruction[index : index + 1], transform)
            after = canvas.lay(after, styled.styled[index : index + 1], transform)
        return canvas, canvas.cut(before).clamp(-1, 1), canvas.cut(after).clamp(-1, 1)

    def finish(self, state: SynthesisState, w_plus: Tensor, packs: PackScales, noise_mode: str = "const") -> Tensor:
        """Go on from features of any height and width to the picture, with packs."""
        r = self.encoder.feature_resolution
        state, w_plus = move_code(state, w_plus, packs)
        with attached(self.generator, [(pack.delta, scale) for pack, scale in packs]):
            return self.generator.synthesis.finish(state, w_plus, r, noise_mode)
