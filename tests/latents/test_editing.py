"""Editing a state: exact on the generator's own pictures, the plain formula everywhere else."""

from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents.editing import edit_state, rows_before
from gan_space.models.editor import Editor
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState

R = 8


def tiny() -> Generator:
    torch.manual_seed(0)
    size = dict(resolution=32, z_dim=8, w_dim=8, channel_base=128, channel_max=16, num_mapping_layers=2)
    return Generator(**size, use_noise=False).eval()


@pytest.fixture
def generator():
    generator = tiny()
    generator.compute_dtype = torch.float32
    return generator


def codes(generator: Generator, num: int, seed: int = 1) -> torch.Tensor:
    z = torch.randn(num * generator.num_ws, 8, generator=torch.Generator().manual_seed(seed))
    rows = generator.mapping(z)[:, 0]
    return rows.detach().view(num, generator.num_ws, 8)  # every row another code


def photo_state(num: int, dtype=torch.float32) -> SynthesisState:
    random = torch.Generator().manual_seed(2)
    return SynthesisState(
        torch.randn(num, 16, R, R, generator=random).to(dtype), torch.randn(num, 3, R, R, generator=random)
    )


@torch.no_grad()
def test_on_a_picture_of_the_generator_it_is_exact(generator):
    old, new = codes(generator, 2), codes(generator, 2, seed=5)
    synthesis = generator.synthesis
    edited = edit_state(synthesis, synthesis.features(old, R), old, new, R)
    drawn = synthesis.finish(edited, new, R)
    torch.testing.assert_close(drawn, synthesis(new, noise_mode="const"), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("num_old", "num_new"), [(3, 3), (1, 3), (3, 1), (1, 1)])
@torch.no_grad()
def test_it_is_the_plain_formula_and_changes_nothing_it_was_given(generator, num_old, num_new):
    old, new, state = codes(generator, num_old), codes(generator, num_new, seed=5), photo_state(3)
    before = [part.clone() for part in (old, new, *state)]
    edited = edit_state(generator.synthesis, state, old, new, R)
    for part, was, is_ in zip(
        edited, state, zip(*(generator.synthesis.features(code, R) for code in (old, new)), strict=True), strict=True
    ):
        torch.testing.assert_close(part, was + (is_[1] - is_[0]), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(one, other) for one, other in zip(before, (old, new, *state), strict=True))


@torch.no_grad()
def test_rows_of_later_layers_leave_the_state_alone(generator):
    rows = rows_before(generator.synthesis, R)
    old, state = codes(generator, 3), photo_state(3)
    new = old.clone()
    new[:, rows:] += 1
    assert edit_state(generator.synthesis, state, old, new, R) is state
    new[:, rows - 1] += 1  # the row that to_rgb of block R shares with the next block
    edited = edit_state(generator.synthesis, state, old, new, R)
    torch.testing.assert_close(edited.x, state.x, atol=1e-6, rtol=0)
    assert (edited.rgb - state.rgb).abs().max() > 1e-3


@pytest.mark.parametrize("resolution", [4, 8, 16])
@torch.no_grad()
def test_rows_before_counts_what_the_features_depend_on(generator, resolution):
    synthesis, w_plus = generator.synthesis, codes(generator, 1)
    wanted = synthesis.features(w_plus, resolution)
    depends = []
    for row in range(generator.num_ws):
        changed = w_plus.clone()
        changed[:, row] += 1
        drawn = synthesis.features(changed, resolution)
        depends.append(not (torch.equal(drawn.x, wanted.x) and torch.equal(drawn.rgb, wanted.rgb)))
    rows = rows_before(synthesis, resolution)
    assert depends == [True] * rows + [False] * (generator.num_ws - rows)


@torch.no_grad()
def test_the_format_of_the_state_is_kept(generator):
    state = photo_state(2, torch.bfloat16)
    edited = edit_state(generator.synthesis, state, codes(generator, 1), codes(generator, 1, seed=5), R)
    assert (edited.x.dtype, edited.rgb.dtype) == (torch.bfloat16, torch.float32)


def test_gradients_reach_the_new_code(generator):
    new = codes(generator, 1, seed=5).requires_grad_()
    edit_state(generator.synthesis, photo_state(1), codes(generator, 1), new, R).x.square().sum().backward()
    assert new.grad[:, 0].abs().max() > 0


def test_a_photos_features_and_wrong_codes_are_refused_together(generator):
    wide = SynthesisState(torch.zeros(2, 16, R, 2 * R), torch.zeros(2, 3, R, 2 * R))
    with pytest.raises(InputError, match=r"3 problems(.|\n)*aligned face(.|\n)*\bw_plus(.|\n)*new_w_plus"):
        edit_state(generator.synthesis, wide, codes(generator, 3), codes(generator, 1)[:, :-1], R)
    with pytest.raises(InputError, match="one of"):
        edit_state(generator.synthesis, photo_state(1), codes(generator, 1), codes(generator, 1), 7)


@torch.no_grad()
def test_an_editor_gets_the_states_before_and_after(generator):
    old, new, state = codes(generator, 1), codes(generator, 3, seed=5), photo_state(3)
    torch.manual_seed(3)
    editor = Editor(R, 16, width=4, num_blocks=1).eval()
    plain = edit_state(generator.synthesis, state, old, new, R)
    torch.testing.assert_close(edit_state(generator.synthesis, state, old, new, R, editor), plain, atol=1e-4, rtol=1e-4)
    editor.head.weight.normal_()
    editor.compute_dtype = torch.float32
    edited = edit_state(generator.synthesis, state, old, new, R, editor)
    drawn = [generator.synthesis.features(code, R) for code in (old.expand(3, -1, -1), new)]
    torch.testing.assert_close(edited, editor(state, *drawn), atol=1e-4, rtol=1e-4)
    assert (edited.x - plain.x).abs().max() > 0.1
    assert edit_state(generator.synthesis, state, new, new, R, editor) is state
