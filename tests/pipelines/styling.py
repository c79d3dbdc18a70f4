"""Tiny untrained networks, packs and photos for the tests of style transfer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.packs.low_rank import LowRankDelta
from gan_space.packs.style import StateChange, StylePack, base_hash

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
R = 32


def sample(name: str, side: int = 256) -> Image.Image:
    return Image.open(SAMPLES / f"{name}.jpg").convert("RGB").resize((side, side))


PHOTO, REFERENCE = sample("woman-lake"), sample("naval-officer")


def make_networks(use_noise: bool = False) -> tuple[Generator, Encoder]:
    torch.manual_seed(0)
    generator = Generator(
        R, z_dim=8, w_dim=8, channel_base=256, channel_max=12, num_mapping_layers=2, use_noise=use_noise
    ).eval()
    encoder = Encoder.for_generator(generator, 16, width=6, num_blocks=1, hidden=8).eval()
    with torch.no_grad():
        encoder.code_head.weight.normal_(std=0.3)
    generator.compute_dtype = encoder.compute_dtype = torch.float32
    return generator.requires_grad_(False), encoder.requires_grad_(False)


def make_pack(generator, encoder, *, name: str = "ink", scale: float = 0.3, **fields) -> StylePack:
    torch.manual_seed(len(name))
    r = encoder.feature_resolution
    names = [
        key for key, _ in generator.named_parameters() if key.startswith(f"synthesis.b{2 * r}.") and "weight" in key
    ]
    delta = LowRankDelta.create(generator, names, rank=2)
    for _, up in delta.factors.values():
        up.normal_(std=scale)
    channels = generator.synthesis.block(r).conv1.weight.shape[0] + 3
    rows = generator.num_ws - generator.synthesis.first_row(2 * r)
    texts = {"en": name, "zh-CN": name}
    return StylePack(
        **{
            "id": name,
            "name": texts,
            "description": texts,
            "base_model": "tiny",
            "base_hash": base_hash(generator, encoder),
            "feature_resolution": r,
            "delta": delta,
            "w_offset": scale * torch.randn(rows, 8),
            "state_change": StateChange(scale * 0.1 * torch.randn(channels, channels), scale * torch.randn(channels)),
            **fields,
        }
    )


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def distance(one: Image.Image, other: Image.Image) -> float:
    return np.abs(pixels(one) - pixels(other)).mean()


def make_preview() -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()
