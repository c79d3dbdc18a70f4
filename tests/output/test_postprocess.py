from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.output.lab import MAX_GAIN, lab_to_rgb, match_palette, palette, rgb_to_lab
from gan_space.output.postprocess import STEPS, apply_steps, blur, parse_steps, skin_likeness


@pytest.fixture
def image() -> torch.Tensor:
    """[3, 48, 40]: a coloured gradient with edges and noise."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 40), indexing="ij")
    base = torch.stack([0.6 * x, 0.5 * y, 0.3 * x * y])
    base[:, 10:30, 15:25] += 0.4
    return (base + 0.03 * torch.randn(3, 48, 40, generator=generator)).clamp(-1, 1)


def luma(image: torch.Tensor) -> torch.Tensor:
    return 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]


def chroma(image: torch.Tensor) -> torch.Tensor:
    return (image - luma(image)).abs().mean()


@pytest.mark.parametrize("name", list(STEPS))
def test_amount_0_is_the_picture_and_more_is_more(image, name):
    kept = image.clone()
    assert torch.equal(apply_steps(image, [(name, 0.0)]), image)
    moved = [(apply_steps(image, [(name, amount)]) - image).abs().mean().item() for amount in (0.02, 0.3, 0.9)]
    assert 0 < moved[0] < moved[1] < moved[2]
    assert moved[0] < 0.02  # no jump behind 0
    assert torch.equal(image, kept)


@pytest.mark.parametrize("name", list(STEPS))
def test_the_range_holds_on_hard_pictures(name):
    kind = STEPS[name]
    for picture in (torch.ones(3, 9, 9), -torch.ones(3, 9, 9), torch.zeros(3, 1, 1), torch.rand(3, 5, 90) * 2 - 1):
        for amount in (kind.low, kind.high):
            result = apply_steps(picture, [(name, amount)])
            assert result.shape == picture.shape and result.dtype == torch.float32
            assert result.isfinite().all() and result.abs().max() <= 1


def test_each_step_does_what_its_name_says(image):
    noisy, edge = image[:, 32:, :12], image[:, 12:28, 10:20]

    def after(name: str, amount: float) -> torch.Tensor:
        return apply_steps(image, [(name, amount)])

    def roughness(part: torch.Tensor) -> float:
        return (part - blur(part, 1.0)).abs().mean().item()

    assert roughness(after("denoise", 1.0)[:, 32:, :12]) < 0.6 * roughness(noisy)
    assert roughness(after("sharpen", 1.0)[:, 12:28, 10:20]) > 1.1 * roughness(edge)
    assert luma(after("contrast", 0.8)).std() > 1.1 * luma(image).std()
    assert luma(after("contrast", -0.8)).std() < 0.9 * luma(image).std()
    assert chroma(after("saturation", -1.0)) < 1e-5
    assert chroma(after("saturation", 0.8)) > 1.2 * chroma(image)
    warm, cool = after("temperature", 0.8), after("temperature", -0.8)
    assert (warm[0] - warm[2]).mean() > (image[0] - image[2]).mean() > (cool[0] - cool[2]).mean()
    assert apply_steps(-torch.ones(3, 32, 32), ["film:1"]).mean() > -0.97  # black is lifted


def test_white_balance_takes_a_cast_away():
    grey = (torch.rand(1, 30, 30, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8).repeat(3, 1, 1)
    cast = apply_steps(grey, ["temperature:1"])
    assert chroma(apply_steps(cast, ["white_balance:1"])) < 0.25 * chroma(cast)


def test_sharpening_spares_skin_of_all_tones():
    for rgb in ((0.93, 0.76, 0.66), (0.78, 0.57, 0.44), (0.45, 0.30, 0.22), (0.24, 0.15, 0.11)):
        assert skin_likeness(torch.tensor(rgb)[:, None, None].expand(3, 8, 8) * 2 - 1).mean() > 0.5, rgb
    for rgb in ((0.5, 0.5, 0.5), (0.2, 0.4, 0.8), (0.2, 0.6, 0.2), (0.9, 0.1, 0.1)):
        assert skin_likeness(torch.tensor(rgb)[:, None, None].expand(3, 8, 8) * 2 - 1).mean() < 0.3, rgb


def test_grain_comes_from_the_seed(image):
    one = apply_steps(image, ["film:1"], seed=1)
    assert torch.equal(one, apply_steps(image, ["film:1"], seed=1))
    assert not torch.equal(one, apply_steps(image, ["film:1"], seed=2))


def test_the_order_is_the_users(image):
    first = apply_steps(image, ["contrast:0.8", "saturation:-0.5"])
    by_hand = STEPS["saturation"].function(STEPS["contrast"].function(image, 0.8, 0), -0.5, 0)
    torch.testing.assert_close(first, by_hand)
    assert not torch.allclose(first, apply_steps(image, ["saturation:-0.5", "contrast:0.8"]))


def test_steps_can_be_written_in_several_ways():
    expected = (("film", 0.25), ("sharpen", 0.5))
    for written in ("film:0.25,sharpen", ["film:0.25", "sharpen"], [("film", 0.25), {"name": "sharpen"}]):
        assert parse_steps(written) == expected
    assert parse_steps(None) == parse_steps("") == parse_steps([]) == ()


def test_all_faults_at_once():
    with pytest.raises(InputError) as caught:
        parse_steps(["blur", "film:2", "contrast:much", ("sharpen", True), 7])
    text = str(caught.value)
    assert text.startswith("5 problems") and "'blur'" in text and "from 0 to 1, got '2'" in text
    with pytest.raises(InputError, match="at most 16"):
        parse_steps(["film"] * 17)
    with pytest.raises(InputError, match=r"\[3, H, W\]"):
        apply_steps(torch.zeros(3, 4, 4, dtype=torch.uint8), ["film"])


def test_lab_of_known_colours_and_back():
    rgb = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    known = torch.tensor(  # Lindbloom's calculator, D65
        [
            [100.0, 0, 0],
            [0, 0, 0],
            [53.24, 80.09, 67.20],
            [87.73, -86.18, 83.18],
            [32.30, 79.19, -107.86],
            [53.39, 0, 0],
        ]
    )
    lab = rgb_to_lab((rgb * 2 - 1)[:, :, None, None])[..., 0, 0]
    torch.testing.assert_close(lab, known, atol=0.05, rtol=0)
    picture = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(picture)), picture, atol=2e-4, rtol=0)


def test_matched_colours_have_the_wanted_palette():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(1, 3, 40, 40, generator=generator) * torch.tensor([9.0, 6, 5])[:, None, None] + 40
    target = torch.randn(1, 3, 40, 40, generator=generator).abs() * torch.tensor([7.0, 8, 6])[:, None, None] + 55
    have, want = palette(source), palette(target)
    matched = match_palette(source, have, want)
    got = palette(matched)
    torch.testing.assert_close(got.lightness, want.lightness, atol=0.6, rtol=0)  # a floor keeps it from exactness
    torch.testing.assert_close(got.chroma, want.chroma, atol=0.3, rtol=0)
    torch.testing.assert_close(match_palette(source, have, have), source, atol=1e-3, rtol=0)
    light = match_palette(source, have, want, lightness_only=True)
    assert torch.equal(light[:, 1:], source[:, 1:])
    assert abs(light[:, 0].mean() - want.lightness[0]) < 1e-3


def test_matching_goes_on_beyond_the_colours_it_was_measured_on():
    """A whole photo has colours that its face has not: they move along and keep their order."""
    source, target = torch.rand(1, 3, 16, 16) * 10, torch.rand(1, 3, 16, 16) * 20 + 30
    wide = torch.linspace(-50, 60, 64).view(1, 1, 8, 8).expand(1, 3, -1, -1)
    moved = match_palette(wide, palette(source), palette(target))[0, 1].flatten()
    assert (moved.diff() > 0).all()
    torch.testing.assert_close(moved[-1] - moved[-2], wide[0, 0, 7, 7] - wide[0, 0, 7, 6], atol=1e-3, rtol=0)


def test_a_flat_colour_is_not_torn_apart():
    source = torch.full((1, 3, 16, 16), 20.0) + torch.rand(1, 3, 16, 16) * 0.5
    target = torch.randn(1, 3, 16, 16) * 30
    moved = match_palette(source, palette(source), palette(target))
    assert (moved.amax(dim=(2, 3)) - moved.amin(dim=(2, 3))).max() < 0.5 * MAX_GAIN + 0.1
