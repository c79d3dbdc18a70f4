"""The editor: what it is before training, no change and half a change, and fitting its encoder."""

from __future__ import annotations

import pytest
import torch

from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState

R, C = 8, 5


def trained_looking(seed: int = 0) -> Editor:
    """Tiny, with a last layer that is not zero."""
    torch.manual_seed(seed)
    editor = Editor(R, C, width=4, num_blocks=1).eval().requires_grad_(False)
    editor.head.weight.normal_(std=0.2)
    editor.feature_mean.normal_()
    editor.feature_std.uniform_(0.5, 2)
    editor.compute_dtype = torch.float32
    return editor


def states(num: int = 2, seed: int = 1) -> list[SynthesisState]:
    random = torch.Generator().manual_seed(seed)
    return [
        SynthesisState(torch.randn(num, C, R, R, generator=random), torch.randn(num, 3, R, R, generator=random))
        for _ in range(3)
    ]


def test_before_training_it_is_the_plain_sum():
    state, before, after = states()
    editor = Editor(R, C, width=4, num_blocks=1)
    moved = editor(state, before, after)
    for part, was, old, new in zip(moved, state, before, after, strict=True):
        torch.testing.assert_close(part, was + new - old, atol=1e-5, rtol=1e-5)


def test_no_change_leaves_the_state_to_the_bit():
    state, before, _ = states()
    moved = trained_looking()(state, before, before)
    assert torch.equal(moved.x, state.x) and torch.equal(moved.rgb, state.rgb)


def test_a_small_change_does_little_and_half_of_it_half():
    state, before, after = states()
    editor = trained_looking()

    def effect(amount: float) -> torch.Tensor:
        part = SynthesisState(*(old.lerp(new, amount) for old, new in zip(before, after, strict=True)))
        return editor(state, before, part).x - state.x

    # What the network looks at is the change in its own unit, so the answer is linear in its size ...
    torch.testing.assert_close(effect(0.5), 0.5 * effect(1.0), atol=1e-4, rtol=1e-4)
    assert effect(0.01).abs().max() < 0.02 * effect(1.0).abs().max()  # ... and goes to nothing


def test_faces_of_a_batch_do_not_see_each_other():
    editor, given = trained_looking(), states(3)
    whole = editor(*given)
    one = editor(*(SynthesisState(part.x[1:2], part.rgb[1:2]) for part in given))
    torch.testing.assert_close(one.x, whole.x[1:2], atol=1e-5, rtol=1e-5)


def test_it_keeps_the_formats_of_the_state():
    state, before, after = states()
    state = SynthesisState(state.x.bfloat16(), state.rgb)
    moved = trained_looking()(state, before, after)
    assert moved.x.dtype == torch.bfloat16 and moved.rgb.dtype == torch.float32


def test_saved_and_loaded_it_answers_the_same(tmp_path):
    editor, given = trained_looking(), states()
    editor.save_pretrained(tmp_path)
    loaded = Editor.from_pretrained(tmp_path).eval()
    loaded.compute_dtype = torch.float32
    assert torch.equal(loaded(*given).x, editor(*given).x)
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text().replace('"width": 4', '"width": 8'))
    with pytest.raises(WeightsError, match=r"do not fit|mismatch"):
        Editor.from_pretrained(tmp_path)


def test_for_encoder_takes_size_and_scale():
    torch.manual_seed(0)
    generator = Generator(32, z_dim=8, w_dim=8, channel_base=128, channel_max=16, num_mapping_layers=1)
    encoder = Encoder.for_generator(generator, 16, width=4, num_blocks=1, hidden=8)
    editor = Editor.for_encoder(encoder, width=4, num_blocks=1)
    assert editor.config.resolution == 16 and editor.config.feature_channels == encoder.config.feature_channels
    assert torch.equal(editor.feature_std, encoder.feature_std)


def test_bad_sizes_are_named_together():
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*width must be a finite number of 1.*multiple of 4, got 6"):
        Editor(6, 4, width=0)
    state, before, after = states()
    with pytest.raises(InputError, match=r"takes features \[5, 8, 8\].*got \(\[4, 8, 8\]"):
        trained_looking()(SynthesisState(state.x[:, :4], state.rgb), before, after)
