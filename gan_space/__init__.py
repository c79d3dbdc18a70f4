"""Style-based GANs for portraits: generate, steer, and give a photo a look.

Names are imported on first use, so that `import gan_space` alone stays cheap.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Threads that wait for each other's part of a small tensor go to sleep instead of spinning, which takes the core away
# from whoever else works: beside other programs a drawing took ten times as long. libgomp reads it with torch's import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from gan_space.models.discriminator import Discriminator
    from gan_space.models.generator import Generator
    from gan_space.packs.consent import Consent
    from gan_space.packs.identity import IdentityPack
    from gan_space.pipelines.conversion import ConvertedModel, convert_checkpoint
    from gan_space.pipelines.dataset import DatasetReport, write_dataset
    from gan_space.pipelines.generation import GenerationPipeline, GenerationPipelineOutput
    from gan_space.pipelines.personalization import PersonalizationPipeline, PersonalizationPipelineOutput
    from gan_space.pipelines.style_output import StyleTransferPipelineOutput
    from gan_space.pipelines.style_transfer import StyleTransferPipeline

_HOMES = {
    "Generator": "gan_space.models.generator",
    "Discriminator": "gan_space.models.discriminator",
    "ConvertedModel": "gan_space.pipelines.conversion",
    "convert_checkpoint": "gan_space.pipelines.conversion",
    "DatasetReport": "gan_space.pipelines.dataset",
    "write_dataset": "gan_space.pipelines.dataset",
    "GenerationPipeline": "gan_space.pipelines.generation",
    "GenerationPipelineOutput": "gan_space.pipelines.generation",
    "Consent": "gan_space.packs.consent",
    "IdentityPack": "gan_space.packs.identity",
    "PersonalizationPipeline": "gan_space.pipelines.personalization",
    "PersonalizationPipelineOutput": "gan_space.pipelines.personalization",
    "StyleTransferPipeline": "gan_space.pipelines.style_transfer",
    "StyleTransferPipelineOutput": "gan_space.pipelines.style_output",
}

__all__ = [
    "Consent",
    "ConvertedModel",
    "DatasetReport",
    "Discriminator",
    "GenerationPipeline",
    "GenerationPipelineOutput",
    "Generator",
    "IdentityPack",
    "PersonalizationPipeline",
    "PersonalizationPipelineOutput",
    "StyleTransferPipeline",
    "StyleTransferPipelineOutput",
    "__version__",
    "convert_checkpoint",
    "write_dataset",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'gan_space' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
