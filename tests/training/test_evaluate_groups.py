"""Shares of groups among samples and among photographs: the numbers against slow ones, and the script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gan_space import Generator
from gan_space.errors import InputError
from gan_space.images import from_uint8
from gan_space.latents.truncation import TruncationCenters
from gan_space.models.analyzer import Analyzer
from training import fit_centers
from training.common.face_labels import AGE_GROUPS
from training.evaluate_groups import main
from training.groups import compare_shares, format_groups, group_probabilities

ROOT = Path(__file__).resolve().parents[2]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")


def random_analyzer(**config) -> Analyzer:
    torch.manual_seed(0)
    return Analyzer(width=4, features_dim=8, embedding_dim=4, **config).eval()


def test_probabilities_are_the_analyzers_own():
    analyzer = random_analyzer()
    images = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    found = group_probabilities(analyzer, images)
    assert {kind: list(groups) for kind, groups in found.items()} == {
        "sex": ["women", "men"],
        "age": list(AGE_GROUPS),
        "race label": list(analyzer.config.race_groups),
    }
    for groups in found.values():
        assert torch.allclose(sum(groups.values()), torch.ones(5, dtype=torch.float64), atol=1e-6)
        assert all((one >= 0).all() for one in groups.values())
    output = analyzer(from_uint8(images))
    torch.testing.assert_close(found["sex"]["men"].float(), output.attributes["male"].detach())
    years = sum(year * one for year, one in zip(analyzer.config.age_years, found["age"].values(), strict=True))
    torch.testing.assert_close(years.float(), output.attributes["age"].detach())


def test_shares_are_means_and_the_margin_covers_chance():
    torch.manual_seed(2)
    inside = 0
    for _ in range(300):
        fake, real = (torch.rand(400) < 0.3).double(), (torch.rand(600) < 0.2).double()
        one = compare_shares({"sex": {"men": fake}}, {"sex": {"men": real}})["sex"]["men"]
        inside += abs(one["ratio"] - 1.5) < one["margin"]
    assert one["samples"] == pytest.approx(float(fake.mean())) and one["reals"] == pytest.approx(float(real.mean()))
    assert one["ratio"] == pytest.approx(float(fake.mean() / real.mean()))
    assert 0.92 < inside / 300 < 0.98


def test_what_is_far_off_is_marked():
    part = {"samples": 0.3, "reals": 0.1, "margin": 0.2}
    table = format_groups({"age": {"20-29": part | {"ratio": 3.0}, "30-39": part | {"ratio": 1.4}}})
    assert "| age | 20-29 | 30.0% | 10.0% | **3.00 ± 0.20** |" in table
    assert "| age | 30-39 | 30.0% | 10.0% | 1.40 ± 0.20 |" in table


def test_the_script_writes_what_it_prints(tmp_path, capsys):
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8, "num_mapping_layers": 2}
    Generator(resolution=32, **sizes).save_pretrained(tmp_path / "generator")
    random_analyzer().save_pretrained(tmp_path / "analyzer")
    command = ["--model", str(tmp_path), "--dataset_name", FACES, "--num_images", "12"]
    main([*command, "--output", str(tmp_path / "groups.json")])
    report = json.loads((tmp_path / "groups.json").read_text())
    assert format_groups(report["groups"]) in capsys.readouterr().out
    assert report["num_fake"] == report["num_real"] == 12
    for groups in report["groups"].values():
        assert sum(one["samples"] for one in groups.values()) == pytest.approx(1)


def test_centres_that_are_fitted_are_used(tmp_path, capsys):
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 8, "num_mapping_layers": 2}
    generator = Generator(resolution=32, **sizes)
    generator.save_pretrained(tmp_path / "generator")
    random_analyzer().save_pretrained(tmp_path / "analyzer")
    command = ["--model", str(tmp_path), "--dataset_name", FACES]
    assert main([*command, "--num_images", "12", "--truncation", "centers"]) == 2  # there are none yet
    fit = ["--num_centers", "4", "--num_faces", "40", "--num_checked", "10", "--rounds", "2"]
    assert not fit_centers.main([*command, *fit])
    assert "round 1: women" in capsys.readouterr().out
    centers = TruncationCenters.from_pretrained(tmp_path / "truncation")
    centers.check_fits(generator)
    assert 1 <= len(centers.centers) <= 4 and centers.record["num_faces"] == 40
    out = tmp_path / "groups.json"
    assert not main(
        [*command, "--num_images", "12", "--truncation", "centers", "--truncation_psi", "0.2", "--output", str(out)]
    )
    assert json.loads(out.read_text())["truncation"] == "centers"


def test_offsets_give_a_rare_group_its_share():
    torch.manual_seed(0)
    w = torch.randn(2000, 4)
    rare = (w[:, :1] > 1.3).float().clamp(0.02, 0.98)  # a tenth
    readout = fit_centers.Readout(w, {"kind": torch.cat([rare, 1 - rare], dim=1)})
    centers = torch.tensor([[1.7, 0, 0, 0], [-0.2, 0, 0, 0]])
    wanted, psi = readout(w).mean(dim=0), 0.5

    def share(offsets):
        near = (torch.cdist(w, centers).square() + offsets).argmin(dim=1)
        return float(readout(centers[near].lerp(w, psi)).mean(dim=0)[0] / wanted[0])

    before = torch.tensor([2.0, -2.0])
    after = fit_centers.find_offsets(centers, before, w, readout, wanted, psi)
    assert share(before) < 0.8 and 1 - share(after) < 0.6 * (1 - share(before))


def test_weighted_clusters_are_those_of_repeated_points():
    torch.manual_seed(0)
    points = torch.cat([torch.randn(30, 2) * 0.1 + at for at in torch.tensor([[0.0, 0], [5, 0], [0, 5]])])
    weights = torch.arange(1, 91).float()
    cluster = fit_centers.weighted_kmeans(points, weights, 3, seed=1)
    for part in cluster.split(30):
        assert len(part.unique()) == 1
    assert len(cluster.unique()) == 3


def test_what_cannot_be_compared_is_refused(tmp_path, capsys):
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(InputError, match="lacks \\['age'\\]"):
        group_probabilities(random_analyzer(attributes=["male", "smile"]), images)
    with pytest.raises(InputError, match="built without"):
        group_probabilities(random_analyzer(fairness_attributes=["skin_tone"]), images)
    code = main(["--model", str(tmp_path), "--dataset_name", FACES, "--num_images", "5"])
    assert code == 2 and "from 10 to" in capsys.readouterr().err
    Generator(resolution=32, c_dim=2, z_dim=8, w_dim=8, channel_base=64).save_pretrained(tmp_path / "generator")
    random_analyzer().save_pretrained(tmp_path / "analyzer")
    assert main(["--model", str(tmp_path), "--dataset_name", FACES]) == 2
    assert "unconditional" in capsys.readouterr().err
