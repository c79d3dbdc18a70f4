"""The picture by which a look is chosen: the same faces for every pack, none of them a real person's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from gan_space.images import image_grid
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.packs.style import StylePack
from gan_space.seeding import latents_from_seeds
from gan_space.styles.apply import NetworkLook, Renderer

PREVIEW_PX = 256


@torch.no_grad()
def draw_preview(
    generator: Generator, encoder: Encoder, pack: StylePack, seeds: Sequence[int], side_px: int = PREVIEW_PX
) -> Image.Image:
    """Draw faces from seeds and show them in a look as photos would be, as a square of about square numbers.

    Args:
        generator, encoder: that the pack was tuned for.
        pack: the look, applied in full.
        seeds: of the faces.
        side_px: width of the picture.
    """
    w_plus = generator.mapping(latents_from_seeds(seeds, generator.config.z_dim), truncation_psi=0.6)
    faces = generator.synthesis(w_plus, noise_mode="const").clamp(-1, 1)
    sheet = image_grid(Renderer(generator, encoder).over(faces, NetworkLook(packs=((pack, 1.0),))))
    height = round(sheet.height * side_px / sheet.width)
    return sheet.resize((side_px, height), Image.Resampling.LANCZOS)
