"""Drawings by formula: the same at every size, for every seed, with faces and without."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from gan_space.errors import InputError
from gan_space.faces import landmarks as at
from gan_space.faces.regions import find_region
from gan_space.images import luminance
from gan_space.looks.drawing import blocks
from gan_space.looks.drawing import print as printing
from gan_space.looks.drawing.canvas import MAX_PIXELS, MAX_SIDE_PX, Canvas, EyePatch
from gan_space.looks.drawing.draw import DRAWINGS, draw
from gan_space.looks.drawing.skin import hatch_amount, hold_tone
from gan_space.output.lab import rgb_to_lab
from gan_space.photos.opening import OpenedPicture
from tests.looks.painted_face import person, portrait


def shrink(pixels: torch.Tensor, px: int) -> np.ndarray:
    return cv2.resize(pixels.permute(1, 2, 0).numpy(), (px, px), interpolation=cv2.INTER_AREA).astype(np.float32)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_the_same_at_every_size(name):
    small, large = (draw(*_args(portrait(px), name)) for px in (128, 256))
    one, other = shrink(small, 64), shrink(large, 64)
    assert np.abs(one - other).mean() < 6
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


def _args(made, name):
    pixels, marks = made
    return pixels, name, marks


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_depends_on_nothing_but_its_arguments(name):
    pixels, marks = portrait(112)
    before = pixels.clone()
    once = draw(pixels, name, marks, seed=3)
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(once, draw(pixels, name, marks, seed=3))
    assert torch.equal(pixels, before)
    assert once.shape == pixels.shape and once.dtype == torch.uint8
    assert (once.float() - pixels.float()).abs().mean() > 4


@pytest.mark.parametrize("name", DRAWINGS)
def test_strength_goes_from_the_photo_to_the_drawing(name):
    pixels, marks = portrait(128)
    assert torch.equal(draw(pixels, name, marks, 0.0), pixels)
    whole, half = draw(pixels, name, marks, 1.0), draw(pixels, name, marks, 0.5)
    assert (half.float() - (whole.float() + pixels.float()) / 2).abs().max() <= 1


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("size", [(40, 130), (130, 40), (16, 16), (97, 101), (1, 1), (3, 2)])
def test_a_photo_without_faces_of_any_form_is_drawn(name, size):
    pixels = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert draw(pixels, name).shape == pixels.shape
    flat = torch.full((3, *size), 7, dtype=torch.uint8)
    assert draw(flat, name).shape == flat.shape


@pytest.mark.parametrize("name", DRAWINGS)
def test_faces_half_outside_or_covered_are_drawn(name):
    pixels, (face,) = portrait(128)
    outside = replace(face, points=face.points - (70, 60))
    far = replace(face, points=face.points + np.array([900, 0]))
    covered = replace(face, covered=np.ones(3))
    assert draw(pixels, name, [outside, far, covered]).shape == pixels.shape


@pytest.mark.slow
def test_eyes_stay_eyes_whatever_the_skin():
    """Iris and white are told apart at least as well as in the photo, in every drawing, on light and dark skin."""
    for skin in (60, 200):
        pixels, marks = portrait(176, skin)
        canvas = Canvas.of(pixels, marks, 0)
        assert len(canvas.eye_patches) == 2
        for name in DRAWINGS:
            y = luminance(draw(pixels, name, marks).float() / 255)[0]
            for places in ((33, 133), (362, 263)):
                x0, x1 = sorted(marks[0].of(places)[:, 0])
                row = int(marks[0].of(places)[:, 1].mean())
                line = y[row - 1 : row + 2, int(x0) : int(x1)].mean(dim=0)
                middle = len(line) // 2
                assert line.max() - line[middle - 1 : middle + 2].mean() > 0.25, (name, skin)


def test_a_bright_eye_turns_no_yellow_and_its_lids_get_no_lighter():
    """What an eye's patch makes brighter than white gets paler: its blue is not what is left behind."""
    x = torch.tensor([0.9, 0.7, 0.5]).view(1, 3, 1, 1).repeat(1, 1, 40, 60)
    x[..., 12:28, 20:40] = 0.15  # an iris
    inside = np.zeros((40, 60), bool)
    inside[10:30, 10:50] = True
    patch = EyePatch.of(x, (0, 40, 0, 60), torch.ones(1, 1, 40, 60), inside, 200.0)
    white, drawn = (part[..., 20, 13] - luminance(part)[..., 20, 13] for part in (x, patch.colours))
    assert luminance(patch.colours)[..., 20, 13] > 0.9
    assert F.cosine_similarity(white, drawn, dim=1).item() > 0.995
    assert luminance(patch.colours)[..., 2, 5] < luminance(x)[..., 2, 5] + 0.02  # more, and lids glitter


def slope(low: int, high: int) -> torch.Tensor:
    return torch.linspace(low, high, 240).to(torch.uint8).expand(3, 160, 240).clone()


def test_a_poster_has_hard_edges_however_slowly_tones_change():
    colours, counts = torch.unique(draw(slope(0, 255), "poster").flatten(1), dim=1, return_counts=True)
    assert counts.topk(4).values.sum() / counts.sum() > 0.95 and colours.shape[1] >= 4


def test_shadows_in_risograph_are_blue_and_no_brown():
    shadow = torch.full((1, 1, 1, 1), 0.1)
    red, _, blue = printing._spot_inks(*printing._stencils(shadow, 0.0, 0.0)).ravel()
    assert blue > 2 * red


def test_dark_and_light_skin_have_as_much_room_in_the_evened_light():
    lights = {}
    for skin in (60, 200):
        pixels, marks = portrait(256, skin)
        canvas = Canvas.of(pixels, marks, 0)
        lights[skin] = canvas.light[canvas.skin > 0.9].mean().item()
    assert 0.35 < lights[60] < lights[200] < 0.8


IN_COLOURS_OF_SKIN = ("pastel", "coloured-pencil", "watercolour", "oil", "comic", "halftone")


def skin_before_and_after(name: str, skin: int) -> torch.Tensor:
    """Lab of the skin of a painted face and of its drawing, [2, 3]; an eye averages dots."""
    pixels, marks = portrait(176, skin)
    where = find_region(marks[0].points, "skin", (176, 176)).full(176, 176) > 0.9
    both = torch.stack([pixels, draw(pixels, name, marks)]) / 255.0
    return rgb_to_lab(2 * blocks.blur(both, 0.02) - 1)[:, :, where].mean(dim=2)


@pytest.mark.parametrize("name", IN_COLOURS_OF_SKIN)
def test_a_drawing_in_the_colours_of_skin_keeps_its_lightness_and_hue(name):
    """Paper, chalk and flat tones make no face lighter or yellower than it is, on dark, middle and light skin."""
    for skin in (75, 140, 215):
        before, after = skin_before_and_after(name, skin)
        assert abs(after[0] - before[0]) < 5, (skin, before, after)
        hues = torch.atan2(torch.stack([before[2], after[2]]), torch.stack([before[1], after[1]]))
        assert abs(math.degrees(hues[1] - hues[0])) < 12, (skin, before, after)


def test_tones_beyond_paper_and_ink_stay_as_far_beyond():
    """Sharpened tones leave [0, 1]; darker inks for dark skin must not blow them up."""
    pixels, marks = portrait(176, 60)
    canvas = Canvas.of(pixels, marks, 0)
    tone = torch.linspace(-0.5, 1.6, 176).view(1, 1, 1, 176).repeat(1, 1, 176, 1)
    held = hold_tone(canvas, tone, lambda tone: tone.clamp(0, 1).repeat(1, 3, 1, 1) ** 0.2)
    assert (held[tone < 1] <= tone[tone < 1] + 1e-6).all() and (held < tone - 0.1).any()
    for outside in (tone <= 0, tone >= 1):
        torch.testing.assert_close(held[outside], tone[outside])


@pytest.mark.parametrize("name", ["poster", "risograph", "duotone", "pencil", "charcoal", "ink-wash"])
def test_dark_skin_is_printed_in_dark_inks(name):
    """Paper makes no dark face lighter by more than a light one, and inks in flat tones by next to nothing."""
    dark, light = (skin_before_and_after(name, skin)[:, 0] for skin in (75, 215))
    room = 12 if name in ("pencil", "charcoal", "ink-wash") else 0
    assert dark[1] - dark[0] < max(6, light[1] - light[0] + room), (dark, light)
    assert light[1] - dark[1] > 15


def test_lines_alone_do_not_leave_dark_skin_as_white_as_paper():
    dark, light = (skin_before_and_after("line-art", skin)[1, 0] for skin in (75, 215))
    assert light > 85 and dark < light - 10  # the lines of a nose and a mouth are on it


@pytest.mark.parametrize(
    ("skin", "light", "grey"), [(215, 1, 0), (215, 0.5, 0), (215, 0.3, 1), (75, 1, 0), (75, 0.5, 0), (75, 1, 1)]
)
def test_skin_is_hatched_for_being_dark_and_not_for_dim_light(skin, light, grey):
    """And a ground of its hue stays bare, also in grey photos, where all hues are the same."""
    pixels, marks = portrait(224, skin, ground=int(0.6 * skin))
    ground = (pixels == int(0.6 * skin)).all(dim=0)
    pixels = pixels * torch.where(ground, torch.tensor([1, 0.75, 0.62]).view(3, 1, 1), 1.0)
    pixels = torch.lerp(pixels, luminance(pixels[None])[0], float(grey)) * light
    canvas = Canvas.of(pixels.to(torch.uint8), marks, 0)
    amount = hatch_amount(canvas, canvas.brushed(0.01))
    amount = torch.zeros(1, 1, *canvas.size) if amount is None else amount
    on_skin = amount[canvas.skin > 0.9].mean()
    assert on_skin > 0.2 if skin == 75 else on_skin < 0.02
    assert amount[..., : canvas.size[0] // 2, : canvas.size[1] // 8].max() < 0.05  # less is not drawn


def test_grey_photos_show_dark_skin_as_colour_photos_do():
    """By the shine on skin alone, where eyes are dim: its red is brighter than its grey."""
    pixels, marks = portrait(224, 110)
    pixels = torch.where(pixels > 220, 60, pixels) * (1 + 0.7 * (torch.arange(224) % 20 < 3))
    for photo in (pixels, luminance(pixels[None])[0].expand(3, -1, -1)):
        canvas = Canvas.of(photo.to(torch.uint8), marks, 0)
        amount = hatch_amount(canvas, canvas.brushed(0.01))
        assert amount is not None and amount[canvas.skin > 0.9].mean() > 0.25


def test_dark_hair_in_line_art_has_strands_and_a_dark_ground_has_none():
    pixels, marks = portrait(256, 170, ground=12)
    hair, ground = (cv2.erode((pixels[0] == shade).numpy().astype(np.uint8), np.ones((9, 9))) > 0 for shade in (60, 12))
    pixels = torch.where((pixels[0] == 60) & (torch.arange(256) % 6 == 0), (1.4 * pixels).to(torch.uint8), pixels)
    drawn = draw(pixels, "line-art", marks)[0].numpy()
    assert (drawn[hair] > 128).mean() > 0.05 and (drawn[hair] < 64).mean() > 0.5
    assert drawn[ground].max() < 64


@pytest.mark.parametrize(("skin", "hair"), [(82, 18), (110, 30), (140, 30)])
def test_black_hair_is_black_in_line_art_beside_any_skin(skin, hair):
    """Before a white wall and in light from the side, where dark skin and black hair are much alike."""
    pixels, marks = portrait(256, skin, ground=250)
    is_hair, ground = (pixels[0] == 60) & (pixels[2] == 30), pixels[0] == 250
    lit = (pixels * torch.linspace(-0.4, 2.4, 256)).clamp(0, 255).to(torch.uint8)
    pixels = torch.where(is_hair, hair, torch.where(ground, pixels, lit))
    inside = cv2.erode(is_hair.numpy().astype(np.uint8), np.ones((9, 9))) > 0
    assert (draw(pixels, "line-art", marks)[0].numpy()[inside] < 64).mean() > 0.8


def test_light_irises_are_told_from_the_white_in_line_art():
    pixels, marks = portrait(256)
    x, y = marks[0].of(at.LEFT_EYE).mean(axis=0)
    away = torch.hypot(torch.arange(256)[None] + 0.5 - x, torch.arange(256)[:, None] + 0.5 - y)
    for radius, shade in ((6.5, 235), (5, 175), (3.7, 205), (1.5, 30)):
        pixels[:, away < radius] = shade
    drawn = draw(pixels, "line-art", marks)[0].float()
    assert drawn[(away > 1.9) & (away < 2.6)].mean() < 240


def test_light_skin_keeps_its_colour_in_watercolour():
    """Paper shows through washes, but a face is no mask of it."""
    pixels, marks = portrait(256, 245)
    skin = find_region(marks[0].points, "cheeks", (256, 256)).full(256, 256) > 0.9
    drawn = draw(pixels, "watercolour", marks)
    before, after = (rgb_to_lab(2 * (x[None] / 255.0) - 1)[0][:, skin] for x in (pixels, drawn))
    assert after[1:].norm(dim=0).mean() > 0.6 * before[1:].norm(dim=0).mean()
    assert abs(after[0].mean() - before[0].mean()) < 3


def test_light_that_moves_over_a_cheek_leaves_no_patch_in_watercolour():
    """Between two neighbours a wash steps by little more than the light does, also at the edges of its tones."""
    pixels, marks = portrait(256, 150)
    across = torch.linspace(0.75, 1.35, 256)
    lit = (pixels * across).clamp(0, 255).to(torch.uint8)
    cheek = find_region(marks[0].points, "cheeks", (256, 256)).full(256, 256) > 0.9
    light = rgb_to_lab(2 * blocks.blur(draw(lit, "watercolour", marks)[None] / 255.0, 0.01) - 1)[0, 0]
    steps = (light[:, 4:] - light[:, :-4])[cheek[:, 4:] & cheek[:, :-4]]
    assert steps.max() < 9


def test_shadows_in_pastel_are_no_violet():
    grey = torch.full((3, 128, 128), 40, dtype=torch.uint8)
    _, a, b = rgb_to_lab(2 * (draw(grey, "pastel")[None] / 255.0) - 1)[0].mean(dim=(1, 2))
    assert torch.hypot(a, b) < 12


def test_colours_that_are_too_bright_get_paler_and_keep_hue_and_luminance():
    x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 1.3
    x = x * (0.95 / luminance(x)).clamp(max=1)
    fitted = blocks.fit_colours(x.clone())
    assert fitted.max() <= 1 + 1e-5
    assert torch.allclose(luminance(fitted), luminance(x), atol=1e-5)
    inside = (x <= 1).all(dim=1)[0]
    assert torch.allclose(fitted[..., inside], x[..., inside], atol=1e-5)
    one, other = (part - luminance(part) for part in (x, fitted))
    assert F.cosine_similarity(one, other, dim=1).min() > 0.999


def test_the_ground_does_not_change_how_a_face_is_lit():
    found = []
    for ground in (5, 250):
        pixels, marks = portrait(256, ground=ground)
        canvas = Canvas.of(pixels, marks, 0)
        found.append(canvas.light[canvas.skin > 0.9].mean().item())
    assert abs(found[0] - found[1]) < 0.06


def test_grain_is_by_the_seed_and_the_same_at_every_size():
    small, large = (Canvas(torch.zeros(1, 3, px, px), px / 2, (), 5).grain(1, 4.0)[0, 0].numpy() for px in (220, 440))
    shrunk = cv2.resize(large, (220, 220), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.95
    other = Canvas(torch.zeros(1, 3, 220, 220), 110, (), 6).grain(1, 4.0)[0, 0].numpy()
    assert abs(np.corrcoef(small.ravel(), other.ravel())[0, 1]) < 0.3


def test_transparency_survives():
    pixels, marks = portrait(96)
    alpha = torch.zeros(96, 96, dtype=torch.uint8)
    alpha[20:70, 10:80] = torch.arange(50, dtype=torch.uint8)[:, None] * 5
    opened = OpenedPicture(pixels, alpha)
    drawn = draw(opened.over_white(), "poster", marks)
    result = opened.with_alpha(Image.fromarray(drawn.permute(1, 2, 0).numpy()))
    assert result.mode == "RGBA" and np.array_equal(np.array(result)[..., 3], alpha.numpy())


@pytest.mark.slow
def test_what_has_been_shrunk_is_not_shrunk_again():
    for height in range(700, 1700, 23):
        canvas = Canvas(torch.zeros(1, 1, 1, 1).expand(1, 3, height, height - 93), 0.31 * height, (), 0)
        assert canvas.shrunk.work_size == canvas.shrunk.size == canvas.work_size, height


def test_a_large_photo_is_drawn_on_a_bounded_canvas_in_bounded_memory():
    canvas = Canvas.of(torch.zeros(3, 3000, 4000, dtype=torch.uint8), [], 0)
    assert canvas.x[0, 0].numel() <= 1.1 * MAX_PIXELS
    code = """
        import os, torch
        from benchmarks.server import memory_mb
        from gan_space.looks.drawing.draw import draw
        draw(torch.zeros(3, 64, 64, dtype=torch.uint8), "pencil")
        before = memory_mb(os.getpid(), "VmHWM")  # ru_maxrss would start from what pytest held at most
        draw(torch.zeros(3, 2400, 3200, dtype=torch.uint8), "pastel")
        print(memory_mb(os.getpid(), "VmHWM") - before)
    """
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert 20 < float(out.stdout) < 1024


@pytest.mark.parametrize(
    ("name", "strength", "says"),
    [
        ("anime", 1.0, "no drawing 'anime'; there are pencil"),
        ("pencil", 1.5, "0 to 1"),
        ("pencil", float("nan"), "0 to 1"),
    ],
)
def test_what_cannot_be_drawn_is_told(name, strength, says):
    with pytest.raises(InputError, match=says):
        draw(torch.zeros(3, 32, 32, dtype=torch.uint8), name, strength=strength)


def test_strokes_do_not_swirl_on_a_forehead_above_the_landmarks():
    photo, face = person("woman-lake")
    canvas = Canvas.of(photo, [face], 0)
    scale = canvas.work_size[1] / photo.shape[2]
    top, up = face.points[at.FOREHEAD_TOP], face.points[at.FOREHEAD_TOP] - face.points[at.CHIN]
    x, y = ((top + 0.04 * up) * scale).astype(int)  # skin, and outside of the mesh
    around = (slice(y - 2, y + 3), slice(x - 2, x + 3))
    assert canvas.shrunk.skin[0, 0][around].mean() < 0.5 < canvas.foreheads[0, 0][around].mean()
    assert canvas.calm_flow[2][around].mean() < 0.6 * canvas.flow[2][around].mean()


def test_a_part_is_brushed_as_the_whole_is():
    photo, face = person("woman-lake")
    canvas = Canvas.of(photo, [face], 0)
    part = slice(30, 131), slice(50, 172)
    assert (canvas.brushed(0.016, part=part) - canvas.brushed(0.016)[..., part[0], part[1]]).abs().max() < 0.004


def test_oil_is_painted_in_strokes_without_holes():
    """A calm ground gets edges of paint, the ground is covered, and nothing takes a colour that is not near it."""
    pixels, marks = portrait(192)
    drawn = draw(pixels, "oil", marks).float()
    ground = drawn[:, 4:40, 4:40]  # one flat grey in the photo
    assert ground.std(dim=(1, 2)).max() > 2
    near = -F.max_pool2d(-pixels.float()[None], 25, 1, 12)[0], F.max_pool2d(pixels.float()[None], 25, 1, 12)[0]
    away = torch.maximum(near[0] - drawn, drawn - near[1]).clamp(min=0).amax(dim=0)
    assert (away > 70).float().mean() < 0.001


def test_folds_of_skin_get_thinner_lines_where_asked_and_all_else_the_same():
    pixels, marks = portrait(384)
    photo = pixels.permute(1, 2, 0).numpy().copy()
    fold = marks[0].of([205])[0].round().astype(int)  # on a cheek
    places = [np.s_[..., y - 4 : y + 5, x - 6 : x + 7] for x, y in (fold, (30, fold[1]))]
    for x, y in (fold, (30, fold[1])):
        line = np.exp(-0.5 * np.square(np.arange(-8, 9) / 2.5))[:, None, None]
        photo[y - 8 : y + 9, x - 14 : x + 15] = photo[y, x] * (1 - 0.14 * line)
    canvas = Canvas.of(torch.from_numpy(photo).permute(2, 0, 1).contiguous(), marks, 0)
    plain, thin = (
        cv2.resize(canvas.contours(0.016, 0.008, 0.02, skin=skin)[0, 0].numpy(), (384, 384)) for skin in (1.0, 0.5)
    )
    assert plain[places[0]].mean() > 0.1
    assert thin[places[0]].mean() < 0.75 * plain[places[0]].mean()
    assert np.abs(thin - plain)[places[1]].max() < 1e-6


def chin_and_jaw(marks, size):
    """Where a beard would grow, [size, size] in [0, 1]."""
    jaw = np.concatenate([marks[0].points[[132, 136, 152, 365, 361]], marks[0].points[[327, 98]]])
    return cv2.GaussianBlur(cv2.fillPoly(np.zeros((size, size), np.float32), [jaw.round().astype(int)], 1), (0, 0), 4)


def test_a_beard_is_drawn_hair_by_hair_and_bare_or_shaded_skin_has_none():
    pixels, marks = portrait(512)
    bare = Canvas.of(pixels, marks, 0)
    assert not bare.beard_room.any()
    assert not bare.is_bearded and not bare.beard_hairs.any()
    room = chin_and_jaw(marks, 512)
    shaded = (pixels.float() * torch.from_numpy(1 - 0.5 * room)).to(torch.uint8)
    assert not Canvas.of(shaded, marks, 0).beard_room.any()
    lips = cv2.resize(bare.enlarge(bare.shrunk.lips)[0, 0].numpy(), (512, 512))
    hairs = cv2.GaussianBlur(np.random.RandomState(0).standard_normal((512, 512)), (0, 0), 1.2)
    depth = room * (1 - lips) * (0.75 + 0.8 * hairs / 3 / hairs.std()).clip(0.3, 1)
    dark = pixels.float() * torch.from_numpy(1 - depth).float()
    drawn = luminance(draw(dark.to(torch.uint8), "line-art", marks).float() / 255)[0].numpy()
    inked = drawn[cv2.erode(room * (1 - lips), np.ones((15, 15))) > 0.9] < 0.5
    assert 0.2 < inked.mean() < 0.9  # neither a stain nor a bare chin
    row = int(0.5 * (marks[0].points[17, 1] + marks[0].points[152, 1]))
    across = drawn[row, room[row] > 0.5] < 0.5
    assert np.count_nonzero(np.diff(across.astype(int))) >= 8


def test_lids_around_dim_eyes_do_not_glow():
    across, down = torch.arange(60.0), torch.arange(40.0)[:, None]
    inside = torch.hypot((across - 30) / 22, (down - 20) / 9) < 1
    x = torch.where(inside, 0.06 + 0.002 * across, torch.tensor(0.24)).expand(1, 3, 40, 60)
    patch = EyePatch.of(x, (0, 40, 0, 60), torch.ones(1, 1, 40, 60), inside.numpy(), 150.0)
    assert patch.tones[0, 0, 0, 0] < 0.75 and patch.colours[0, 0, 0, 0] < 0.75
    assert np.ptp(patch.tones[0, 0][inside].numpy()) > 0.2


def test_the_rim_of_the_paper_does_not_cut_a_face_off():
    pixels, marks = portrait(256)
    points = marks[0].points
    (left, top), (right, bottom) = points.min(axis=0).astype(int), points.max(axis=0).astype(int)
    tight = pixels[:, top:bottom, left:right].contiguous()
    canvas = Canvas.of(tight, [replace(marks[0], points=points - (left, top))], 0)
    border = canvas.border(5)
    assert border[canvas.skin > 0.9].min() > 0.7 and border.min() < 0.1


@pytest.mark.parametrize("name", ["line-art", "ink-wash"])
def test_hairs_of_a_beard_are_not_drawn_where_nobody_has_one(name):
    """They take a seventh of the time of line art."""
    pixels, marks = portrait(128)
    canvas = Canvas.of(pixels, marks, 0)
    draw(pixels, name, marks, canvas=canvas)
    assert "beard_hairs" not in vars(canvas)


def test_rough_shade_below_a_bare_lip_is_no_beard():
    """As under a smile, and in pictures that were stored small."""
    pixels, marks = portrait(512)
    hairs = cv2.GaussianBlur(np.random.RandomState(0).standard_normal((512, 512)), (0, 0), 1.2)
    down = np.clip((np.arange(512)[:, None] - marks[0].points[17, 1]) / 15 + 1, 0, 1)
    found = []
    for room in (chin_and_jaw(marks, 512), chin_and_jaw(marks, 512) * down):
        depth = torch.from_numpy(room * (0.5 + 0.25 * hairs / hairs.std()).clip(0, 1))
        found.append(Canvas.of((pixels * (1 - depth)).to(torch.uint8), marks, 0).beard_room.max())
    assert found[0] > 0.9 and found[1] < 0.1


@pytest.mark.parametrize("name", ["ink-wash", "charcoal", "pencil"])
def test_drawings_of_one_tone_leave_blush_out_and_pale_lips_in(name):
    """Both are told by red alone: blush is darker by a luminance, these lips are not."""
    pixels, marks = portrait(256, 215)
    lips = find_region(marks[0].points, "lips", (256, 256)).full(256, 256)
    x, y = marks[0].of([205])[0]
    away = torch.hypot(torch.arange(256)[None] - x, torch.arange(256)[:, None] - y)
    cheeks = torch.exp(-0.5 * (away / 9) ** 2)
    y = luminance(pixels[None])[0, 0].float()
    flat = y[cheeks > 0.9].median()
    red = torch.tensor([1, 0.68, 0.68]).view(3, 1, 1)
    mouth = (red / (0.299 + 0.701 * 0.68) * flat).clamp(max=255)
    photo = pixels * (1 - cheeks * (1 - red)) * (1 - lips) + mouth * lips
    drawn = [luminance(draw(one.to(torch.uint8), name, marks)[None].float())[0, 0] for one in (pixels, photo)]
    assert drawn[0][cheeks > 0.7].mean() - drawn[1][cheeks > 0.7].mean() < 12
    assert drawn[1][lips > 0.9].mean() < drawn[1][cheeks > 0.7].mean() - 20


@pytest.mark.parametrize("size", [(3, 20_000), (20_000, 3), (1, 1), (2, 40_000), (3, 33_000)])
def test_a_photo_of_any_shape_can_be_drawn(size):
    photo = torch.full((3, *size), 90, dtype=torch.uint8)
    assert max(Canvas.of(photo, (), 0).x.shape) <= MAX_SIDE_PX
    assert draw(photo, "comic").shape == photo.shape
