"""Pictures and packets that the tests of labels write and read."""

from __future__ import annotations

import html
import io
import re

import numpy as np
from PIL import Image, PngImagePlugin

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
