"""Small pictures of kinds that Pillow cannot write."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from PIL import Image


def two_colors() -> Image.Image:
    """Red on the left, blue on the right, 40 x 20."""
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (20, 0, 40, 20))
    return picture


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel from [H, W, 3] or [H, W] uint16."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if values.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
              for name, body in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


# 64 x 48, left half red, right half blue above and white below, to be seen turned by a quarter clockwise.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAAB7AABAAAAAAAAANQAAgAAAAACwAABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABB2lwcnAAAADmaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkA"
    "AAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEH"
    "BpeGkAAAAAAwgICAAAAAlpcm90AwAAABlpcG1hAAAAAAAAAAEAAQaBAgMFhIYAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAQBtZGF0AAAA"
    "0CgBrwngPfMi///yPzf//LDOy/vFqq2sao//rIgu+2r//zp9lhwm54lRz4sYPj4L4Eq915qLv78ZbCaztezxWJ0DrJ87BvHIV62YZ5NaWp16gH"
    "CJ0tMcAAWk1j9TlTXyy333zX9qPAVZAIxcCXSVdGUiIiFBG4TE8LgasASi1mNlI5dkHWFm9evtznCAGqaJ5YdQbe/MJrgb6JlCkPWT+KizbIoR"
    "dYmqw/QWs//0Zjt5YQ0Fxm1MaddPp+76wV+19FvzVKSvPjm+I6vw6+/nv9gAAAAGRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAA="
)
