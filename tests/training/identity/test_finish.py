"""The last layer of an identity network: the best linear fit, spread out, and folded into the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_space.errors import ConfigError
from gan_space.images import from_uint8
from gan_space.models.face_identity import FaceIdentity
from training.identity.data import TaughtFaces
from training.identity.finish import FinishIdentityConfig
from training.identity.last_layer import finish, ridge_regression, spread_matrix


@pytest.fixture(scope="module")
def faces() -> TaughtFaces:
    """Pictures with a teacher that sees the colours of their quarters."""
    images = np.random.default_rng(0).integers(0, 256, (96, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    small = images[:, ::16, ::16].reshape(len(images), -1).astype(np.float32) / 255
    return TaughtFaces(images, torch.from_numpy(small))


def network() -> FaceIdentity:
    torch.manual_seed(0)
    return FaceIdentity(resolution=32, width=4, embedding_dim=12).eval()


def embedded(model: FaceIdentity, faces: TaughtFaces) -> torch.Tensor:
    with torch.no_grad():
        return model(from_uint8(torch.from_numpy(faces.images).permute(0, 3, 1, 2)))


def test_without_spread_the_vectors_come_closer_to_the_teachers(faces):
    targets = F.normalize(faces.vectors - faces.vectors.mean(dim=0), dim=1)
    model = network()
    before = (embedded(model, faces) * targets).sum(dim=1).mean()
    finish(model, faces, ridge=0.01, spread=0)
    assert (embedded(model, faces) * targets).sum(dim=1).mean() > before + 0.2


def test_spread_evens_out_the_directions(faces):
    def unevenness(spread: float) -> float:
        model = network()
        finish(model, faces, spread=spread)
        variances = torch.linalg.svdvals(embedded(model, faces)) ** 2
        return (variances[0] / variances.sum()).item()

    assert unevenness(0.5) < unevenness(0) - 0.02
    assert unevenness(1) < unevenness(0.5) - 0.02


def test_only_the_last_layer_changes_and_mirrored_faces_stay_the_same(faces):
    model, before = network(), network()
    finish(model, faces)
    for (name, new), old in zip(model.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(new, old) != name.startswith("to_embedding"), name
    mirrored = TaughtFaces(np.ascontiguousarray(faces.images[:, :, ::-1]), faces.vectors)
    torch.testing.assert_close(embedded(model, faces), embedded(model, mirrored))


def test_ridge_regression_finds_a_linear_map_and_shrinks_it():
    random = torch.Generator().manual_seed(0)
    features = torch.randn(400, 6, generator=random, dtype=torch.float64) + 3
    weight, bias = torch.randn(2, 6, generator=random, dtype=torch.float64), torch.tensor([1.0, -2.0]).double()
    found = ridge_regression(features, features @ weight.T + bias, 0.0)
    torch.testing.assert_close(found[0], weight)
    torch.testing.assert_close(found[1], bias)
    assert ridge_regression(features, features @ weight.T + bias, 1.0)[0].norm() < 0.7 * weight.norm()


def test_spread_to_the_end_gives_every_direction_the_same_variance():
    vectors = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors = vectors * torch.tensor([4.0, 2.0, 1.0])
    whole = vectors @ spread_matrix(vectors, 1.0)
    torch.testing.assert_close(whole.T @ whole / 500, torch.eye(3).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(spread_matrix(vectors, 0.0), torch.eye(3).double())


def test_bad_settings_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"(?s)dataset_names.*--ridge.*--spread"):
        FinishIdentityConfig(model=tmp_path, dataset_names=(), ridge=-1, spread=2).check()
