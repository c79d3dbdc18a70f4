"""Draw the faces of a portrait, or all of it, without and with a look, at the networks' own size; and put it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder, EncoderOutput
from gan_space.models.generator import Generator
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.models.synthesis import SynthesisState
from gan_space.packs.attaching import attached
from gan_space.packs.style import StylePack, move_code
from gan_space.portraits.canvas import Canvas
from gan_space.portraits.colors import missing_colors
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.put_back import put_back, put_back_photo
from gan_space.styles.reference import (
    ColorMatch,
    LookLayers,
    ReferenceFusion,
    ReferenceLook,
    keep_colors,
    keep_structure,
)
from gan_space.styles.settings import StyleSettings

FACE_COLOR_SHARE = 0.4  # of the reference's colours where neck and hair keep their own: more looks like a mask
NO_LAYERS = LookLayers(coarse=(), fuse=0.0, later=(), color=0.0)  # of packs, which bring their own
PackScales = Sequence[tuple[StylePack, float]]


@dataclass(frozen=True)
class NetworkLook:
    """What is to be applied: a reference, packs with their weights, or nothing but post-processing."""

    reference: ReferenceLook | None = None
    packs: tuple[tuple[StylePack, float], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return self.reference is None and not self.packs

    def scaled(self, strength: float) -> PackScales:
        """Return the packs with what each counts at a strength."""
        return [(pack, weight * strength) for pack, weight in self.packs]

    def drawn_at(self, settings: StyleSettings) -> tuple[float, float]:
        """Say at which strength to draw, and what share of the change to take.

        Half a pack's weights do not make half of its look: skin would be darker on the way than at both ends. So a
        change by packs is drawn in full, and a share of it is taken. Of a picture that would show two pictures.
        """
        most = max((abs(weight) for _, weight in self.packs), default=0.0)
        share = settings.strength * most
        if self.reference is not None or settings.transfer != "change" or not 0 < share < 1:
            return settings.strength, 1.0
        return 1 / most, share

    def kept_colors(self, strength: float) -> float:
        """Say how much stays of the photo's broad colours that the networks do not redraw.

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


class Reconstruction(NamedTuple):
    """What the networks redraw of a picture without any look."""

    drawn: Tensor  # [N, 3, h, w]
    missing: Tensor  # [N, 3, h, w], what its broad colours lack

    @property
    def image(self) -> Tensor:
        """With the picture's own broad colours."""
        return self.drawn + self.missing


@dataclass(frozen=True)
class StyledFaces:
    """N faces of one photo in their frames, and what was done to them, to be done to the rest of the photo too."""

    crops: Tensor  # [N, 3, R, R], as in the photo
    reconstruction: Tensor  # [N, 3, R, R], as the networks redraw them
    styled: Tensor  # [N, 3, R, R]
    w_plus: Tensor  # [N, num_ws, w_dim], with the later rows of a reference
    fusion: ReferenceFusion | None = None
    colors: tuple[ColorMatch, ...] = ()  # one a face


@dataclass(frozen=True)
class StyledPhoto:
    """A whole photo at the scale of its face, [1, 3, h, w] each."""

    canvas: Canvas
    reconstruction: Tensor
    styled: Tensor


@dataclass(frozen=True)
class Renderer:
    """The networks that draw, and what they draw."""

    generator: Generator
    encoder: Encoder
    editor: Editor | None = None

    def portrait(
        self,
        portrait: Portrait,
        look: NetworkLook,
        layers: LookLayers,
        settings: StyleSettings,
        code: EncoderOutput | None = None,
    ) -> tuple[StyledFaces, StyledPhoto | None]:
        """Draw the chosen faces in a look, and for scope "photo" all of the photo.

        What does not depend on the look is drawn once a portrait. No pack may be attached to the generator.

        Args:
            code: of the faces, in place of what the encoder says.
        """
        crops = portrait.crops(self.encoder.resolution).to(self.encoder.device)
        own = code is None
        plain = self.reconstruction_of(portrait) if own else self.reconstruct(crops, code)
        code = portrait.code(self.encoder) if own else code
        styled = self.faces(crops, look, layers, settings, code, plain)
        if settings.scope != "photo":
            return styled, None
        canvas, state = portrait.canvas(self.encoder), portrait.features(self.encoder)

        def redraw() -> Reconstruction:
            return self._reconstruct_photo(canvas.image.to(self.encoder.device), state, code.w_plus[:1])

        plain = portrait.remember("photo", [self.encoder, self.generator], redraw) if own else redraw()
        return styled, self._photo(canvas, state, plain, styled, look, settings)

    def reconstruction_of(self, portrait: Portrait) -> Reconstruction:
        """Redraw the chosen faces of a photo as they are, once."""

        def redraw() -> Reconstruction:
            crops = portrait.crops(self.encoder.resolution).to(self.encoder.device)
            return self.reconstruct(crops, portrait.code(self.encoder))

        return portrait.remember("reconstruction", [self.encoder, self.generator], redraw)

    def faces(
        self,
        crops: Tensor,
        look: NetworkLook,
        layers: LookLayers,
        settings: StyleSettings,
        code: EncoderOutput | None = None,
        plain: Reconstruction | None = None,
    ) -> StyledFaces:
        """Redraw N faces without and with the look: crops [N, 3, R, R] in [-1, 1].

        Args:
            code: in place of what the encoder says.
            plain: what `reconstruct` made of them, where that is known.
        """
        synthesis, r = self.generator.synthesis, self.encoder.feature_resolution
        if settings.scope == "face" and settings.paste_back:
            layers = replace(layers, color=FACE_COLOR_SHARE * layers.color)
        code = self.encoder(crops) if code is None else code
        plain = self.reconstruct(crops, code) if plain is None else plain
        reconstruction = plain.image
        state, w_plus = code.state, code.w_plus
        fusion, colors = None, ()
        if settings.strength == 0 or look.is_empty:
            return StyledFaces(crops, reconstruction, reconstruction, w_plus)
        if look.reference is not None:
            fusion = ReferenceFusion.measure(state, look.reference, layers, settings.strength, settings.preserve_color)
            state = fusion.fuse(fusion.shape(synthesis, state, w_plus, r, self.editor))
            w_plus = fusion.codes(w_plus)
        styled = self._styled(state, w_plus, plain, look, settings)
        if fusion is not None and layers.color:
            amount = min(1.0, settings.strength * layers.color)
            target = look.reference.colors
            lightness_only = settings.preserve_color
            colors = tuple(ColorMatch.measure(face[None].cpu(), target, amount, lightness_only) for face in styled)
            styled = torch.cat([match.apply(face[None]) for match, face in zip(colors, styled, strict=True)])
        if settings.preserve_color:
            styled = keep_colors(styled, reconstruction)
        styled = keep_structure(styled, reconstruction, settings.identity(has_reference=fusion is not None))
        return StyledFaces(crops, reconstruction, styled, w_plus, fusion, colors)

    def over(self, pictures: Tensor, look: NetworkLook) -> Tensor:
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

    def reconstruct(self, crops: Tensor, code: EncoderOutput) -> Reconstruction:
        """Redraw N faces as they are."""
        drawn = self.generator.synthesis.finish(code.state, code.w_plus, self.encoder.feature_resolution)
        return Reconstruction(drawn, missing_colors(drawn, crops, self.encoder.resolution))

    def _reconstruct_photo(self, image: Tensor, state: SynthesisState, w_plus: Tensor) -> Reconstruction:
        drawn = self.generator.synthesis.finish(state, w_plus, self.encoder.feature_resolution, self._noise_mode)
        return Reconstruction(drawn, missing_colors(drawn, image, self.encoder.resolution))

    def _photo(
        self,
        canvas: Canvas,
        state: SynthesisState,
        plain: Reconstruction,
        styled: StyledFaces,
        look: NetworkLook,
        settings: StyleSettings,
    ) -> StyledPhoto:
        before = after = plain.image
        if settings.strength and not look.is_empty:
            if styled.fusion is not None:
                state = styled.fusion.fuse(state, face=0)
            after = self._styled(state, styled.w_plus[:1], plain, look, settings, self._noise_mode)
            if styled.colors:
                after = styled.colors[0].apply(after)
            if settings.preserve_color:
                after = keep_colors(after, before)
        before, after = canvas.lay(before, styled.reconstruction), canvas.lay(after, styled.styled)
        return StyledPhoto(canvas, canvas.cut(before).clamp(-1, 1), canvas.cut(after).clamp(-1, 1))

    def _styled(
        self,
        state: SynthesisState,
        w_plus: Tensor,
        plain: Reconstruction,
        look: NetworkLook,
        settings: StyleSettings,
        noise_mode: str = "const",
    ) -> Tensor:
        strength, share = look.drawn_at(settings)
        drawn = self.finish(state, w_plus, look.scaled(strength), noise_mode)
        if share < 1:
            return torch.lerp(plain.image, drawn, share)
        return drawn + look.kept_colors(strength) * plain.missing

    @property
    def _noise_mode(self) -> str:
        """Of whole photos; constant noise has the size of a face."""
        return "none" if self.generator.config.use_noise else "const"

    def finish(self, state: SynthesisState, w_plus: Tensor, packs: PackScales, noise_mode: str = "const") -> Tensor:
        """Go on from features of any height and width to the picture, with packs."""
        r = self.encoder.feature_resolution
        state, w_plus = move_code(state, w_plus, packs)
        with attached(self.generator, [(pack.delta, scale) for pack, scale in packs]):
            return self.generator.synthesis.finish(state, w_plus, r, noise_mode)


def into_photo(
    portrait: Portrait,
    faces: StyledFaces,
    photo: StyledPhoto | None,
    settings: StyleSettings,
    upscaler: GuidedUpscaler | None = None,
) -> Tensor:
    """Put what was drawn back into the photo, or with paste_back=False return the frame of the first face.

    Args:
        portrait: the photo, at any size.
        faces, photo: from `Renderer.portrait`.
        settings: with scope and transfer decided, see `NetworkLook.decide`.
        upscaler: enlarges drawn pictures; None: a filter does.

    Returns:
        [3, H, W] uint8, or [3, S, S] for the frame alone.
    """
    if photo is not None:
        return put_back_photo(
            portrait.pixels,
            photo.canvas,
            photo.reconstruction,
            photo.styled,
            faces.crops.shape[-1],
            transfer=settings.transfer,
            upscaler=upscaler,
        )
    result = portrait.pixels
    for index, face in enumerate(portrait.chosen_faces if settings.paste_back else portrait.chosen_faces[:1]):
        one = slice(index, index + 1)
        result = put_back(
            result,
            face.transform,
            faces.crops[one],
            faces.reconstruction[one],
            faces.styled[one],
            transfer=settings.transfer,
            paste_back=settings.paste_back,
            upscaler=upscaler,
        )
    return result
