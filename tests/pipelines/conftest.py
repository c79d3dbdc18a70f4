from __future__ import annotations

import pytest
import torch

from gan_space.models.generator import Generator
from gan_space.packs.style import StylePack
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.pipelines.styling import make_networks, make_pack


@pytest.fixture(scope="session")
def tiny_generator() -> Generator:
    """A random network of 32 px whose noise is strong enough to be seen."""
    torch.manual_seed(0)
    generator = Generator(
        resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=2
    ).eval()
    generator.compute_dtype = torch.float32
    with torch.no_grad():
        generator.mapping.w_avg.normal_()
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
    return generator.requires_grad_(False)


@pytest.fixture
def pipe(tiny_generator) -> GenerationPipeline:
    return GenerationPipeline(tiny_generator)


@pytest.fixture(scope="module")
def networks():
    return make_networks()


@pytest.fixture
def style_pipe(networks, aligner) -> StyleTransferPipeline:
    return StyleTransferPipeline(*networks, aligner)


@pytest.fixture
def pack(networks) -> StylePack:
    return make_pack(*networks)
