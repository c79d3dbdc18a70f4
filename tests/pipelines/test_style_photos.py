"""Photos as they come: several faces, none, sideways, grey, large; and the frame alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import FaceTooSmallError, InputError, NoFaceError
from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import FaceBox
from gan_space.images import from_uint8
from gan_space.output.lab import rgb_to_lab
from gan_space.photos.opening import open_photo
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.canvas import Canvas
from tests.photos.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_lightness,
    cmyk_profile,
    encode,
    gray_profile,
    rgb_profile,
    to_srgb,
)
from tests.pipelines.styling import PHOTO, REFERENCE, SAMPLES, R, pixels, sample


@pytest.fixture
def pipe(style_pipe) -> StyleTransferPipeline:
    return style_pipe


def side_by_side() -> Image.Image:
    group = Image.new("RGB", (512, 256))
    group.paste(PHOTO, (0, 0))
    group.paste(sample("woman-park", 200), (256, 25))
    return group


def test_one_face_or_all(pipe):
    group, look = side_by_side(), pipe.read_look(REFERENCE)
    start = pixels(group)

    def changed(scope: str = "face", **options) -> tuple[bool, bool]:
        difference = np.abs(pixels(pipe(group, look, scope=scope, **options).images[0]) - start).sum(axis=2)
        return bool(difference[:, :256].any()), bool(difference[:, 256:].any())

    assert changed() == (True, False)
    assert changed(faces="all") == (True, True)
    assert changed(faces=1) == (False, True)
    assert changed(faces="all", scope="photo") == (True, True)
    out = pipe(group, look, faces="all")
    assert len(out.portraits[0].faces) == 2 and out.portraits[0].chosen == (0, 1)
    assert out.portraits[0].picture().size == group.size
    with pytest.raises(InputError, match="numbered from 0, the largest first; got number 7"):
        pipe(group, look, faces=7)


def test_no_face_says_what_to_do_and_a_box_is_the_way_out(pipe):
    nothing = Image.effect_mandelbrot((200, 160), (-2, -1, 1, 1), 40).convert("RGB")
    look = pipe.read_look(REFERENCE)
    with pytest.raises(NoFaceError, match="use a photo in which a face looks at the camera"):
        pipe(nothing, look)
    assert pipe.open(nothing).faces == ()
    assert pipe.open(nothing).picture().size == (200, 160)
    out = pipe(nothing, look, boxes=[(50, 30, 80)], scope="face")
    start = pixels(nothing)
    assert np.abs(pixels(out.images[0]) - start)[40:100, 60:120].mean() > 1
    assert np.array_equal(pixels(out.images[0])[:, :40], start[:, :40])
    face = pipe(nothing, look, boxes=[FaceBox(50, 30, 80)]).portraits[0].chosen_faces[0]
    assert abs(face.frame_px - 80) < 1e-6


def test_a_small_face_is_refused_and_shown(pipe):
    small = Image.new("RGB", (300, 300), (90, 120, 90))
    small.paste(PHOTO.resize((110, 110)), (90, 80))
    with pytest.raises(FaceTooSmallError, match="64 px or more"):
        pipe(small, REFERENCE)
    found = pipe.open(small)
    assert len(found.faces) == 1 and found.chosen == () and found.faces[0].too_small
    assert np.abs(pixels(found.picture()) - pixels(small)).any()


def test_several_photos_and_where_one_fails(pipe):
    look, calls = pipe.read_look(REFERENCE), []
    photos = [PHOTO, str(SAMPLES / "woman-park.jpg"), SAMPLES / "astronaut.jpg", open_photo(PHOTO)]
    out = pipe(photos, look, callback=lambda done, total: calls.append((done, total)))
    assert len(out.images) == len(out.portraits) == len(out.reconstruction) == len(out.recipe) == 4
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.array_equal(pixels(out.images[0]), pixels(pipe(PHOTO, look).images[0]))
    assert np.array_equal(pixels(out.images[0]), pixels(out.images[3]))
    with pytest.raises(NoFaceError, match="photo 2 of 2: no face"):
        pipe([PHOTO, Image.new("RGB", (99, 99))], look)


def test_photos_come_upright_transparent_grey_and_sideways(pipe):
    look = pipe.read_look(REFERENCE)
    upright = PHOTO
    expected = pixels(pipe(upright, look).images[0])
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    out = pipe(turned, look).images[0]
    assert out.size == upright.size and np.array_equal(pixels(out), expected)
    clear = upright.convert("RGBA")
    assert np.array_equal(pixels(pipe(clear, look).images[0]), expected)
    for mode in ("L", "I;16", "1"):
        gray = upright.convert("L")
        gray = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257) if mode == "I;16" else gray.convert(mode)
        out = pipe(gray, look, boxes=[pipe.open(upright).faces[0].box]).images[0]
        assert out.mode == "RGB" and out.size == upright.size


def test_strength_0_gives_the_photo_back_whatever_its_file_holds(pipe, tmp_path):
    colors = pixels(PHOTO).astype(np.uint8)
    grays = np.asarray(PHOTO.convert("L"))
    inks = PHOTO.convert("CMYK")
    lightness = cmyk_lightness(np.asarray(inks) / 255)
    clear = Image.fromarray(np.linspace(0, 255, 256).astype(np.uint8)[:, None].repeat(256, axis=1))
    cutout = PHOTO.copy()
    cutout.putalpha(clear)
    files = {
        "p3.png": (PHOTO, rgb_profile(DISPLAY_P3, None), to_srgb(colors / 255, DISPLAY_P3, None)),
        "adobe.tif": (PHOTO, rgb_profile(ADOBE_RGB, 2.2), to_srgb(colors / 255, ADOBE_RGB, 2.2)),
        "linear.png": (PHOTO, rgb_profile(SRGB, 1.0), to_srgb(colors / 255, SRGB, 1.0)),
        "inks.tif": (inks, cmyk_profile(), 255 * encode(((lightness + 16) / 116) ** 3)[..., None]),
        "gray.png": (Image.fromarray(grays), gray_profile(1.8), 255 * encode((grays / 255) ** 1.8)[..., None]),
        "deep.png": (Image.fromarray(grays.astype(np.uint16) * 257), None, grays[..., None]),
        "cutout.webp": (cutout, None, colors),
    }
    box = pipe.open(PHOTO).faces[0].box
    look = pipe.read_look(REFERENCE)
    for name, (picture, profile, wanted) in files.items():
        options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
        picture.save(tmp_path / name, icc_profile=profile, **options)
        out = pipe(tmp_path / name, look, strength=0, transfer="change", boxes=[box]).images[0]
        made = torch.from_numpy(np.array(out.convert("RGB"))).permute(2, 0, 1)[None]
        shown = torch.from_numpy(np.broadcast_to(wanted, colors.shape).astype(np.float32)).permute(2, 0, 1)[None]
        apart = (rgb_to_lab(from_uint8(made)) - rgb_to_lab(shown / 127.5 - 1)).norm(dim=1)
        assert apart.mean() < 0.5 and apart.quantile(0.99) < 1, name
        assert out.mode == ("RGBA" if name == "cutout.webp" else "RGB") and "icc_profile" not in out.info
    assert out.getchannel("A").tobytes() == clear.tobytes()


def test_large_and_oblong_photos_keep_their_size(pipe):
    look = pipe.read_look(REFERENCE)
    wide = Image.new("RGB", (2600, 700), (70, 90, 120))
    wide.paste(PHOTO, (1500, 100))
    for transfer in ("change", "picture"):
        out = pipe(wide, look, scope="photo", transfer=transfer)
        assert out.images[0].size == wide.size


def test_the_frame_alone(pipe):
    look = pipe.read_look(REFERENCE)
    change = pipe(PHOTO, look, paste_back=False)
    frame_px = change.portraits[0].chosen_faces[0].frame_px
    assert change.images[0].size == (round(frame_px), round(frame_px))
    assert pipe(PHOTO, look, paste_back=False, transfer="picture").images[0].size == (R, R)


def test_the_canvas_shows_the_photo_at_the_faces_scale():
    photo = open_photo(PHOTO)
    frame = AlignTransform.from_box(20, 30, 100)
    canvas = Canvas.make(photo, [frame], resolution=50, step=8)
    assert (canvas.width, canvas.height) == (128, 128) and canvas.image.shape[2] % 8 == 0
    assert Canvas.make(photo, [AlignTransform.from_box(20, 30, 10)], 128, 8).width == 768  # never larger than the limit
    canvas = Canvas.make(photo[:, :101, :83], [AlignTransform.from_box(20, 30, 40)], 32, 8)
    assert canvas.cut(canvas.image).shape == (1, 3, canvas.height, canvas.width)
    assert canvas.image.shape[2] % 8 == canvas.image.shape[3] % 8 == 0
