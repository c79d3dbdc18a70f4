"""The order of pictures and the random numbers of a step."""

from __future__ import annotations

import torch

from training.common.order import generator_of_step, rows_of_step


def test_steps_take_up_where_the_last_one_ended():
    whole = rows_of_step(5, 3, 0, 12)
    parts = [rows_of_step(5, 3, start, 4) for start in (0, 4, 8)]
    assert torch.equal(whole, torch.cat(parts))
    assert whole[:5].sort().values.tolist() == whole[5:10].sort().values.tolist() == list(range(5))
    assert not torch.equal(whole, rows_of_step(5, 4, 0, 12))


def test_random_numbers_depend_on_seed_and_position():
    draws = {tuple(torch.rand(2, generator=generator_of_step(*at)).tolist()) for at in ((0, 0), (0, 8), (1, 0), (1, 8))}
    assert len(draws) == 4
    again = torch.rand(2, generator=generator_of_step(1, 8))
    assert tuple(again.tolist()) in draws
