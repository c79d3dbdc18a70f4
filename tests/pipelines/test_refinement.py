"""Refining the faces of a photo before they are styled: nearer to the photo, stoppable, and told in the recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.errors import InputError, NoFaceError
from gan_space.images import to_pil
from gan_space.packs.attaching import attached
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.colors import missing_colors
from tests.pipelines.styling import PHOTO, R, distance, pixels


@pytest.fixture(scope="module")
def refined(networks, aligner):
    return StyleTransferPipeline(*networks, aligner).refine(PHOTO, 40)


def test_more_of_the_face_is_redrawn_and_the_map_says_what_is_not(refined):
    assert len(refined) == 1 and refined.num_steps == 40
    assert refined.error < 0.5 * refined.error_before
    apart = (refined.drawn.clamp(-1, 1) - refined.crops).abs().mean(dim=1, keepdim=True)
    torch.testing.assert_close(refined.lost, apart, atol=1e-4, rtol=1e-3)
    assert refined.error == pytest.approx(apart.mean().item() / 2, abs=1e-4)
    assert refined.code.w_plus.device.type == "cpu" and not refined.code.w_plus.requires_grad


def test_the_picture_shows_face_redrawn_face_and_loss(refined):
    picture = refined.picture(min_px=2 * R)
    assert picture.size == (6 * R, 2 * R)
    panels = np.split(pixels(picture), 3, axis=1)
    assert np.array_equal(panels[0][::2, ::2], pixels(to_pil(refined.crops)[0]))
    lost = refined.lost[0, 0].numpy()
    bright = panels[2][::2, ::2].sum(axis=2)
    order = np.argsort(lost, axis=None)
    assert (np.diff(bright.flatten()[order]) >= -3).all()  # the more was lost the brighter, but for rounding


def test_styling_uses_what_was_refined(style_pipe, pack, refined):
    style_pipe.load_style_pack(pack)
    options = dict(pack="ink", strength=0.0, transfer="picture", paste_back=False)
    plain = style_pipe(PHOTO, **options)
    nearer = style_pipe(PHOTO, **options, refined=refined)
    # Only broad colours are put right afterwards, of which a refined face needs little.
    drawn = refined.drawn + missing_colors(refined.drawn, refined.crops, R)
    assert distance(nearer.reconstruction[0], to_pil(drawn)[0]) < 0.5
    assert distance(nearer.reconstruction[0], plain.reconstruction[0]) > 0.5
    assert plain.refinement == [None] and nearer.refinement == [refined]
    assert "refine_steps" not in plain.recipe[0] and nearer.recipe[0]["refine_steps"] == 40
    at_once = style_pipe(PHOTO, **options, refine_steps=40)
    assert distance(at_once.images[0], nearer.images[0]) < 1 and at_once.seconds["refine"] > 0
    looked = style_pipe(PHOTO, pack="ink", strength=1.0, refined=refined, scope="photo")
    assert looked.images[0].size == PHOTO.size


def test_steps_are_told_and_can_be_stopped(style_pipe):
    steps = []

    def tell(step, total, loss):
        steps.append((step, total))
        return step < 3

    out = style_pipe(PHOTO, post_processing="film:0.2", refine_steps=9, refine_callback=tell)
    assert steps == [(1, 9), (2, 9), (3, 9)] and out.recipe[0]["refine_steps"] == 3


def test_no_steps_only_measure(style_pipe):
    measured = style_pipe.refine(PHOTO, 0)
    assert measured.num_steps == 0 and measured.error == pytest.approx(measured.error_before, rel=1e-4)


def test_packs_of_others_do_not_matter_and_nothing_is_changed(style_pipe, pack):
    before = {name: value.clone() for name, value in style_pipe.generator.state_dict().items()}
    alone = style_pipe.refine(PHOTO, 5)
    with attached(style_pipe.generator, [(pack.delta, 1.0)]):
        together = style_pipe.refine(PHOTO, 5)
    assert torch.equal(alone.drawn, together.drawn)
    assert all(torch.equal(before[name], value) for name, value in style_pipe.generator.state_dict().items())
    assert not any(parameter.requires_grad for parameter in style_pipe.generator.parameters())


def test_faults_are_explained(style_pipe, refined):
    with pytest.raises(InputError, match="refine_steps must be a whole number from 0 to 1000, got -1"):
        style_pipe(PHOTO, post_processing="film", refine_steps=-1)
    with pytest.raises(InputError, match=r"2 problems(.|\n)*got 1.5(.|\n)*faces must be"):
        style_pipe.refine(PHOTO, 1.5, faces="every")
    with pytest.raises(InputError, match="belongs to one photo"):
        style_pipe([PHOTO, PHOTO], post_processing="film", refined=refined)
    with pytest.raises(InputError, match=r"1 face\(s\).*2 face\(s\)"):
        boxes = [(20, 20, 150), (60, 60, 150)]
        style_pipe(PHOTO, post_processing="film", refined=refined, boxes=boxes, faces="all")
    with pytest.raises(NoFaceError):
        style_pipe.refine(torch.zeros(3, 96, 96, dtype=torch.uint8))
