"""Comparing faces: the scale from a stored measurement, its words, and whom a picture is compared with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import InputError
from gan_space.images import to_pil
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256
from gan_space.packs.consent import Consent
from gan_space.packs.identity import IdentityPack
from gan_space.packs.low_rank import LowRankDelta
from gan_space.pipelines.likeness import FaceJudge, LikenessScale
from training.identity.pairs import identity_metrics


@pytest.fixture(scope="module")
def identity() -> FaceIdentity:
    torch.manual_seed(0)
    return FaceIdentity(resolution=32, width=4, embedding_dim=8).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def metrics() -> dict:
    """A measurement of vectors in which one person's pictures lie near each other."""
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(30), 4)
    vectors = random.normal(size=(30, 6))[person] + 0.7 * random.normal(size=(120, 6))
    return {"identity": identity_metrics(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), person)}


@pytest.fixture
def folder(identity, metrics, tmp_path) -> Path:
    """A model folder with an identity network and what was measured about it."""
    identity.save_pretrained(tmp_path / "identity")
    text = json.dumps(metrics | {"model_sha256": weights_sha256(identity)})
    (tmp_path / "identity" / "metrics.json").write_text(text)
    return tmp_path


def test_the_scale_reads_what_was_measured(metrics):
    scale = LikenessScale.from_metrics(metrics)
    numbers = metrics["identity"]
    assert (scale.threshold, scale.error_rate) == (numbers["eer_threshold"], numbers["eer"])
    # At the equal-error threshold, both kinds of error are the equal-error rate.
    assert scale.strangers_as_alike(scale.threshold) == pytest.approx(scale.error_rate, abs=0.05)
    assert scale.same_less_alike(scale.threshold) == pytest.approx(scale.error_rate, abs=0.05)
    assert scale.strangers_as_alike(-1) == 1 and scale.strangers_as_alike(1) == 0
    assert scale.same_less_alike(-1) == 0 and scale.same_less_alike(1) == 1


def test_verdicts_follow_the_threshold_and_the_strangers(metrics):
    scale = LikenessScale.from_metrics(metrics)
    order = [scale.verdict(cosine) for cosine in np.linspace(-1, 1, 201)]
    assert list(dict.fromkeys(order)) == ["strangers", "undecided", "rather_alike", "alike"]
    assert scale.verdict(scale.threshold) == "rather_alike"
    assert scale.verdict(scale.mean_different) == "strangers"


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("identity"),
        lambda found: found["identity"].pop("quantiles"),
        lambda found: found["identity"]["quantiles"].update(same=["x"] * 11),
        lambda found: found["identity"]["quantiles"].update(same=[0.0]),
        lambda found: found["identity"]["quantiles"]["same"].reverse(),
    ],
)
def test_a_record_that_says_less_gives_no_scale(metrics, change):
    found = json.loads(json.dumps(metrics))
    change(found)
    assert LikenessScale.from_metrics(found) is None
    assert LikenessScale.from_metrics([1]) is None


def test_a_folder_gives_a_judge_with_the_scale_of_its_own_weights_only(folder, identity):
    assert FaceJudge.from_folder(folder).scale is not None
    assert FaceJudge.from_folder(folder, identity).identity is identity
    path = folder / "identity" / "metrics.json"
    path.write_text(path.read_text().replace(weights_sha256(identity), "0" * 64))
    assert FaceJudge.from_folder(folder).scale is None
    path.unlink()
    assert FaceJudge.from_folder(folder).scale is None
    assert FaceJudge.from_folder(folder / "nothing") is None


def test_the_embedded_model_says_what_its_judge_is_worth():
    judge = FaceJudge.from_folder(Path(gan_space.__file__).parent / "assets" / "default")
    assert judge.scale is not None and 0 < judge.scale.error_rate <= 0.07
    likeness = judge.judged(judge.scale.mean_same)
    assert likeness.verdict in ("alike", "rather_alike") and likeness.error_rate == judge.scale.error_rate


def test_likeness_is_the_mean_cosine(identity, metrics):
    judge = FaceJudge(identity, LikenessScale.from_metrics(metrics))
    faces = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    embedded = judge.embed(faces)
    found = judge.likeness(faces[:2], embedded[1:])
    assert [one.cosine for one in found] == pytest.approx(
        (embedded[:2] @ embedded[1:].T).mean(dim=1).tolist(), abs=1e-5
    )
    assert judge.likeness(faces[:1], embedded[:1])[0].cosine == pytest.approx(1, abs=1e-5)
    pictures = to_pil(faces)
    assert torch.nn.functional.cosine_similarity(judge.embed(pictures), embedded).min() > 0.99
    assert dataclasses.asdict(FaceJudge(identity).judged(0.5))["verdict"] == ""
    with pytest.raises(InputError, match="K of 1 or more"):
        judge.of_embeddings(embedded, embedded[:0])


def test_a_person_is_what_the_model_draws_of_the_photos(identity, networks):
    generator, _ = networks
    names = [key for key, _ in generator.named_parameters() if key.startswith("synthesis.b16.") and "weight" in key]
    delta = LowRankDelta.create(generator, names, rank=1)
    for _, up in delta.factors.values():
        up.normal_(std=0.3)
    anchors = torch.randn(2, generator.num_ws, generator.config.w_dim, generator=torch.Generator().manual_seed(2))
    pack = IdentityPack(anchors, delta, "tiny", "0" * 64, Consent("a drawing", "its maker"), 2)
    judge = FaceJudge(identity)
    person = judge.embed_pack(pack, generator)
    plain = judge.embed(generator.synthesis(anchors, noise_mode="const"))
    assert person.shape == (2, 8) and not torch.allclose(person, plain)
    # The profile hangs on the generator only while its pictures are drawn.
    assert torch.equal(plain, judge.embed(generator.synthesis(anchors, noise_mode="const")))
