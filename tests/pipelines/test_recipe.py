from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.pipelines.recipe import (
    InterpolationRecipe,
    PortraitRecipe,
    decode_w_plus,
    encode_w_plus,
    parse_recipe,
)


def test_codes_survive_exactly():
    code = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(decode_w_plus(encode_w_plus(code)), code)


def test_the_kind_is_told_by_the_entries():
    assert parse_recipe({"seed": 1}) == PortraitRecipe(seed=1)
    assert parse_recipe({"seeds": [1, 2], "loop": False}) == InterpolationRecipe(seeds=[1, 2], loop=False)
    assert parse_recipe(PortraitRecipe(seed=1).to_dict()) == PortraitRecipe(seed=1)


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], "seed", 7, {}, {"seed": "1"}, {"seed": -1}, {"seed": 2**40}, {"seed": 1.0}, {"seed": True}),
        {"seed": 1, "__class__": "os.system"},
        {"seed": 1, 3: 4},
        {"seed": 1, "truncation_psi": "0.7"},
        {"seed": 1, "truncation_psi": float("inf")},
        {"seed": 1, "truncation_psi": 1e9},
        {"seed": 1, "upscale_factor": 1000},
        {"seed": 1, "upscale_factor": [4]},
        {"seed": 1, "noise_mode": ["const"]},
        {"seed": 1, "label": -1},
        {"seed": 1, "model": "m" * 1000},
        {"seed": 1, "model": {"a": 1}},
        {"seed": 1, "style_mixing_seed": 2},
        {"seed": 1, "style_mixing_layers": "fine"},
        *(
            {"seed": 1, "attributes": it}
            for it in ("smile", ["smile"], {"smile": "1"}, {"smile": None}, {1: 1}, {"a" * 99: 1})
        ),
        {"seed": 1, "attributes": {str(number): 1 for number in range(99)}},
        {"seeds": [1, 2], "attributes": {"smile": float("nan")}},
        {"seed": 1, "to_seed": 2},
        {"seed": 1, "to_seed": 2, "position": 1.5},
        {"seeds": [1]},
        {"seeds": "12"},
        {"seeds": [1, 2] * 1000},
        {"seeds": [1, None]},
        {"seeds": [1, 2], "frames_between": 10**9},
        {"seeds": [1, 2], "loop": "yes"},
        {"seeds": [1, 2], "seed": 3},
        {"w_plus": "AAAA"},
        {"w_plus": {"shape": [1, 1], "float32": "!!!!"}},
        {"w_plus": {"shape": [2, 1], "float32": "AAAAAA=="}},
        {"w_plus": {"shape": [4096, 4096], "float32": ""}},
        {"w_plus": {"shape": [1, 1], "float32": "AADAfw=="}},  # not a number
    ],
)
def test_hostile_recipes_are_input_errors(content):
    with pytest.raises(InputError):
        parse_recipe(content)


def test_all_faults_are_told_at_once():
    with pytest.raises(InputError) as caught:
        parse_recipe({"seed": -1, "truncation_psi": 7, "noise_mode": "loud", "upscale_factor": 3})
    assert all(word in str(caught.value) for word in ("seed", "truncation_psi", "noise_mode", "upscale_factor"))
