"""Draw the pictures of the README from the embedded weights: `python docs/make_pictures.py`. Nothing is picked out."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gan_space import GenerationPipeline
from gan_space.output.provenance import save_image

FOLDER = Path(__file__).parent / "images"
SCALE = 2


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Lay pictures of one size out in rows."""
    side = rows[0][0].width
    grid = Image.new("RGB", (side * max(map(len, rows)), side * len(rows)), "white")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            grid.paste(picture, (column * side, row * side))
    return grid


def save(grid: Image.Image, name: str, recipe: dict) -> None:
    """Write a labelled WebP."""
    save_image(grid, FOLDER / f"{name}.webp", recipe=recipe)


def main() -> None:
    pipe = GenerationPipeline.from_pretrained()

    seeds = list(range(16))
    faces = pipe(seeds=seeds, truncation_psi=0.7, upscale_factor=SCALE).images
    save(sheet([faces[:8], faces[8:]]), "faces", {"seeds": seeds, "truncation_psi": 0.7})

    sources, styles = [0, 3, 6, 11], [1, 2, 4, 5, 7, 8]
    blank = Image.new("RGB", faces[0].size, "white")
    top = [blank, *pipe(seeds=styles, upscale_factor=SCALE).images]
    rows = [top]
    for seed in sources:
        mixed = pipe(
            seeds=[seed] * len(styles),
            style_mixing_seeds=styles,
            style_mixing_layers="middle+fine",
            upscale_factor=SCALE,
        )
        rows.append([*pipe(seeds=[seed], upscale_factor=SCALE).images, *mixed.images])
    save(sheet(rows), "mixing", {"sources": sources, "styles": styles, "layers": "middle+fine", "truncation_psi": 0.7})

    walk = pipe.interpolate([0, 6, 11], frames_between=3, loop=False, upscale_factor=SCALE)
    save(sheet([walk.images]), "morph", walk.animation_recipe)

    sweep = [pipe(seeds=seeds[:8], truncation_psi=psi, upscale_factor=SCALE).images for psi in (0.0, 0.5, 0.7, 1.0)]
    save(sheet(sweep), "truncation", {"seeds": seeds[:8], "truncation_psi": [0.0, 0.5, 0.7, 1.0]})


if __name__ == "__main__":
    main()
