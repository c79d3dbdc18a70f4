"""Grades: what each amount does, that faces keep their lightness, and that size changes nothing."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.regions import find_region
from gan_space.looks.grade import AMOUNTS, grade
from gan_space.looks.recipe import shipped_looks
from gan_space.output.postprocess import draw_grain

STRONG = {name: one.high / 2 for name, one in AMOUNTS.items() if one.scales}


def lab(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).numpy().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def flat(height: int, width: int, *color: int) -> torch.Tensor:
    return torch.tensor(color, dtype=torch.uint8)[:, None, None].expand(3, height, width).clone()


@pytest.fixture(scope="module")
def ramp() -> torch.Tensor:
    """Grey from black to white, [3, 40, 256]."""
    return torch.arange(256, dtype=torch.uint8).expand(3, 40, 256).clone()


def test_without_amounts_it_is_the_photo(face):
    photo, marks = face
    assert grade(photo, [marks], {}) is photo
    assert grade(photo, [marks], {"contrast": 0, "shadow_hue": 200, "mono_filter": 1}) is photo


@pytest.mark.parametrize("name", [name for name, one in AMOUNTS.items() if one.scales])
def test_every_amount_changes_the_photo_and_leaves_the_lightness_of_the_cheeks(face, name):
    photo, marks = face
    size = tuple(photo.shape[1:])
    cheeks = find_region(marks.points, "cheeks", size).full(*size).numpy()
    for amount in {AMOUNTS[name].low / 2, AMOUNTS[name].high / 2} - {0}:
        done = grade(photo, [marks], {name: amount, "shadow_hue": 210, "highlight_hue": 60})
        assert (done != photo).float().mean() > 0.02
        moved = ((lab(done) - lab(photo))[..., 0] * cheeks).sum() / cheeks.sum()
        assert abs(moved) < 2, (name, amount)


def test_opened_shadows_and_lighter_corners_do_not_lighten_dark_skin(face):
    """By a hair darker rather than lighter: not all that is held is skin."""
    photo, marks = face
    size = tuple(photo.shape[1:])
    skin = find_region(marks.points, "skin", size).full(*size).numpy()
    dark = (photo * torch.linspace(0.15, 0.45, size[1])).to(torch.uint8)
    done = grade(dark, [marks], {"shadows": 0.45, "highlights": 0.5, "glow": 0.12, "vignette": -0.4})
    assert ((lab(done) - lab(dark))[..., 0] * skin).sum() / skin.sum() < -0.15


def skin_moved(done: torch.Tensor, photo: torch.Tensor, marks: list[Landmarks]) -> list[float]:
    """By how much the mean L* of each face's skin changed."""
    size, moved = tuple(photo.shape[1:]), (lab(done) - lab(photo))[..., 0]
    skins = [find_region(face.points, "skin", size).full(*size).numpy() for face in marks]
    return [float((moved * skin).sum() / skin.sum()) for skin in skins]


@pytest.fixture(scope="module")
def small_face(face) -> tuple[torch.Tensor, Landmarks]:
    photo, marks = face
    half = cv2.resize(photo.permute(1, 2, 0).numpy(), (256, 256), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(half).permute(2, 0, 1), replace(marks, points=marks.points / 2)


@pytest.mark.parametrize("light_first", [True, False])
@pytest.mark.parametrize("look", ["vintage-print", "airy-film", "retro-film", "monochrome"])
def test_neither_of_a_dark_and_a_light_face_gets_lighter_or_pays_for_the_other(small_face, look, light_first):
    photo, marks = small_face
    both = [photo, (0.3 * photo).to(torch.uint8)]
    both = torch.cat(both if light_first else both[::-1], dim=2)
    beside = replace(marks, points=marks.points + np.array([256, 0]))
    look = shipped_looks()[look]
    for faces in ([marks, beside], [beside, marks]):
        moved = skin_moved(grade(both, faces, look.scaled(look.strength).grade), both, faces)
        assert min(moved) > -1.5 and max(moved) < 0.1


def test_no_shipped_look_lightens_a_dark_face(small_face):
    photo, marks = small_face
    dark = ((photo / 255) ** 2.2 * 255).to(torch.uint8)
    looks = {name: look.scaled(look.strength).grade for name, look in shipped_looks().items() if look.grade}
    moved = {name: skin_moved(grade(dark, [marks], amounts), dark, [marks])[0] for name, amounts in looks.items()}
    assert len(moved) > 15 and max(moved.values()) < 0.1, moved


def skin_of(photo: torch.Tensor, marks: Landmarks) -> np.ndarray:
    """Lab of the face's skin, [N, 3]."""
    size = tuple(photo.shape[1:])
    return lab(photo)[find_region(marks.points, "skin", size).full(*size).numpy() > 0.5]


@pytest.mark.parametrize(
    ("look", "colors", "least", "most"),
    [
        ("hong-kong-film", (1.05, 0.72, 0.62), 0.95, 1.04),  # sunburnt: was 1.1
        ("golden-hour", (1.05, 0.72, 0.62), 0.95, 1.04),
        ("airy-film", (0.95, 1.02, 1.1), 0.9, 1.0),  # pale: was 0.76
    ],
)
def test_red_skin_gets_no_redder_and_pale_skin_no_greyer(small_face, look, colors, least, most):
    photo, marks = small_face
    photo = (photo * torch.tensor(colors)[:, None, None]).clamp(max=255).to(torch.uint8)
    look = shipped_looks()[look]
    done = grade(photo, [marks], look.scaled(look.strength).grade)
    before, after = (np.linalg.norm(skin_of(one, marks)[:, 1:].mean(axis=0)) for one in (photo, done))
    assert least < after / before < most


@pytest.mark.parametrize("look", ["monochrome", "silver-print"])
def test_overexposed_skin_is_no_white_paper_in_black_and_white(small_face, look):
    photo, marks = small_face
    burnt = ((photo / 255) ** 0.3 * 255).to(torch.uint8)
    look = shipped_looks()[look]
    for one, fall in ((photo, (-2, 0.1)), (burnt, (-9, -2))):  # a photo of usual light stays as it is
        done = grade(one, [marks], look.scaled(look.strength).grade)
        before, after = (skin_of(picture, marks)[:, 0] for picture in (one, done))
        assert np.quantile(after, 0.85) < 91 and fall[0] < after.mean() - before.mean() < fall[1]
    assert np.quantile(before, 0.85) > 92


def test_contrast_and_fade_move_the_ends_of_the_scale(ramp):
    light = lab(ramp)[0, :, 0]
    more, less = (lab(grade(ramp, [], {"contrast": amount}))[0, :, 0] for amount in (0.6, -0.6))
    assert more[64] < light[64] < less[64] and more[192] > light[192] > less[192]
    assert lab(grade(ramp, [], {"fade": 1}))[0, 0, 0] > 6
    assert (np.diff(lab(grade(ramp, [], STRONG | {"grain": 0, "vignette": 0}))[20, :, 0]) > -1.5).all()


def test_warmth_tint_and_split_tones_go_where_they_say(ramp):
    warm, magenta = lab(grade(ramp, [], {"warmth": 0.5})), lab(grade(ramp, [], {"tint": 0.5}))
    assert warm[0, 128, 2] > 3 and magenta[0, 128, 1] > 3
    split = {"shadow_tint": 0.6, "shadow_hue": 250, "highlight_tint": 0.6, "highlight_hue": 75}
    split = lab(grade(ramp, [], split))[0]
    assert split[50, 2] < -2 < 2 < split[200, 2]
    assert np.abs(split[[0, 255], 1:]).max() < 2  # black and white stay neutral


def test_split_tones_of_foreign_hues_hardly_reach_skin():
    photo = torch.cat([flat(24, 24, 190, 140, 115), flat(24, 24, 150, 150, 150)], dim=2)
    violet = {"shadow_tint": 1, "shadow_hue": 290, "highlight_tint": 0.5, "highlight_hue": 335}
    golden = {"highlight_tint": 1, "highlight_hue": 74}
    skin, wall = (lab(grade(photo, [], violet)) - lab(photo))[12, [12, 36], 1:]
    assert np.hypot(*skin) < 0.4 * np.hypot(*wall)
    assert (lab(grade(photo, [], golden)) - lab(photo))[12, 12, 2] > 3  # skin takes gold as it is


def test_light_skin_keeps_its_hue_where_red_can_rise_no_further():
    skin = torch.linspace(0.8, 1, 240) * torch.tensor([255.0, 208.0, 186.0])[:, None]
    skin = skin.round().to(torch.uint8)[:, None].expand(3, 240, 240).clone()
    toned = grade(skin, [], {"highlight_tint": 0.6, "highlight_hue": 65})
    hues = [np.degrees(np.arctan2(picture[0, :, 2], picture[0, :, 1])) for picture in (lab(skin), lab(toned))]
    turned = hues[1] - hues[0]
    assert toned[0, 0, -1] > 250 and abs(turned[-5:].mean() - turned[115:125].mean()) < 1.5


def test_no_film_look_turns_light_skin_lilac():
    colors = torch.tensor([[240, 205, 202], [235, 200, 190], [225, 180, 160], [170, 120, 95]], dtype=torch.uint8)
    skins = [color[:, None, None].expand(3, 24, 24) for color in colors]
    photo = torch.cat([*skins, flat(24, 96, 90, 90, 90)], dim=2)
    turned = {}
    for look in shipped_looks().values():
        amounts = look.scaled(look.strength).grade
        if look.group == "film" and amounts and not amounts.get("monochrome"):
            done = grade(photo, [], amounts | {"grain": 0, "vignette": 0, "glow": 0})
            before, after = (np.arctan2(*lab(picture)[12, 12:96:24, :0:-1].T) for picture in (photo, done))
            turns = (np.degrees(after - before) + 180) % 360 - 180
            turned[look.name] = float(turns.min())
    assert len(turned) >= 8 and min(turned.values()) > -7, turned


def test_saturation_spares_skin():
    chroma = [
        np.hypot(*lab(grade(flat(40, 40, *color), [], {"saturation": 0.6}))[20, 20, 1:])
        / np.hypot(*lab(flat(40, 40, *color))[20, 20, 1:])
        for color in ((190, 140, 115), (110, 150, 190))
    ]
    assert 1 < chroma[0] < chroma[1] - 0.1


def test_black_and_white_is_grey_and_its_filter_lifts_red(face):
    photo, marks = face
    done = grade(photo, [marks], {"monochrome": 1})
    assert (done.amax(dim=0).int() - done.amin(dim=0)).max() <= 1
    halves = torch.cat([flat(40, 40, 200, 60, 60), flat(40, 40, 60, 60, 200)], dim=2)
    red, blue = (lab(grade(halves, [], {"monochrome": 1, "mono_filter": lean}))[20, :, 0] for lean in (1, -1))
    assert red[10] - red[70] > blue[10] - blue[70] + 20


def test_a_vignette_darkens_corners_or_lightens_them():
    photo = flat(90, 120, 120, 120, 120)
    dark, light = (lab(grade(photo, [], {"vignette": amount}))[..., 0] for amount in (0.8, -0.8))
    assert dark[0, 0] < dark[45, 60] - 10 and light[0, 0] > light[45, 60] + 10


def test_grain_comes_from_the_seed_and_keeps_the_mean():
    photo = flat(200, 200, 128, 128, 128)
    one, again, other = (grade(photo, [], {"grain": 1}, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.float().std() > 2 and abs(one.float().mean() - 128) < 1


def test_a_small_picture_has_the_grain_of_a_large_one_seen_small():
    large, small = draw_grain(1400, 1400, 0), draw_grain(280, 280, 0)
    shrunk = torch.nn.functional.avg_pool2d(large[None], 5)[0]
    assert 0.85 < large.std() < 1.1 and abs(small.std() / shrunk.std() - 1) < 0.15


def test_strips_do_not_show(monkeypatch, face):
    photo, marks = face
    done = []
    for pixels_at_once in (photo[0].numel(), 512 * 37):
        monkeypatch.setattr("gan_space.looks.grade.STRIP_PIXELS", pixels_at_once)
        done.append(grade(photo, [marks], STRONG))
    assert torch.equal(*done)


def test_any_size_and_shape_is_graded_alike(face):
    photo, _ = face
    amounts = {**STRONG, "grain": 0.0}
    large = torch.from_numpy(cv2.resize(photo.permute(1, 2, 0).numpy(), None, fx=2, fy=2)).permute(2, 0, 1)
    shrunk = cv2.resize(grade(large, [], amounts).permute(1, 2, 0).numpy(), (512, 512), interpolation=cv2.INTER_AREA)
    apart = np.abs(shrunk.astype(int) - grade(photo, [], amounts).permute(1, 2, 0).numpy())
    assert apart.mean() < 2
    for size in ((1, 1), (1, 40), (33, 2)):
        assert grade(flat(*size, 90, 120, 150), [], STRONG).shape == (3, *size)


def test_faults_are_told_at_once(face):
    with pytest.raises(InputError) as caught:
        grade(face[0], [], {"contrast": 3, "sepia": 1, "fade": None})
    assert all(word in str(caught.value) for word in ("contrast", "sepia", "fade"))


def test_lighter_corners_leave_a_black_ground_black():
    light, black = torch.full((3, 90, 120), 150, dtype=torch.uint8), torch.zeros(3, 90, 120, dtype=torch.uint8)
    light[:, 30:60, 40:80] = black[:, 30:60, 40:80] = 120  # somebody in the middle
    lighter = grade(light, [], {"vignette": -1.0})
    assert (lighter[:, 0, 0].float() - light[:, 0, 0]).min() > 20
    assert grade(black, [], {"vignette": -1.0})[:, 0, 0].max() < 4
