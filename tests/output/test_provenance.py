"""Labels are in the bytes of every saved file, whatever stands in the recipe, and come back as they were."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.common import interleave
from gan_space.errors import InputError
from gan_space.output.provenance import (
    SOFTWARE,
    Provenance,
    describe,
    read_provenance,
    save_animation,
    save_image,
)
from gan_space.output.xmp import MAX_PACKET_BYTES
from tests.output.labelled import AIGC_KEYS, IPTC, RECIPE, SUFFIXES, photo, xmp_text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_from_path_and_from_bytes(tmp_path, suffix):
    path = save_image(photo(), tmp_path / f"a{suffix}", recipe=RECIPE, producer="某公司 & Söhne")
    found = read_provenance(path)
    assert found == read_provenance(str(path)) == read_provenance(path.read_bytes())
    assert found.digital_source_type == IPTC + "trainedAlgorithmicMedia"
    assert found.recipe == RECIPE
    assert found.software == SOFTWARE
    assert set(found.aigc) == AIGC_KEYS
    assert found.aigc["Label"] == "1"
    assert found.aigc["ContentProducer"] == "某公司 & Söhne"
    assert re.fullmatch("[0-9a-f]{32}", found.aigc["ProduceID"])
    assert found.is_ai_made and not found.has_c2pa and found.inherited == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_are_found_in_the_bytes_without_our_reader(tmp_path, suffix):
    data = save_image(photo(), tmp_path / f"a{suffix}", recipe=RECIPE, source="edited").read_bytes()
    assert xmp_text(data, "Iptc4xmpExt:DigitalSourceType") == IPTC + "compositeWithTrainedAlgorithmicMedia"
    assert json.loads(xmp_text(data, "TC260:AIGC"))["Label"] == "1"
    assert json.loads(xmp_text(data, "gan_space:Recipe")) == RECIPE
    assert b'xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/"' in data
    container = {".png": b"iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket", ".webp": b"XMP "}
    assert container.get(suffix.lower(), b"http://ns.adobe.com/xap/1.0/\0<?xpacket") in data
    with Image.open(io.BytesIO(data)) as picture:
        exif = picture.getexif()
        picture.load()
    assert exif[0x0131] == SOFTWARE
    assert "edited with AI" in exif[0x010E]


def test_animation_from_bytes(tmp_path):
    frames = [photo(seed=seed) for seed in range(4)]
    path = save_animation(frames, tmp_path / "a.webp", recipe=RECIPE, fps=30, source="edited", visible_label=True)
    data = path.read_bytes()
    assert xmp_text(data, "Iptc4xmpExt:DigitalSourceType").endswith("compositeWithTrainedAlgorithmicMedia")
    assert read_provenance(data).recipe == RECIPE
    assert data[data.index(b"EXIF") + 8 :][:2] in (b"II", b"MM")  # the chunk holds TIFF without JPEG's header
    durations = []
    with Image.open(io.BytesIO(data)) as movie:
        assert (movie.n_frames, movie.info["loop"], movie.size) == (4, 0, (48, 40))
        assert movie.getexif()[0x0131] == SOFTWARE
        for index in range(4):
            movie.seek(index)
            movie.load()
            durations.append(movie.info["duration"])
    assert durations == [33, 34, 33, 33]


def test_animation_of_one_frame_keeps_its_label(tmp_path):
    path = save_animation([photo()], tmp_path / "a.webp", recipe=RECIPE, fps=1)
    assert read_provenance(path).recipe == RECIPE


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_png_pixels_are_unchanged(tmp_path, mode):
    picture = photo(mode)
    with Image.open(save_image(picture, tmp_path / "a.png", recipe=RECIPE)) as saved:
        assert saved.mode == mode
        assert saved.tobytes() == picture.tobytes()


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("visible_label", [False, True])
def test_every_eight_bit_mode_is_saved(tmp_path, mode, suffix, visible_label):
    path = save_image(photo(mode), tmp_path / f"a{suffix}", recipe=RECIPE, visible_label=visible_label)
    assert read_provenance(path).recipe == RECIPE
    with Image.open(path) as saved:
        assert saved.size == (48, 40)


def test_jpeg_puts_transparency_on_white(tmp_path):
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    with Image.open(save_image(clear, tmp_path / "a.jpg", recipe=RECIPE)) as saved:
        assert saved.getpixel((8, 8)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_colour_profile_is_kept_and_private_exif_is_not(tmp_path, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a camera maker"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    buffer = io.BytesIO()
    photo().save(buffer, "JPEG", icc_profile=profile, exif=exif, comment=b"my address")
    with Image.open(buffer) as original:
        data = save_image(original, tmp_path / f"a{suffix}", recipe=RECIPE).read_bytes()
    with Image.open(io.BytesIO(data)) as saved:
        assert saved.info["icc_profile"] == profile
        assert set(saved.getexif()) == {0x010E, 0x0131}
    assert b"my address" not in data and b"camera maker" not in data


def test_profile_of_other_pixels_is_dropped(tmp_path):
    picture = photo("CMYK")
    picture.info["icc_profile"] = bytes(16) + b"CMYK" + bytes(108)
    with Image.open(save_image(picture, tmp_path / "a.jpg", recipe=RECIPE)) as saved:
        assert "icc_profile" not in saved.info


HOSTILE = {
    "cdata": "]]>",
    "markup": '<rdf:Description><a b="\'">&amp;&#0;&lol;',
    "doctype": '<!DOCTYPE x [<!ENTITY a "b">]>',
    "packet end": '<?xpacket end="w"?>-->',
    "text": '生成 网红 🧑🏽‍🎤 "quoted" \\u0041 \\',
    "controls": "".join(map(chr, range(32))) + "\x7f\x85\u2028\ufeff\ufffe\uffff",
    "surrogate": "\ud800",
    "clé <&>\0": [None, True, -1.5e-300, 2**70, {"深": []}],
    "": "  spaces  ",
}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_hostile_recipes_come_back_as_they_were(tmp_path, suffix):
    data = save_image(photo(), tmp_path / f"a{suffix}", recipe=HOSTILE).read_bytes()
    assert read_provenance(data).recipe == HOSTILE
    assert json.loads(xmp_text(data, "gan_space:Recipe")) == HOSTILE
    assert data.count(b"<rdf:Description") == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_documented_size_fits_and_more_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    assert read_provenance(save_image(photo(), path, recipe={"p": "x" * 60_000})).recipe == {"p": "x" * 60_000}
    labels = Provenance(IPTC + "&" * 999, dict.fromkeys(AIGC_KEYS, "&" * 999), software="&" * 999)
    crowded = Provenance(labels.digital_source_type, labels.aigc, None, "&", tuple([labels.aigc] * 9), True)
    save_image(photo(), path, recipe={"p": "x" * 40_000}, inherited=crowded, producer="&" * 200)
    before = path.read_bytes()
    for recipe in ({"prompt": "x" * 100_000, "seed": 1}, {"prompt": "<" * 20_000}):
        with pytest.raises(InputError, match=rf"{MAX_PACKET_BYTES:,}.*'prompt'"):
            save_image(photo(), path, recipe=recipe)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("recipe", [{"a": {1}}, {"a": float("nan")}, {"a": np.float32(1)}, {(1,): 1}, ["a"], None])
def test_recipes_that_json_cannot_express_are_refused(tmp_path, recipe):
    with pytest.raises(InputError, match="JSON"):
        save_image(photo(), tmp_path / "a.png", recipe=recipe)
    assert os.listdir(tmp_path) == []


def test_recipe_that_contains_itself_is_refused(tmp_path):
    recipe: dict = {}
    recipe["self"] = recipe
    with pytest.raises(InputError, match="JSON"):
        save_image(photo(), tmp_path / "a.png", recipe=recipe)


def test_produce_id_depends_on_pixels_and_recipe_alone(tmp_path):
    def produce_id(picture: Image.Image, recipe: dict, name: str, **options) -> str:
        return read_provenance(save_image(picture, tmp_path / name, recipe=recipe, **options)).aigc["ProduceID"]

    first = produce_id(photo(), RECIPE, "a.png")
    assert first == produce_id(photo(), dict(reversed(RECIPE.items())), "b.jpg", producer="another")
    others = {
        produce_id(photo(seed=1), RECIPE, "c.png"),
        produce_id(photo(), RECIPE | {"seed": 8}, "d.png"),
        produce_id(Image.frombytes("RGB", (40, 48), photo().tobytes()), RECIPE, "e.png"),
    }
    assert len(others | {first}) == 4


def test_labels_of_an_edited_picture_are_passed_on(tmp_path):
    first = save_image(photo(), tmp_path / "a.png", recipe=RECIPE)
    label = read_provenance(first)
    second = save_image(photo(), tmp_path / "b.jpg", recipe={}, source="edited", inherited=label)
    (kept,) = read_provenance(second).inherited
    assert kept["digital_source_type"] == IPTC + "trainedAlgorithmicMedia"
    assert kept["software"] == SOFTWARE
    assert kept["ProduceID"] == label.aigc["ProduceID"]
    third = save_image(photo(), tmp_path / "c.webp", recipe={}, source="edited", inherited=read_provenance(second))
    kept = read_provenance(third).inherited
    assert [entry["digital_source_type"].rpartition("/")[2] for entry in kept] == [
        "compositeWithTrainedAlgorithmicMedia",
        "trainedAlgorithmicMedia",
    ]
    assert "2 earlier" in describe(read_provenance(third))


def test_c2pa_manifest_is_noticed_and_passed_on(tmp_path):
    # A PNG's manifest store sits in a caBX chunk: JUMBF superbox, then description box with the store's UUID.
    uuid = bytes.fromhex("63327061 0011 0010 8000 00AA00389B71".replace(" ", ""))
    box = b"jumd" + uuid + b"\x03c2pa\0"
    box = (len(box) + 4).to_bytes(4, "big") + box
    box = (len(box) + 8).to_bytes(4, "big") + b"jumb" + box
    chunk = len(box).to_bytes(4, "big") + b"caBX" + box + zlib.crc32(b"caBX" + box).to_bytes(4, "big")
    buffer = io.BytesIO()
    photo().save(buffer, "PNG")
    plain = buffer.getvalue()
    assert read_provenance(plain) is None
    found = read_provenance(plain[:33] + chunk + plain[33:])  # after signature and IHDR
    assert found == Provenance(has_c2pa=True)
    assert "C2PA" in describe(found)
    edited = save_image(photo(), tmp_path / "a.png", recipe={}, source="edited", inherited=found)
    assert read_provenance(edited).inherited == ({"c2pa": True},)


@pytest.mark.parametrize("suffix", ["", ".gif", ".tiff", ".txt", ".png.zip"])
def test_other_suffixes_are_refused(tmp_path, suffix):
    with pytest.raises(InputError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
        save_image(photo(), tmp_path / f"a{suffix}", recipe=RECIPE)
    with pytest.raises(InputError, match=r"\.webp"):
        save_animation([photo()], tmp_path / f"a{suffix}", recipe=RECIPE, fps=5)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [{"source": "real"}, {"source": ["edited"]}, {"producer": ""}, {"producer": "x" * 201}, {"producer": None}],
)
def test_wrong_options_are_refused(tmp_path, change):
    (name,) = change
    with pytest.raises(InputError, match=name):
        save_image(photo(), tmp_path / "a.png", recipe=RECIPE, **change)
    with pytest.raises(InputError, match=name):
        save_animation([photo()], tmp_path / "a.webp", recipe=RECIPE, fps=5, **change)


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        ([], 5, "0 frames"),
        ([photo(), photo(size=(8, 8))], 5, "one size"),
        ([photo()], 0, "fps"),
        ([photo()], 61, "fps"),
        ([photo()], 2.5, "fps"),
        ([photo()], True, "fps"),
        ([np.zeros((4, 4, 3))], 5, "ndarray"),
    ],
)
def test_wrong_animations_are_refused(tmp_path, frames, fps, message):
    with pytest.raises(InputError, match=message):
        save_animation(frames, tmp_path / "a.webp", recipe=RECIPE, fps=fps)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4, 3)), "ndarray.*to_pil"),
        (Image.new("RGB", (0, 4)), "0 x 4"),
        (Image.new("I;16", (4, 4)), "I;16"),
        (Image.new("F", (4, 4)), "'F'"),
        (Image.new("RGB", (16_384, 1)), "16384 x 1"),  # one more than WebP can hold
    ],
)
def test_pictures_that_cannot_be_saved_leave_no_file(tmp_path, picture, message):
    with pytest.raises(InputError, match=message):
        save_image(picture, tmp_path / "a.webp", recipe=RECIPE)
    assert os.listdir(tmp_path) == []


def test_failed_writes_leave_no_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    for place in ("missing/a.png", "file/a.png", "folder.png", "a\0.png", "x" * 300 + ".png"):
        with pytest.raises(InputError, match="cannot write"):
            save_image(photo(), tmp_path / place, recipe=RECIPE)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


def test_full_disk_leaves_the_old_file(tmp_path):
    """A process that may write 4 KiB a file stands for a disk that is full half way through."""
    save_image(photo(), tmp_path / "a.png", recipe=RECIPE)
    before = (tmp_path / "a.png").read_bytes()
    script = (
        "import resource, signal, sys; from PIL import Image; from gan_space.output.provenance import save_image\n"
        "from gan_space.errors import InputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: save_image(Image.effect_noise((99, 99), 99), sys.argv[1], recipe={})\n"
        "except InputError as error: sys.exit(f'refused: {error}')"
    )
    run = [sys.executable, "-B", "-c", script, str(tmp_path / "a.png")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "refused: cannot write" in done.stderr
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


def test_saved_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    path = save_image(photo(), tmp_path / "a.png", recipe=RECIPE)
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_visible_label_touches_only_its_corner(tmp_path):
    picture = photo(size=(200, 200))
    path = save_image(picture, tmp_path / "a.png", recipe=RECIPE, visible_label=True)
    with Image.open(path) as saved:
        difference = np.asarray(saved).astype(int) - np.asarray(picture)
    assert not difference[:140].any() and not difference[:, :70].any()
    assert difference[150:, 120:].any()


@pytest.mark.slow
def test_labels_cost_little_next_to_compression(tmp_path):
    picture = Image.effect_noise((1024, 1024), 60).convert("RGB")

    timings = interleave(  # in turns: what else the machine does meanwhile slows both
        {
            "alone": lambda: picture.save(tmp_path / "a.png", compress_level=4),
            "labelled": lambda: save_image(picture, tmp_path / "b.png", recipe=RECIPE, visible_label=True),
        },
        repeats=5,
    )
    assert min(timings["labelled"].cpu_sec) < 1.5 * min(timings["alone"].cpu_sec)
