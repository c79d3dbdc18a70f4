"""Reading labels back: from damaged, foreign and hostile files too."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from gan_space.errors import InputError
from gan_space.output.provenance import (
    SOFTWARE,
    Provenance,
    describe,
    read_provenance,
    save_image,
)
from gan_space.output.xmp import MAX_READ_BYTES, build_packet
from tests.output.labelled import IPTC, RECIPE, foreign_packet, photo, png_with


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
        with pytest.raises(InputError, match=r"as a picture|picture is empty|a\.png' is empty"):
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
