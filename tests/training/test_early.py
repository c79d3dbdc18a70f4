"""Supervision of the early layers: what is judged, and that real and drawn pictures are treated alike."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gan_space.errors import ConfigError
from gan_space.models.generator import Generator
from gan_space.nn.fir import downsample2d, make_filter
from gan_space.nn.layers import MinibatchStd
from training.config import PRESETS
from training.early import EarlyLook, enlarge
from training.steps import discriminator_step, generator_step, make_players

CPU = torch.device("cpu")
CONFIG = dataclasses.replace(
    PRESETS["tiny"], resolution=32, channel_base=64, channel_max=16, use_noise=False, early_share=0.5, batch_size=8
)


def make_look(num: int, rows: list[int], octaves: int) -> EarlyLook:
    chosen = torch.zeros(num, dtype=torch.bool)
    chosen[rows] = True
    return EarlyLook(chosen, octaves)


def test_whole_groups_of_the_discriminator_are_chosen():
    look = EarlyLook.choose(16, 0.25, 4, 64, CPU)
    assert look.chosen.sum() == 4
    # Pictures that differ only between groups have no deviation within one: the discriminator must not see any.
    images = look.chosen.float()[:, None, None, None].expand(-1, 2, 4, 4)
    deviations = MinibatchStd(4)(images)[:, -1]
    assert deviations.max() < 1e-3


def test_every_block_from_the_smallest_on_has_its_turn():
    torch.manual_seed(0)
    assert {EarlyLook.choose(8, 0.5, 4, 128, CPU).octaves for _ in range(40)} == {1, 2, 3}


@pytest.mark.parametrize(("share", "resolution"), [(0.0, 64), (0.05, 64), (0.5, 16)])
def test_nothing_is_chosen_where_there_is_nothing_to_judge(share, resolution):
    before = torch.get_rng_state()
    assert EarlyLook.choose(16, share, 4, resolution, CPU) is None
    assert torch.equal(before, torch.get_rng_state())  # runs without it stay what they were


def test_the_last_block_is_judged_in_every_step():
    look = EarlyLook.choose(16, 0.99, 4, 64, CPU)
    assert 0 < (~look.chosen).sum() <= 4


@torch.no_grad()
def test_each_picture_stays_in_its_place():
    generator = Generator(resolution=32, z_dim=8, w_dim=8, channel_base=64, num_mapping_layers=2, use_noise=False)
    w_plus = generator.mapping(torch.randn(6, 8))
    look = make_look(6, [1, 4], octaves=1)
    drawn = look.fake(generator, generator.synthesis, w_plus)
    whole = generator.synthesis(w_plus)
    early = enlarge(generator.synthesis.features(w_plus, 16).rgb, 1)
    torch.testing.assert_close(drawn[[0, 2, 3, 5]], whole[[0, 2, 3, 5]])
    torch.testing.assert_close(drawn[[1, 4]], early[[1, 4]])

    real = torch.rand(6, 3, 32, 32)
    shown = look.real(real)
    assert torch.equal(shown[[0, 2, 3, 5]], real[[0, 2, 3, 5]])
    torch.testing.assert_close(shown[[1, 4]], enlarge(downsample2d(real[[1, 4]], make_filter()), 1))


def test_enlarging_keeps_the_colours():
    inside = enlarge(torch.full([1, 3, 8, 8], 0.3), 2)[:, :, 8:-8, 8:-8]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.3))


def test_a_step_judged_early_teaches_early_blocks_too():
    torch.manual_seed(0)
    players = make_players(CONFIG, 0, CPU)
    real, c = torch.rand(8, 3, 32, 32) * 2 - 1, torch.zeros(8, 0)
    before = {name: value.clone() for name, value in players.generator.named_parameters()}
    assert discriminator_step(players, CONFIG, real, c, c, nimg=0)["bad"] == 0
    assert generator_step(players, CONFIG, real, c, c, nimg=0)["bad"] == 0
    moved = {name for name, value in players.generator.named_parameters() if not torch.equal(value, before[name])}
    assert {"synthesis.b16.torgb.weight", "synthesis.b32.torgb.weight"} <= moved


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="--early_share must be from 0 to 1"):
        dataclasses.replace(CONFIG, early_share=share)
