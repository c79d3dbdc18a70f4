"""The guided upscaler: sizes, what it is before training, whole pictures in strips, and who is trusted for what."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gan_space.errors import ConfigError, InputError
from gan_space.models import guided_upscaler as module
from gan_space.models.guided_upscaler import GuidedUpscaler


def tiny(num_blocks: int = 1, num_deep_blocks: int = 1) -> GuidedUpscaler:
    """Untrained, in float32."""
    torch.manual_seed(0)
    model = GuidedUpscaler(4, num_blocks, 6, num_deep_blocks).eval().requires_grad_(False)
    model.compute_dtype = torch.float32
    return model


def loud(**sizes: int) -> GuidedUpscaler:
    """The same with a last layer that shows."""
    model = tiny(**sizes)
    model.head.weight.normal_(std=0.2)
    return model


def pictures(height: int, width: int, num: int = 2, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    sizes = ((height, width), (2 * height, 2 * width))
    return tuple(torch.rand(num, 3, *size, generator=random) * 2 - 1 for size in sizes)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (15, 64), (31, 17), (40, 24)])
def test_any_size_is_doubled(height, width):
    out = loud()(*pictures(height, width))
    assert out.shape == (2, 3, 2 * height, 2 * width) and out.dtype == torch.float32
    assert out.isfinite().all()


def test_before_training_it_is_about_the_bilinear_enlargement():
    model, (drawn, photo) = tiny(), pictures(24, 32)
    model.head.weight.zero_()
    wanted = F.interpolate(drawn, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(drawn, photo), wanted, atol=0.05, rtol=0)


def test_what_is_mixed_keeps_the_colours_of_the_drawing():
    """Where nothing is added, a new pixel lies between those around it, whatever the photo says."""
    model, (_, photo) = loud(), pictures(16, 16)
    model.head.weight[-12:] = 0
    flat = torch.tensor([0.3, -0.7, 0.1]).view(1, 3, 1, 1).expand(2, 3, 16, 16)
    torch.testing.assert_close(model(flat, photo), flat[..., :1, :1].expand(2, 3, 32, 32))


def test_the_photo_is_looked_at():
    model, (drawn, photo) = loud(), pictures(16, 16)
    assert (model(drawn, photo) - model(drawn, photo.flip(3))).abs().max() > 0.01


def test_what_was_drawn_from_is_the_photo_unless_it_is_given():
    model, (drawn, photo) = loud(), pictures(15, 17)
    small = F.avg_pool2d(photo, 2)
    assert torch.equal(model(drawn, photo, small), model(drawn, photo))
    assert (model(drawn, photo, small.flip(3)) - model(drawn, photo)).abs().max() > 0.01
    with pytest.raises(InputError, match=r"drawn from must be \[2, 3, 15, 17\]"):
        model(drawn, photo, photo)


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("size", [(60, 21), (61, 40), (90, 8)])
def test_strips_are_the_whole_picture(monkeypatch, size, blocks):
    model, (drawn, photo) = loud(num_blocks=blocks, num_deep_blocks=4 - blocks), pictures(*size)
    source = drawn.flip(2)
    wholes = model(drawn, photo), model(drawn, photo, source)
    monkeypatch.setattr(module, "STRIP_PX", 2 * size[1] * 7)
    torch.testing.assert_close(model.enlarge(drawn, photo), wholes[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.enlarge(drawn, photo, source), wholes[1], atol=1e-5, rtol=0)


def test_no_pixel_beyond_the_reach_is_felt():
    model, (drawn, photo) = loud(num_blocks=2, num_deep_blocks=2), pictures(80, 6, num=1)
    other = drawn.clone()
    other[:, :, 0] += 1
    felt = (model(drawn, photo) != model(other, photo)).any(dim=3)[0, 0].nonzero().max().item() // 2
    assert model.reach - 4 <= felt <= model.reach


def test_bad_input_is_named():
    drawn, photo = pictures(8, 8)
    with pytest.raises(InputError, match=r"takes drawings \[N, 3, H, W\]"):
        tiny()(drawn[0], photo)
    with pytest.raises(InputError, match=r"must be \[2, 3, 16, 16\], got \[2, 3, 8, 8\]: resize it"):
        tiny()(drawn, drawn)
    with pytest.raises(ConfigError, match=r"(?s)width .* of 1.* got 0.*num_deep_blocks .* of 1.* got -1"):
        GuidedUpscaler(width=0, num_deep_blocks=-1)


def test_a_saved_one_draws_the_same(tmp_path):
    model, inputs = loud(), pictures(12, 10)
    model.save_pretrained(tmp_path)
    loaded = GuidedUpscaler.from_pretrained(tmp_path).eval()
    loaded.compute_dtype = torch.float32
    assert torch.equal(loaded(*inputs), model(*inputs))
