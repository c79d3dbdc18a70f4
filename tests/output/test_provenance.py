"""Labels are in the bytes of every saved file, whatever stands in the recipe, and come back as they were."""

from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from gan_space.errors import InputError
from gan_space.output.provenance import (
    SOFTWARE,
    Provenance,
    describe,
    read_provenance,
    save_animation,
    save_image,
)
from gan_space.output.xmp import MAX_PACKET_BYTES, MAX_READ_BYTES, build_packet

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
RECIPE = {"model": "default", "revision": "0123456789abcdef", "seed": 7, "truncation_psi": 0.7}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".PNG")
AIGC_KEYS = {
    "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"
}  # fmt: skip


def photo(mode: str = "RGB", size: tuple[int, int] = (48, 40), seed: int = 0) -> Image.Image:
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def xmp_text(data: bytes, name: str) -> str:
    """Take one property out of the file's bytes without any parser of metadata."""
    (value,) = re.findall(f"<{name}>(.*?)</{name}>".encode(), data, re.DOTALL)
    return html.unescape(value.decode())


def png_with(text: str | bytes, key: str = "XML:com.adobe.xmp") -> bytes:
    info, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_itxt(key, text.decode() if isinstance(text, bytes) else text)
    photo().save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def foreign_packet(description: str, before: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:t="http://www.tc260.org.cn/ns/AIGC/1.0/" xmlns:p="http://ns.adobe.com/xap/1.0/">{description}'
        "</r:RDF></x:xmpmeta>"
    )


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


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_unlabelled_pictures_have_no_provenance(format_name):
    buffer = io.BytesIO()
    photo().save(buffer, format_name)
    assert read_provenance(buffer.getvalue()) is None
    assert describe(None) == "no provenance label"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n", b"RIFF\4\0\0\0WEBP"]
)
def test_what_is_no_picture_is_refused(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    for given in (data, tmp_path / "a.png"):
        with pytest.raises(InputError, match="as a picture"):
            read_provenance(given)


def test_missing_files_are_refused(tmp_path):
    for place in (tmp_path, tmp_path / "missing.png", "a\0b"):
        with pytest.raises(InputError, match="cannot read"):
            read_provenance(place)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_damaged_files_give_a_result_or_an_input_error(tmp_path, suffix):
    data = save_image(photo(size=(16, 16)), tmp_path / f"a{suffix}", recipe=RECIPE).read_bytes()
    random = np.random.RandomState(0)
    refused = 0
    for trial in range(150):
        damaged = bytearray(data if trial % 2 else data[: random.randint(1, len(data))])
        for position in random.randint(0, len(damaged), 3):
            damaged[position] = random.randint(256)
        try:
            found = read_provenance(bytes(damaged))
        except InputError:
            refused += 1
        else:
            assert found is None or isinstance(describe(found), str)
    assert 0 < refused < 150


def test_foreign_labels_are_read():
    attribute = f'<r:Description i:DigitalSourceType="{IPTC}digitalCapture" p:CreatorTool="Camera"/>'
    found = read_provenance(png_with(foreign_packet(attribute)))
    assert found == Provenance(digital_source_type=IPTC + "digitalCapture", software="Camera")
    assert not found.is_ai_made
    assert describe(found) == "source type digitalCapture, with Camera"

    resource_ = f'<r:Description><i:DigitalSourceType r:resource="{IPTC}trainedAlgorithmicMedia"/></r:Description>'
    assert read_provenance(png_with(foreign_packet(resource_))).is_ai_made

    escaped = "<r:Description><t:AIGC>{&quot;Label&quot;:&quot;2&quot;}</t:AIGC></r:Description>"
    found = read_provenance(png_with(foreign_packet(escaped)))
    assert found.aigc == {"Label": "2"} and describe(found) == "possibly AI-generated"

    assert read_provenance(png_with('{"Label":"1"}', key="AIGC")).is_ai_made
    assert read_provenance(png_with(foreign_packet('<r:Description p:CreatorTool="Editor"/>'))) is None


def test_labels_of_nested_pictures_are_not_taken_for_the_files_own():
    nested = (
        '<r:Description><p:Ingredients><r:Bag><r:li><r:Description><t:AIGC>{"Label":"1"}</t:AIGC>'
        "</r:Description></r:li></r:Bag></p:Ingredients></r:Description>"
    )
    assert read_provenance(png_with(foreign_packet(nested))) is None


@pytest.mark.parametrize("text", ["{", "[1]", "1", "[" * 100_000, '{"a":' * 50_000, "9" * 5000, "nonsense"])
def test_labels_that_cannot_be_understood_are_still_labels(text):
    packet = build_packet({"TC260:AIGC": text, "gan_space:Recipe": text, "gan_space:Inherited": text})
    found = read_provenance(png_with(packet))
    assert found == Provenance(aigc={})
    assert describe(found) == "labelled, but not with how it was made"


@pytest.mark.parametrize("labels", [1, {}, [1, None, [], "a", {"unknown": 1}], [{"Label": {"a": ["\x1b[2J" * 99]}}]])
def test_inherited_entries_of_any_shape_are_tamed(labels):
    packet = build_packet({"TC260:AIGC": "{}", "gan_space:Inherited": json.dumps({"labels": labels})})
    for label in read_provenance(png_with(packet)).inherited:
        assert set(label) == {"Label"} and len(label["Label"]) <= 120


def test_packet_after_the_pixels_of_a_png_is_found(tmp_path):
    data = save_image(photo(), tmp_path / "a.png", recipe=RECIPE).read_bytes()
    start = data.index(b"iTXt") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]  # IEND is 12 bytes
    assert read_provenance(moved).recipe == RECIPE


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("packet", "message"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "document type or entities"),
        ("<x>", "not well-formed"),
    ],
)
def test_hostile_packets_are_refused_in_every_format(format_name, packet, message):
    buffer = io.BytesIO(png_with(packet))
    if format_name != "PNG":
        photo().save(buffer := io.BytesIO(), format_name, xmp=packet.encode())
    with pytest.raises(InputError, match=message):
        read_provenance(buffer.getvalue())


def test_oversized_packet_is_refused():
    photo().save(buffer := io.BytesIO(), "WEBP", xmp=b" " * MAX_READ_BYTES + b"<a/>")
    with pytest.raises(InputError, match=f"{MAX_READ_BYTES:,}"):
        read_provenance(buffer.getvalue())


def test_describe_names_what_matters(tmp_path):
    found = read_provenance(save_image(photo(), tmp_path / "a.png", recipe=RECIPE, producer="我们"))
    line = describe(found)
    assert line.startswith(f"AI-generated, with {SOFTWARE}, by 我们, model default@0123456789, seed 7, id ")
    edited = read_provenance(save_image(photo(), tmp_path / "a.png", recipe={"pack": "ink"}, source="edited"))
    assert describe(edited).startswith("edited with AI") and "pack ink" in describe(edited)


def test_describe_cannot_be_used_against_a_terminal():
    bad = "\x1b[2J\n\u202e" + "x" * 9999
    line = describe(
        Provenance(f"http://x/{bad}", {"ContentProducer": bad, "ProduceID": [bad]}, {"model": bad, "seed": bad}, bad)
    )
    assert line.isprintable() and len(line) < 500


def test_visible_label_touches_only_its_corner(tmp_path):
    picture = photo(size=(200, 200))
    path = save_image(picture, tmp_path / "a.png", recipe=RECIPE, visible_label=True)
    with Image.open(path) as saved:
        difference = np.asarray(saved).astype(int) - np.asarray(picture)
    assert not difference[:140].any() and not difference[:, :70].any()
    assert difference[150:, 120:].any()


def test_labels_cost_little_next_to_compression(tmp_path):
    picture = Image.effect_noise((1024, 1024), 60).convert("RGB")

    def cpu_sec(action) -> float:
        times = []
        for _ in range(5):
            start = time.thread_time()
            action()
            times.append(time.thread_time() - start)
        return min(times)

    alone = cpu_sec(lambda: picture.save(tmp_path / "a.png", compress_level=4))
    labelled = cpu_sec(lambda: save_image(picture, tmp_path / "b.png", recipe=RECIPE, visible_label=True))
    assert labelled < 1.3 * alone
