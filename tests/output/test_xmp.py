"""Packets survive a round trip, and hostile ones cost neither time nor memory."""

from __future__ import annotations

import tracemalloc
from xml.dom import minidom

import pytest

from gan_space.errors import InputError
from gan_space.output.xmp import MAX_READ_BYTES, NAMESPACES, build_packet, json_object, read_packet, to_json

AIGC = "TC260:AIGC"


def packet_around(text: str, doctype: str = "", encoding: str = "UTF-8") -> str:
    return (
        f'<?xml version="1.0" encoding="{encoding}"?>{doctype}<x:xmpmeta xmlns:x="{NAMESPACES["x"]}">'
        f'<r:RDF xmlns:r="{NAMESPACES["rdf"]}"><r:Description xmlns:t="{NAMESPACES["TC260"]}"><t:AIGC>{text}</t:AIGC>'
        "</r:Description></r:RDF></x:xmpmeta>"
    )


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


def test_another_parser_reads_the_same():
    text = "]]> <a b='c'> &amp; \"生成\" 🧑🏽‍🎤"
    packet = build_packet({AIGC: text, "xmp:CreatorTool": "x"})
    (element,) = minidom.parseString(packet).getElementsByTagNameNS(NAMESPACES["TC260"], "AIGC")
    assert element.firstChild.data == text
    assert read_packet(packet, (AIGC, "gan_space:Recipe"), "x") == {AIGC: text}
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode())


@pytest.mark.parametrize("padding", [b"", b"\0" * 9, b" \n" * 99, b"\xef\xbb\xbf"])
def test_padding_around_a_packet_is_passed_over(padding):
    assert read_packet(padding + build_packet({AIGC: "x"}) + padding, (AIGC,), "x") == {AIGC: "x"}


def test_rdf_without_an_outer_element_is_read():
    inner = packet_around("x").partition("<r:RDF")
    assert read_packet("<r:RDF" + inner[2].removesuffix("</x:xmpmeta>"), (AIGC,), "x") == {AIGC: "x"}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7", "cp037"]
)
def test_billion_laughs_is_refused_without_memory(encoding):
    doctype = f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>'
    packet = packet_around("&l11;", doctype, encoding.removesuffix("-sig")).encode(encoding)
    tracemalloc.start()  # counts the memory of the XML parser too
    try:
        with pytest.raises(InputError, match=r"document type or entities|not well-formed"):
            read_packet(packet, (AIGC,), "x")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_external_entities_are_refused(tmp_path):
    (tmp_path / "secret").write_text("secret")
    doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    with pytest.raises(InputError, match="document type or entities"):
        read_packet(packet_around("&e;", doctype), (AIGC,), "x")


@pytest.mark.parametrize("packet", ["", "<a>", "&undefined;", "no markup", "<a xmlns:b=''/>", b"\xff<a/>", "<a>\0</a>"])
def test_malformed_packets_are_refused(packet):
    with pytest.raises(InputError, match="the XMP packet of x is not well-formed"):
        read_packet(packet, (AIGC,), "x")


def test_packets_up_to_the_limit_are_read():
    room = MAX_READ_BYTES - len(build_packet({AIGC: ""})) - 20
    assert read_packet(build_packet({AIGC: "a" * room}), (AIGC,), "x") == {AIGC: "a" * room}
    with pytest.raises(InputError, match=f"{MAX_READ_BYTES:,}"):
        read_packet(build_packet({AIGC: "a" * MAX_READ_BYTES}), (AIGC,), "x")


def test_deep_packets_do_not_overflow_the_stack():
    deep = "<a>" * 100_000 + "</a>" * 100_000
    assert read_packet(deep, (AIGC,), "x") == {}


def test_json_is_legal_as_xml_for_every_character():
    # Surrogates run downwards: a high one before a low one is a pair, which JSON reads as one character.
    codes = [*range(0x300), *range(0x2000, 0x2070), *range(0xDFFF, 0xD7FF, -1), *range(0xE000, 0x10000), 0x10FFFF]
    text = "".join(map(chr, codes))
    packet = build_packet({AIGC: to_json({"a": text})})
    minidom.parseString(packet)
    assert json_object(read_packet(packet, (AIGC,), "x")[AIGC]) == {"a": text}


@pytest.mark.parametrize("text", [None, "", "{", "[]", "1", "null", "[" * 100_000, '{"a":' * 100_000, "9" * 5000])
def test_what_is_no_json_object_is_none(text):
    assert json_object(text) is None
