from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents.layers import group_layers, layer_resolution, parse_layers
from gan_space.models.generator import Generator


@pytest.mark.parametrize("resolution", [16, 64, 256, 1024])
def test_rows_work_where_the_network_uses_them(resolution):
    generator = Generator(
        resolution=resolution, z_dim=4, w_dim=4, channel_base=1024, channel_max=2, num_mapping_layers=1
    )
    blocks = generator.synthesis.block_resolutions
    expected = [size for size in blocks for _ in range(generator.synthesis.block(size).num_conv)] + [blocks[-1]]
    assert generator.num_ws == len(expected)
    assert [layer_resolution(row, generator.num_ws) for row in range(generator.num_ws)] == expected


def test_a_row_changes_nothing_below_its_resolution():
    torch.manual_seed(0)
    generator = Generator(resolution=32, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=1).eval()
    generator.compute_dtype = torch.float32
    coarse = {}
    for size in (4, 8, 16, 32):
        generator.synthesis.block(size).register_forward_hook(
            lambda module, inputs, output, size=size: coarse.__setitem__(size, output[0].clone())
        )
    w_plus = torch.randn(1, 8, 4)
    for row in range(7):  # the last row feeds colours alone
        with torch.no_grad():
            generator.synthesis(w_plus, noise_mode="none")
            before = dict(coarse)
            changed = w_plus.clone()
            changed[:, row] += 1
            generator.synthesis(changed, noise_mode="none")
        first_changed = min(size for size in coarse if not torch.equal(coarse[size], before[size]))
        assert first_changed == layer_resolution(row, 8)


@pytest.mark.parametrize("num_ws", [6, 8, 10, 14, 18])
def test_groups_cover_every_row_once(num_ws):
    rows = [row for name in ("coarse", "middle", "fine") for row in group_layers(name, num_ws)]
    assert rows == list(range(num_ws))
    assert group_layers("coarse", num_ws) == (0, 1, 2)
    assert all(layer_resolution(row, num_ws) <= 8 for row in group_layers("coarse", num_ws))
    assert all(layer_resolution(row, num_ws) in (16, 32) for row in group_layers("middle", num_ws))


@pytest.mark.parametrize(
    ("written", "rows"),
    [
        ("all", range(10)),
        ("coarse", (0, 1, 2)),
        ("middle+fine", range(3, 10)),
        ("3-7", range(3, 8)),
        (" Coarse + 9 ", (0, 1, 2, 9)),
        ("5+5-6", (5, 6)),
        ([4, 2, 4], (2, 4)),
    ],
)
def test_what_a_user_writes(written, rows):
    assert parse_layers(written, 10) == tuple(rows)


@pytest.mark.parametrize(
    "written", ["", "nose", "7-3", "10", "1-10", "coarse,fine", "-1", "1-2-3", [], [10], [-1], [1.5]]
)
def test_what_does_not_exist_is_refused(written):
    with pytest.raises(InputError, match="layers"):
        parse_layers(written, 10)


def test_a_group_that_a_small_network_lacks_is_refused():
    assert group_layers("fine", 6) == ()
    with pytest.raises(InputError, match="6 layers"):
        parse_layers("fine", 6)
