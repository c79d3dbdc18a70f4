"""Pictures come in upright, in sRGB and with their transparency, or with an error that tells what to do."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from gan_space.errors import DataError, InputError
from gan_space.output.provenance import read_provenance
from gan_space.photos import opening
from gan_space.photos.opening import OpenedPicture, open_photo, open_picture, to_picture, to_rows
from tests.photos.pictures import HEIC, deep_png, two_colors
from training.common.tables import decode_picture


def stored(picture: Image.Image, format_name: str = "PNG", **options) -> io.BytesIO:
    stream = io.BytesIO()
    picture.save(stream, format_name, **options)
    return stream


def ramp(top: int) -> np.ndarray:
    """[16, 64] uint16 from 0 to `top`."""
    return np.linspace(0, top, 64).round().astype(np.uint16)[None].repeat(16, axis=0)


# Formats


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("MPO", {"save_all": True, "append_images": [two_colors()], "quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("JPEG2000", {}),
    ],
)
def test_formats_are_known_by_content(format_name, options, tmp_path):
    file = tmp_path / "photo.txt"
    two_colors().save(file, format_name, **options)
    photo = open_photo(file)
    assert photo.shape == (3, 20, 40)
    wanted = torch.from_numpy(np.array(two_colors())).permute(2, 0, 1)
    assert (photo.int() - wanted.int())[:, :, [0, 5, 10, 30, 39]].abs().max() <= 12


def test_photos_of_phones_open_upright(tmp_path):
    file = tmp_path / "IMG_0001.HEIC"
    file.write_bytes(HEIC)
    photo = open_photo(file)
    assert photo.shape == (3, 64, 48)
    red, white, blue = photo[:, 10, 10], photo[:, 50, 10], photo[:, 50, 40]
    assert red[0] > 240 > 15 > red[2] and white.min() > 240 and blue[2] > 240 > 15 > blue[0]


@pytest.mark.parametrize("kind", ["EPS", "PCX", "PPM", "TGA", "words"])
def test_nothing_but_the_listed_formats_is_tried_and_no_program_started(kind, tmp_path, monkeypatch):
    file = tmp_path / "photo.jpg"
    if kind == "words":
        file.write_text("not a picture")
    else:
        two_colors().save(file, kind)

    def started(*arguments, **options):
        pytest.fail(f"started {arguments}")

    for place, name in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn")):
        monkeypatch.setattr(place, name, started)
    with pytest.raises(
        InputError, match=r"^photo.jpg cannot be read as a picture \(it is none of JPEG, .*HEIC.* again$"
    ):
        open_photo(file)
    if kind != "words":
        with Image.open(file) as picture, pytest.raises(InputError, match=f"is {kind}, expected JPEG"):
            open_photo(picture)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n", "is a Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "is a web page"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(99), "is a film"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(99), "is a film"),
    ],
)
def test_what_came_in_place_of_a_photo_is_named(content, words, tmp_path):
    file = tmp_path / "IMG_1.jpg"
    file.write_bytes(content)
    for read in (open_picture, read_provenance):
        with pytest.raises(InputError, match=rf"IMG_1\.jpg'? {words}") as refused:
            read(file)
        assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match=rf"IMG_1\.jpg {words}"):
        decode_picture({"bytes": None, "path": str(file)}, 8)


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^lost.jpg cannot be read as a picture \(No such file"):
        open_photo(tmp_path / "lost.jpg")
    with pytest.raises(InputError, match="cannot be read"):
        open_photo(tmp_path)
    whole = stored(two_colors().resize((400, 400)), "JPEG").getvalue()
    with pytest.raises(InputError, match=r"^the upload cannot be read .* save it as JPEG or PNG"):
        open_photo(io.BytesIO(whole[:900]))
    with pytest.raises(InputError, match=r"got \[3, 4, 4\] of torch.float32"):
        open_photo(torch.zeros(3, 4, 4))


@pytest.mark.parametrize(
    "source",
    [None, 1, b"bytes", [1], {}, np.zeros((8, 8, 3), np.uint8), io.StringIO("text"), object()],
    ids=lambda source: type(source).__name__,
)
def test_what_can_be_no_picture_is_told_what_can(source):
    with pytest.raises(InputError, match=rf"expected a picture of Pillow, .* got {type(source).__name__}") as caught:
        open_picture(source)
    assert ("Image.fromarray" in str(caught.value)) == isinstance(source, np.ndarray)


def test_of_an_animation_the_first_frame_is_taken_and_said():
    frames = [two_colors(), two_colors().rotate(180), Image.new("RGB", (40, 20), "green")]
    for format_name, what in (("GIF", "frames"), ("PNG", "frames"), ("WEBP", "frames"), ("TIFF", "pages")):
        opened = open_picture(stored(frames[0], format_name, save_all=True, append_images=frames[1:]))
        assert opened.notes == (f"first of 3 {what}",)
        assert opened.pixels[0, 10, 5] > 200 > 60 > opened.pixels[0, 10, 35]
    assert open_picture(stored(frames[0], "MPO", save_all=True, append_images=frames[1:])).notes == ()
    assert open_picture(stored(frames[0])).notes == ()


def test_a_jpeg_of_more_scans_than_any_real_one_is_refused_and_what_comes_after_its_end_does_not_count():
    content = stored(Image.effect_noise((64, 64), 90), "JPEG", progressive=True).getvalue()
    last = content.rindex(b"\xff\xda")
    scan, end = content[last:-2], content[-2:]
    assert open_photo(io.BytesIO(content[:-2] + 80 * scan + end + 200 * scan)).shape == (3, 64, 64)
    with pytest.raises(InputError, match="has more than 100 scans"):
        open_photo(io.BytesIO(content[:-2] + 120 * scan + end))


def test_pages_are_counted_up_to_a_thousand(monkeypatch):
    monkeypatch.setattr(opening, "MAX_COUNTED", 4)
    for count, words in {
        4: "first of 4 pages",
        5: "first of more than 4 pages",
        30: "first of more than 4 pages",
    }.items():
        pages = [Image.new("L", (4, 4), value) for value in range(count)]
        opened = open_picture(stored(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
        assert opened.notes == (words,) and (opened.pixels == 0).all()


# Orientation


@pytest.mark.parametrize("orientation", range(1, 10))
def test_exif_orientation_is_obeyed(orientation):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 6, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for format_name in ("PNG", "TIFF"):
        file = stored(picture, format_name, exif=exif)
        opened = open_picture(file)
        wanted = np.asarray(ImageOps.exif_transpose(Image.open(file)))
        assert np.array_equal(opened.pixels.permute(1, 2, 0).numpy(), wanted[..., :3])
        assert np.array_equal(opened.alpha.numpy(), wanted[..., 3])


# Transparency


def cutouts() -> dict[str, io.BytesIO]:
    """The left half in red or mid grey, the right half clear with black below, 8 x 4."""
    red = Image.new("RGB", (8, 4), (200, 0, 0))
    red.paste("black", (4, 0, 8, 4))
    clear = Image.new("L", (8, 4), 255)
    clear.paste(0, (4, 0, 8, 4))
    with_alpha = red.copy()
    with_alpha.putalpha(clear)
    palette = red.quantize(2)
    gray = Image.new("L", (8, 4), 128)
    gray.paste(0, (4, 0, 8, 4))
    gray_alpha = gray.copy()
    gray_alpha.putalpha(clear)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    one_bit = gray.point(lambda value: 255 * (value > 0)).convert("1")
    black_in_palette = min(range(2), key=lambda index: palette.getpalette()[3 * index])
    return {
        "RGBA": stored(with_alpha),
        "RGBA WebP": stored(with_alpha, "WEBP", lossless=True, exact=True),
        "RGBA TIFF": stored(with_alpha, "TIFF"),
        "LA": stored(gray_alpha),
        "P": stored(palette, transparency=black_in_palette),
        "P GIF": stored(palette, "GIF", transparency=black_in_palette),
        "RGB": stored(red, transparency=(0, 0, 0)),
        "L": stored(gray, transparency=0),
        "1": stored(one_bit, transparency=0),
        "I;16": stored(deep, transparency=0),
    }


@pytest.mark.parametrize("kind", cutouts())
def test_transparency_is_kept_beside_the_colours_and_is_white_in_a_photo(kind):
    file = cutouts()[kind]
    opened, photo = open_picture(file), open_photo(file)
    assert (opened.alpha[:, :4] == 255).all() and (opened.alpha[:, 4:] == 0).all()
    assert (opened.pixels[:, :, 4:] == 0).all() and (photo[:, :, 4:] == 255).all()
    assert torch.equal(photo[:, :, :4], opened.pixels[:, :, :4])
    seen = {"1": (255, 255, 255)}.get(kind, (200, 0, 0) if kind[0] in "RP" else (128, 128, 128))
    assert photo[:, 0, 0].tolist() == pytest.approx(seen, abs=1)


def test_what_shows_nothing_through_has_no_alpha():
    assert open_picture(two_colors().convert("RGBA")).alpha is None


def test_half_clear_pixels_are_mixed_with_white_and_get_their_alpha_back():
    chance = np.random.default_rng(0)
    picture = Image.fromarray(chance.integers(0, 256, (32, 32, 4), dtype=np.uint8))
    opened = open_picture(stored(picture))
    white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    seen = to_picture(opened.over_white())
    assert np.abs(np.asarray(seen).astype(int) - np.asarray(white)).max() <= 1
    assert opened.with_alpha(seen).tobytes() == picture.tobytes()  # nothing done, nothing lost
    darker = seen.point(lambda value: value * 3 // 4)
    back = opened.with_alpha(darker)
    over = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), back).convert("RGB")
    reachable = np.asarray(darker).astype(int) >= 255 - opened.alpha.numpy()[..., None].astype(int) + 1
    solid = opened.alpha.numpy()[..., None] >= 32
    apart = np.abs(np.asarray(over).astype(int) - np.asarray(darker))
    assert (reachable & solid).mean() > 0.4 and apart[reachable & solid].max() <= 2
    assert back.getchannel("A").tobytes() == picture.getchannel("A").tobytes()


def test_results_of_another_size_or_without_transparency_stay_as_they_are():
    opened = open_picture(Image.new("RGBA", (4, 4), (1, 2, 3, 40)))
    frame, photo = Image.new("RGB", (8, 8)), Image.new("RGB", (4, 4))
    assert opened.with_alpha(frame) is frame
    assert OpenedPicture(opened.pixels).with_alpha(photo) is photo


# Depth


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "YCbCr", "LAB", "RGBa", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    gray = mode in ("1", "LA", "I", "F")
    if mode == "LAB":
        picture = Image.new("LAB", (40, 20), (255, 128, 128))
    elif mode == "RGBa":
        picture = two_colors().convert("RGBA").convert("RGBa")
    else:
        picture = two_colors().convert("L" if gray else "RGB").convert(mode)
    photo = open_photo(picture)
    assert photo.shape == (3, 20, 40) and photo.dtype == torch.uint8
    if mode == "LAB":
        assert photo.min() >= 254
    elif mode in ("I", "F"):
        assert torch.equal(photo, open_photo(two_colors().convert("L")))


def test_sixteen_bits_are_scaled_not_clipped():
    values = ramp(65535)
    wanted = torch.from_numpy((values / 257).round().astype(np.uint8)).expand(3, -1, -1)
    for file in (deep_png(values), stored(Image.fromarray(values), "TIFF").getvalue()):
        assert torch.equal(open_photo(io.BytesIO(file)), wanted)
    colors = np.stack([values, values[:, ::-1], np.full_like(values, 65535)], axis=-1)
    photo = open_photo(io.BytesIO(deep_png(colors)))
    assert (photo.permute(1, 2, 0).int() - torch.from_numpy(colors.astype(np.int32) // 257)).abs().max() <= 1


@pytest.mark.parametrize("bits", [1, 8, 16, 32])
def test_a_tiff_whose_white_is_nought_is_no_negative(bits):
    shares = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(16, axis=0)
    if bits == 1:
        picture = Image.fromarray(shares >= 0.5)
    else:
        picture = Image.fromarray(shares if bits == 32 else (shares * (2**bits - 1)).round().astype(f"u{bits // 8}"))
    file = stored(picture, "TIFF").getvalue()
    mark = struct.pack("<HHIHH", 262, 3, 1, 1, 0)  # PhotometricInterpretation: black is 0
    assert file.count(mark) == 1
    negative = file.replace(mark, struct.pack("<HHIHH", 262, 3, 1, 0, 0))
    positive = open_photo(io.BytesIO(file))
    assert positive[:, 0, 0].tolist() == [0, 0, 0] and positive[:, 0, -1].tolist() == [255, 255, 255]
    assert torch.equal(open_photo(io.BytesIO(negative)), 255 - positive)


def test_white_of_signed_values_is_their_largest_or_they_are_refused():
    def signed(values: np.ndarray) -> io.BytesIO:
        return stored(Image.fromarray(values), "TIFF", tiffinfo={339: (2,)})

    values = ramp(32767)
    photo = open_photo(signed(values))
    assert torch.equal(photo[0], torch.from_numpy((values * (255 / 32767)).round().astype(np.uint8)))
    for other in (values - np.uint16(9), ramp(2047), ramp(255).astype(np.uint8)):
        with pytest.raises(InputError, match="values"):
            open_photo(signed(other))


@pytest.mark.parametrize("top", [255, 1023, 4095])
@pytest.mark.parametrize("colour", [False, True])
def test_fewer_bits_than_the_file_says_are_refused(top, colour):
    values = np.stack([ramp(top)] * 3, axis=-1) if colour else ramp(top)
    with pytest.raises(InputError, match=r"values up to [\d,]+, where white would be 65,535.*save it with 8 bits"):
        open_photo(io.BytesIO(deep_png(values)))


def test_a_black_picture_of_sixteen_bits_is_black():
    assert (open_photo(io.BytesIO(deep_png(np.zeros((4, 4), np.uint16)))) == 0).all()


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floats_open_as_what_they_show(top):
    shares = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(8, axis=0)
    photo = open_photo(stored(Image.fromarray(shares * np.float32(top)), "TIFF"))
    assert np.array_equal(photo[0].numpy(), (shares * 255).round().astype(np.uint8))


@pytest.mark.parametrize("values", [[-0.5, 1], [0, 4.5], [0, np.nan], [0, np.inf], [0, 1e9], [0, 1000.0]])
def test_floats_whose_range_says_nothing_are_refused(values):
    picture = Image.fromarray(np.array([values], np.float32))
    with pytest.raises(InputError, match="values"):
        open_photo(stored(picture, "TIFF"))


# Size


def test_a_picture_and_a_photo_are_the_same():
    picture = two_colors()
    photo = open_photo(picture)
    assert to_picture(photo).tobytes() == picture.tobytes()
    assert open_photo(photo) is photo
    opened = open_picture(picture)
    assert open_picture(opened) is opened


@pytest.mark.parametrize("orientation", [1, 6])
def test_rows_of_an_opened_photo_are_no_copy(orientation):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8))
    picture.save(file, "PNG", exif=exif)
    photo, upright = open_photo(file), np.asarray(ImageOps.exif_transpose(Image.open(file)))
    assert np.shares_memory(to_rows(photo), photo.numpy()) and np.array_equal(to_rows(photo), upright)
    part = photo[:, 2:5, 1:4]
    assert np.array_equal(to_rows(part), upright[2:5, 1:4]) and to_rows(part).flags.c_contiguous
    planes = photo.contiguous()
    assert not planes.permute(1, 2, 0).is_contiguous() and np.array_equal(to_rows(planes), upright)


def test_a_huge_picture_is_refused():
    with pytest.raises(InputError, match="20000 x 6000 px; send one of at most 100,000,000"):
        open_photo(Image.new("1", (20000, 6000)))
    head = struct.pack(">IIBBBBB", 20000, 6000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + bytes(4)
    with pytest.raises(InputError):
        open_photo(io.BytesIO(bomb))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "JPEG2000", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16", "CMYK"])
def test_large_pictures_are_read_at_half_their_size(format_name, mode, monkeypatch):
    if (format_name, mode) not in {("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"),
                                   ("PNG", "I;16"), ("JPEG2000", "RGB"), ("TIFF", "CMYK")}:  # fmt: skip
        pytest.skip("the format does not hold it")
    columns = np.linspace(60, 220, 101).round().astype(np.uint8)[None].repeat(51, axis=0)
    picture = Image.fromarray(columns)
    if mode == "I;16":
        picture = Image.fromarray(columns.astype(np.uint16) * 257)
    else:
        picture = picture.convert("P") if mode == "P" else picture.convert("RGB").convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.new("L", picture.size, 77))
    file = stored(picture, format_name, **({"quality": 95} if format_name == "JPEG" else {}))
    whole = open_picture(file)
    monkeypatch.setattr(opening, "WHOLE_PIXELS", 5000)
    monkeypatch.setattr(opening, "_STRIP_PIXELS", 700)
    opened = open_picture(file)
    assert opened.pixels.shape == (3, 26, 51) and opened.reduced_by == 2
    assert opened.notes == ("read at half of its 101 x 51 px",)
    assert (opened.alpha is not None) == (mode == "RGBA") and (opened.alpha is None or (opened.alpha == 77).all())
    assert (opened.pixels[:, :25, :50].int() - whole.pixels[:, ::2, ::2][:, :25, :50].int()).abs().max() <= 4


def test_strips_change_nothing(monkeypatch):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 23, 4), dtype=np.uint8))
    kinds = [picture, picture.convert("RGB").quantize(16), Image.fromarray(ramp(65535)), picture.convert("CMYK")]
    whole = [open_picture(one) for one in kinds]
    monkeypatch.setattr(opening, "_STRIP_PIXELS", 100)
    for one, wanted in zip(kinds, whole, strict=True):
        opened = open_picture(one)
        assert torch.equal(opened.pixels, wanted.pixels)
        assert opened.alpha is None or torch.equal(opened.alpha, wanted.alpha)


def test_a_jpeg_is_read_no_larger_than_is_enough():
    file = stored(two_colors().resize((640, 320)), "JPEG")
    assert open_picture(file, enough_px=64).pixels.shape == (3, 80, 160)
    assert open_picture(file, enough_px=400).pixels.shape == (3, 320, 640)
    assert open_picture(file).pixels.shape == (3, 320, 640)


@pytest.mark.parametrize(("orientation", "whole"), [(1, (643, 321)), (6, (321, 643))])
def test_a_jpeg_that_was_read_smaller_knows_its_whole_size(orientation, whole):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = stored(two_colors().resize((643, 321)), "JPEG", exif=exif)
    opened = open_picture(file, enough_px=64)
    assert opened.whole_size == whole == open_picture(file).pixels.shape[:0:-1]
    assert opened.pixels.shape[1] < whole[1] and open_picture(file).whole_size is None


MEASURE = """
import sys
from gan_space.photos import opening
def peak_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
opening.WHOLE_PIXELS, opening._STRIP_PIXELS = 10_000_000, 1_000_000
before = peak_kb()
opened = opening.open_picture(sys.argv[1])
print(*opened.pixels.shape, (peak_kb() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell the peak of a process")
def test_a_large_jpeg_is_never_held_whole(tmp_path):
    file = tmp_path / "phone.jpg"
    Image.new("RGB", (5000, 4000), (90, 40, 10)).save(file, quality=50)
    answer = subprocess.run([sys.executable, "-c", MEASURE, file], capture_output=True, text=True, check=True).stdout
    *shape, grown_mb = map(int, answer.split())
    assert shape == [3, 2000, 2500]
    assert grown_mb < 60  # 20 million pixels would take 80 MB in Pillow and 60 MB as a tensor
