"""The identity network: what it takes and gives, and the weights in the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import gan_space
from gan_space.errors import ConfigError, InputError
from gan_space.models.aligner import Residual
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256

EMBEDDED = Path(gan_space.__file__).parent / "assets" / "default" / "identity"


def tiny(seed: int = 0) -> FaceIdentity:
    torch.manual_seed(seed)
    return FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()


def faces(num: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(num, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("size", [16, 32, 77])
def test_faces_of_any_size_give_unit_vectors(size):
    vectors = tiny()(faces(size=size))
    assert vectors.shape == (3, 8) and vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert (vectors @ vectors.T).triu(1).max() < 0.9999, "different faces get the same vector"


@torch.no_grad()
def test_a_mirrored_face_is_the_same_person():
    model, x = tiny(), faces(size=48)
    torch.testing.assert_close(model(x), model(x.flip(3)), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_residual_block_adds_to_what_it_is_given():
    block, x = Residual(4).eval(), torch.randn(1, 4, 3, 3)
    assert (block(x) - x).min() >= 0  # a ReLU's
    block.block.norm.weight.zero_()
    assert torch.equal(block(x), x)


def test_every_parameter_learns():
    model = tiny().train()
    model(faces(4))[:, 0].sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@pytest.mark.parametrize("shape", [(1, 3, 32, 24), (1, 1, 32, 32), (3, 32, 32), (1, 3, 15, 15)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="faces must be"):
        tiny()(torch.zeros(shape))


def test_all_faults_of_a_size_are_named_at_once():
    with pytest.raises(ConfigError, match=r"(?s)width.*embedding_dim.*multiple of 16"):
        FaceIdentity(resolution=40, width=0, embedding_dim=0)


def test_it_comes_back_from_its_folder(tmp_path):
    model = tiny()
    model.save_pretrained(tmp_path)
    again = FaceIdentity.from_pretrained(tmp_path).eval()
    assert torch.equal(again(faces()), model(faces()))


@torch.no_grad()
def test_the_embedded_weights_are_those_that_were_measured():
    model = FaceIdentity.from_pretrained(EMBEDDED).eval()
    assert sum(p.numel() for p in model.parameters()) <= 1_500_000
    metrics = json.loads((EMBEDDED / "metrics.json").read_text())
    assert metrics["model_sha256"] == weights_sha256(model)
    assert metrics["identity"]["eer"] <= 0.07
