"""Networks that look at pictures: what they say of one depends neither on its neighbours nor on the memory format."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gan_space.models import landmarker
from tests.models import test_aligner, test_analyzer, test_encoder, test_face_identity, test_landmarker


def said(output) -> list[torch.Tensor]:
    """All tensors [N, …] of an output, however it is nested."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in (output.values() if isinstance(output, dict) else output) for tensor in said(part)]


def analyzed(images: torch.Tensor) -> tuple:
    output = test_analyzer.tiny()(images)
    return output.embedding, output.scores


@pytest.mark.parametrize(
    "network",
    [test_aligner.tiny(), analyzed, test_encoder.tiny(), test_face_identity.tiny(), test_landmarker.tiny()],
    ids=["aligner", "analyzer", "encoder", "face_identity", "landmarker"],
)
@torch.no_grad()
def test_the_memory_format_and_the_batch_make_no_difference(network: nn.Module | Callable, monkeypatch):
    # bfloat16 may round by the size of a batch.
    monkeypatch.setattr(landmarker, "choose_compute_dtype", lambda requested, device: torch.float32)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    whole, alone = said(network(images)), said(network(images[1:2]))
    last = said(network(images.contiguous(memory_format=torch.channels_last)))
    for one, other, single in zip(whole, last, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(one[1:2], single, atol=1e-5, rtol=1e-4)
