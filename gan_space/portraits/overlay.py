"""A picture of what was found in a photo, for a person to see and choose from."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan_space.faces.find import Face
from gan_space.photos.opening import to_picture

_USABLE, _NOT_USABLE, _CHOSEN = (80, 200, 255), (255, 150, 60), (90, 240, 120)


def draw_faces(photo: Tensor, faces: Sequence[Face], chosen: Sequence[int] = ()) -> Image.Image:
    """Draw what was found, for a person to see and choose from.

    Args:
        photo: [3, H, W] uint8.
        faces: as they were found; their numbers are drawn beside them.
        chosen: numbers that are drawn in green; other usable faces are blue, those too small or too turned orange.
    """
    picture = to_picture(photo)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(picture.size) / 250))
    font = ImageFont.load_default(max(12, min(picture.size) // 24))
    for number, face in enumerate(faces):
        color = _CHOSEN if number in chosen else _USABLE if face.usable else _NOT_USABLE
        corners = face.transform.inverse.apply([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
        draw.line([tuple(corner) for corner in corners], fill=color, width=line, joint="curve")
        for x, y in face.landmarks:
            draw.ellipse((x - line, y - line, x + line, y + line), fill=color)
        reason = " too small" if face.too_small else " too turned" if face.too_turned else ""
        x, y = (float(part) for part in corners[0])
        draw.text(
            (x + 2 * line, y + 2 * line), f"{number}{reason}", color, font, stroke_width=line, stroke_fill="black"
        )
    return picture
