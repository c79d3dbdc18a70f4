"""XMP packets (ISO 16684-1) with simple text properties: built, and read from files that nobody vouches for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from gan_space.errors import InputError

MAX_PACKET_BYTES = 65_504  # written: a JPEG segment of 65,535 less its length field and the XMP signature
MAX_READ_BYTES = 2**20  # read: photo editors may embed a thumbnail

NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    "gan_space": "urn:gan-space:provenance:1.0/",
}
for _prefix, _uri in NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)  # some readers look for the prefix, not for the namespace

_NOT_XML = re.compile("[\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # JSON lets these through, XML or UTF-8 does not


def build_packet(properties: Mapping[str, str]) -> bytes:
    """Return an XMP packet of `properties`, {"prefix:name": text} with the prefixes of `NAMESPACES`, in UTF-8."""
    meta = ElementTree.Element(_qualified("x:xmpmeta"))
    rdf = ElementTree.SubElement(meta, _qualified("rdf:RDF"))
    description = ElementTree.SubElement(rdf, _qualified("rdf:Description"), {_qualified("rdf:about"): ""})
    for name, value in properties.items():
        ElementTree.SubElement(description, _qualified(name)).text = value
    body = ElementTree.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{body}<?xpacket end="w"?>'.encode()


def read_packet(packet: bytes | str, names: Sequence[str], origin: str) -> dict[str, str]:
    """Return those of the simple properties `names` ("prefix:name") that a packet holds, as {name: text}.

    `origin` names the file in messages. Nested descriptions, which speak of other pictures, are passed over.

    Raises:
        InputError: the packet is malformed or larger than `MAX_READ_BYTES`, or declares a document type or entities:
            XMP never needs them, and attacks do ("billion laughs").
    """
    mend = "save the picture anew without its metadata"
    if len(packet) > MAX_READ_BYTES:
        raise InputError(f"the XMP packet of {origin} has {len(packet):,} bytes, read are {MAX_READ_BYTES:,}; {mend}")
    try:
        # Decoded first: no encoding declared inside may hide a document type from the next line.
        text = packet.decode("utf-8-sig") if isinstance(packet, bytes) else packet
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise InputError(f"the XMP packet of {origin} declares a document type or entities, refused; {mend}")
        text = text.strip("\0\ufeff \t\r\n")
        if "\0" in text:  # expat would take it for UTF-16 and find in it what the check above could not
            raise ElementTree.ParseError("it holds NUL characters")
        root = ElementTree.fromstring(text)
    except (UnicodeError, ElementTree.ParseError) as error:
        raise InputError(f"the XMP packet of {origin} is not well-formed XML in UTF-8 ({error}); {mend}") from error

    found: dict[str, str] = {}
    rdf = next(root.iter(_qualified("rdf:RDF")), root)
    for description in rdf.findall(_qualified("rdf:Description")):
        for prefixed in names:
            value = description.get(_qualified(prefixed))
            element = description.find(_qualified(prefixed))
            if element is not None:
                value = element.get(_qualified("rdf:resource")) or element.text
            if value and value.strip():
                found.setdefault(prefixed, value.strip())
    return found


def to_json(value: Any, sort_keys: bool = False) -> str:
    """Return compact JSON that is also legal as XML text and UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort_keys)
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def json_object(text: str | bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in `text`, or None for anything else."""
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _qualified(name: str) -> str:
    """Turn "prefix:name" into ElementTree's "{namespace}name"."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"
