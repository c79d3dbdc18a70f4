"""Pictures of directions: the matrix of leaks, and a strip of faces for each attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from gan_space.images import image_grid
from gan_space.latents.directions import Direction, Directions
from gan_space.output.provenance import save_image
from training.directions.checks import DrawnFaces

CELL_PX, LABEL_PX, HEAD_PX = 72, 130, 110
UP, DOWN, INK = (196, 62, 48), (48, 98, 196), (20, 20, 20)
STRIP_FACES, STRIP_STEPS = 6, 7


def leak_matrix(leaks: Mapping[str, Mapping[str, float]], limit: float) -> Image.Image:
    """Draw a table: a row for each slider, a column for each thing that may change with it.

    Args:
        leaks: {slider: {other: change of the other while the slider's own changes by 1}}; the slider itself is missing.
        limit: leaks beyond it are printed bold on strong colour.
    """
    columns = list(dict.fromkeys([*leaks, *(name for row in leaks.values() for name in row)]))
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    sheet = Image.new("RGB", (LABEL_PX + CELL_PX * len(columns), HEAD_PX + CELL_PX // 2 * len(leaks)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, name in enumerate(columns):
        text = Image.new("L", (HEAD_PX + 60, 22))
        ImageDraw.Draw(text).text((2, 2), name, fill=255, font=small)
        text = text.rotate(45, expand=True, resample=Image.Resampling.BICUBIC)
        sheet.paste(INK, (LABEL_PX + CELL_PX * number + 8, HEAD_PX - text.height + 8), text)
    for line, (slider, row) in enumerate(leaks.items()):
        top = HEAD_PX + CELL_PX // 2 * line
        draw.text((6, top + 9), slider, fill=INK, font=font)
        for number, name in enumerate(columns):
            value = 1.0 if name == slider else row.get(name)
            left = LABEL_PX + CELL_PX * number
            box = (left, top, left + CELL_PX - 2, top + CELL_PX // 2 - 2)
            if value is None:
                continue
            draw.rectangle(box, fill=_shade(value))
            beyond = name != slider and abs(value) > limit
            ink = "white" if abs(value) > 0.6 else INK
            stroke = {"stroke_width": 0.4, "stroke_fill": ink} if beyond else {}
            centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            draw.text(centre, f"{value:+.2f}", fill=ink, font=small, anchor="mm", **stroke)
    return sheet


def _shade(value: float) -> tuple[int, int, int]:
    """White for 0, full colour for ±1."""
    strength = min(abs(value), 1.0)
    colour = UP if value > 0 else DOWN
    return tuple(round(255 + strength * (part - 255)) for part in colour)


@torch.no_grad()
def save_strip(path: Path, direction: Direction, faces: DrawnFaces, recipe: dict) -> Path:
    """Draw a few faces from one end of a slider to the other, a row for each face; labelled as generated."""
    low, high = direction.safe_range
    amounts = torch.linspace(low, high, STRIP_STEPS)
    rows = slice(0, STRIP_FACES)
    columns = [faces.draw(amount * direction.vector, rows) for amount in amounts]
    grid = image_grid(torch.stack(columns, dim=1).flatten(0, 1), columns=STRIP_STEPS)
    amounts = [round(amount, 3) for amount in amounts.tolist()]
    return save_image(grid, path, recipe={**recipe, "attribute": direction.name, "amounts": amounts})


def save_pictures(
    folder: Path, directions: Directions, leaks: Mapping[str, Mapping[str, float]], faces: DrawnFaces, recipe: dict
) -> Sequence[Path]:
    """Write leak_matrix.png and one strip_NAME.webp a direction."""
    folder.mkdir(parents=True, exist_ok=True)
    limit = directions.record.get("leak_limit", 0.2)
    leak_matrix(leaks, limit).save(folder / "leak_matrix.png", optimize=True)
    strips = [save_strip(folder / f"strip_{one.name}.webp", one, faces, recipe) for one in directions]
    return [folder / "leak_matrix.png", *strips]
