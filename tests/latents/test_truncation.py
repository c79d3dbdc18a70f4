"""Truncation towards centres: the formula, who claims a code, and strict files."""

from __future__ import annotations

import json

import pytest
import torch

from gan_space.errors import WeightsError
from gan_space.latents.directions import generator_hash
from gan_space.latents.truncation import TruncationCenters
from gan_space.models.generator import Generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=2).eval()


@pytest.fixture
def centers(generator) -> TruncationCenters:
    points = torch.tensor([[0.0, 0, 0, 0], [4.0, 0, 0, 0]])
    return TruncationCenters(points, torch.zeros(2), generator_hash(generator), {"seed": 1})


def test_a_code_moves_towards_the_centre_that_is_nearest(centers):
    w_plus = torch.tensor([[1.0, 1, 0, 0], [3.0, 0, 2, 0]])[:, None].repeat(1, 3, 1)
    moved = centers.truncate(w_plus, 0.5)
    torch.testing.assert_close(moved[:, 2], torch.tensor([[0.5, 0.5, 0, 0], [3.5, 0, 1, 0]]))
    torch.testing.assert_close(centers.truncate(w_plus, 1.0), w_plus)
    torch.testing.assert_close(centers.truncate(w_plus, 0.0)[:, 0], centers.centers)
    partly = centers.truncate(w_plus, 0.5, truncation_cutoff=1)
    torch.testing.assert_close(partly[:, :1], moved[:, :1])
    torch.testing.assert_close(partly[:, 1:], w_plus[:, 1:])


def test_an_offset_below_zero_claims_more(centers):
    w = torch.tensor([[1.5, 0, 0, 0]])
    assert centers.nearest(w).tolist() == [0]
    greedy = TruncationCenters(centers.centers, torch.tensor([0.0, -5.0]), centers.base_hash)
    assert greedy.nearest(w).tolist() == [1]


def test_one_centre_at_w_avg_is_plain_truncation(generator):
    with torch.no_grad():
        generator.mapping.w_avg.normal_()
        z = torch.randn(5, 4)
        one = TruncationCenters(generator.mapping.w_avg[None].clone(), torch.zeros(1), "")
        plain = generator.mapping(z, truncation_psi=0.6, truncation_cutoff=2)
        torch.testing.assert_close(one.truncate(generator.mapping(z), 0.6, 2), plain)


def test_files_come_back_as_they_were(centers, generator, tmp_path):
    centers.save_pretrained(tmp_path)
    again = TruncationCenters.from_pretrained(tmp_path)
    assert torch.equal(again.centers, centers.centers) and torch.equal(again.offsets, centers.offsets)
    assert again.record == {"seed": 1}


def test_centres_of_another_generator_are_refused(centers):
    torch.manual_seed(1)
    other = Generator(16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=2)
    with pytest.raises(WeightsError, match="made for a generator with weights"):
        centers.check_fits(other)


def _flip_byte(folder):
    data = bytearray((folder / "centers.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "centers.safetensors").write_bytes(data)


def _edit(**entries):
    def change(folder):
        info = json.loads((folder / "centers.json").read_text())
        (folder / "centers.json").write_text(json.dumps(info | entries))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip_byte, "not the one that"),
        (_edit(format_version=2), "format_version 2, expected 1"),
        (_edit(note="x"), "unknown entry"),
        (_edit(record=[]), "record must be dict"),
        (lambda folder: (folder / "centers.safetensors").unlink(), "cannot read"),
        (lambda folder: (folder / "centers.json").unlink(), "cannot read"),
        (lambda folder: (folder / "centers.json").write_text("<html>"), "web page"),
    ],
)
def test_damaged_files_are_refused(centers, tmp_path, damage, message):
    centers.save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(WeightsError, match=message):
        TruncationCenters.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("points", "offsets", "message"),
    [
        (torch.zeros(3), torch.zeros(3), "K, w_dim"),
        (torch.zeros(3, 4), torch.zeros(2), "offsets must have shape"),
        (torch.full((2, 4), torch.nan), torch.zeros(2), "not finite"),
        (torch.zeros(2, 4).double(), torch.zeros(2), "float32"),
    ],
)
def test_values_that_cannot_be_are_refused(points, offsets, message):
    with pytest.raises(WeightsError, match=message):
        TruncationCenters(points, offsets, "")
