"""Draw the pictures of the README and the pages from the embedded weights: `python docs/make_pictures.py`.

With words it draws these alone: `every_look`, the first sheet of the README; `looks`, that of docs/style.md;
`beauty`, `hair` and `background`, those of docs/looks.md; `makeup` and `drawn`, those of docs/makeup.md and
docs/drawn.md; `mine`, portraits of docs/identity.md; `guided`, drawings enlarged beside their photo; `edits`, the
sliders on photos of docs/directions.md; `shape`, those of docs/shape.md, and `shape-faces`, or `shape-faces=FOLDER`
with more photos, on twelve faces; `sliders`, directions on drawn faces; `faces`, seeds, mixing, morph and truncation;
`centers`, truncation of both kinds; `photo-edits`, what `edit` draws; `page`, the page in a browser.
Nothing is picked out.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from inspect import signature
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import gan_space
from gan_space import Consent, GenerationPipeline, PersonalizationPipeline, StyleTransferPipeline
from gan_space.errors import InputError
from gan_space.faces.mesh import face_frame
from gan_space.looks.drawing.draw import DRAWINGS
from gan_space.looks.makeup import make_up
from gan_space.looks.makeup_reference import apply_makeup, read_makeup
from gan_space.looks.recipe import LANGUAGES, LookRecipe
from gan_space.output.provenance import save_animation, save_image
from gan_space.photos.opening import to_picture
from gan_space.portraits.portrait import Portrait

FOLDER = Path(__file__).parent / "images"
EXAMPLES = Path(gan_space.__file__).parent / "assets" / "examples"
GUIDED_SIDE, GUIDED_CUT_PX, GUIDED_PHOTOS = 152, 360, ("naval-officer.jpg", "woman-park.jpg")
EDITS_SIDE, EDITED_PHOTOS = 128, 2
SLIDERS_SIDE, SLIDERS_SEEDS, SLIDERS_PLACES, SLIDERS_GAP = 72, (0, 1), 7, 12
SHAPE_SIDE = 190
FACES_SIDE, FACES = 160, 12
FACES_SLIDERS = {  # file -> what stands side by side in it
    "shape-mouth.webp": ("smile", "mouth_open", "lip_fullness"),
    "shape-eyes.webp": ("eyes_open", "brows_up", "eye_size"),
    "shape-outline.webp": ("face_width", "v_line", "face_length"),
    "shape-pose-age.webp": ("turn", "tilt", "nose_size", "age"),
}
ENDS_SIDE, ENDS_BLOCKS = 92, 3  # of a face in the sheet of all sliders, and how many sliders stand side by side
EDIT_COLUMNS = (
    {},
    {"age": -3},
    {"age": 1},
    {"age": 2.5},
    {"mouth_open": 1},
    {"smile": 2.5},
    {"glasses": "round"},
    {"glasses": "square"},
    {"glasses": "aviator"},
    {"glasses": "cat-eye"},
)
BEAUTY_SIDE = 104
MAKEUP_SIDE, MAKEUP_LOOKS, MAKEUP_CARRIED = (
    190,
    ("no-makeup-makeup", "red-lip", "smoky", "evening-glam"),
    "bold-make-up",
)
DRAWN_SIDE, DRAWN_COLUMNS, DRAWN_PHOTOS = 176, 7, ("naval-officer.jpg", "woman-park.jpg")
MINE_PHOTOS, MINE_NUM, MINE_HIGH, MINE_GAP = ("naval-officer.jpg", "woman-lake.jpg", "woman-park.jpg"), 8, 170, 4
PAGE_SIZE, PAGE_LOOKS = (1280, 900), ("evening-glam", "hong-kong-film")
WALK_SIZE, WALK_EXAMPLE, WALK_LOOKS = (390, 844), 1, ("golden-hour", "red-lip", "comic", "pencil", "oil")
LOOKS_SIDE, LOOKS_STRENGTH, CAPTION_PX = 168, 0.8, 20
EVERY_SIDE, EVERY_COLUMNS, EVERY_SMALLEST_PX = 176, 6, 400


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


def draw_every_look() -> None:
    """Draw every look once, on the larger example photos in turn, those first as they are; a labelled JPEG."""
    style = StyleTransferPipeline.from_pretrained()
    files = [file for file in sorted(EXAMPLES.glob("*.jpg")) if Image.open(file).width >= EVERY_SMALLEST_PX]
    portraits = [style.open(file) for file in files]
    cells = [("photo", to_picture(portrait.pixels)) for portrait in portraits]
    for number, look in enumerate(style.looks.values()):
        drawn = style(portraits[number % len(portraits)], look=look).images[0]
        cells.append((look.title["en"], drawn.convert("RGB")))
    side, high, rows = EVERY_SIDE, EVERY_SIDE + CAPTION_PX, -(-len(cells) // EVERY_COLUMNS)
    picture = Image.new("RGB", (side * EVERY_COLUMNS, high * rows), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, (title, one) in enumerate(cells):
        left, top = side * (number % EVERY_COLUMNS), high * (number // EVERY_COLUMNS)
        picture.paste(one.resize((side, side), Image.Resampling.LANCZOS), (left, top))
        pen.text((left + side / 2, top + side + CAPTION_PX / 2), title, "black", font, anchor="mm")
    recipe = {"model": style.model_name, "looks": list(style.looks)}
    save_image(picture, FOLDER / "every-look.jpg", recipe=recipe, source="edited")


def draw_group(group: str) -> None:
    """Draw the example photos, of beauty looks the heads alone, in every look of a group, at its own strength."""
    style = StyleTransferPipeline.from_pretrained()
    plain = LookRecipe("photo", dict.fromkeys(LANGUAGES, "photo"), "mine")
    looks = {"photo": plain, **{name: look for name, look in style.looks.items() if look.group == group}}
    rows = []
    for file in sorted(EXAMPLES.glob("*.jpg")):
        portrait = style.open(file)
        if group == "beauty":
            rows.append([picture for _, picture in style.thumbnails(portrait, BEAUTY_SIDE, looks)])
        else:
            drawn = [style(portrait, look=look).images[0].convert("RGB") for look in looks.values()]
            rows.append([one.resize((BEAUTY_SIDE, BEAUTY_SIDE), Image.Resampling.LANCZOS) for one in drawn])
    titled = Image.new("RGB", (BEAUTY_SIDE * len(looks), CAPTION_PX + BEAUTY_SIDE * len(rows)), "white")
    titled.paste(sheet(rows), (0, CAPTION_PX))
    pen, font = ImageDraw.Draw(titled), ImageFont.load_default(11)
    for column, look in enumerate(looks.values()):
        pen.text((BEAUTY_SIDE * (column + 0.5), CAPTION_PX / 2), look.title["en"], "black", font, anchor="mm")
    save_image(titled, FOLDER / f"looks-{group}.jpg", recipe={"kind": "sheet", "looks": list(looks)}, source="edited")


def draw_makeup() -> None:
    """Draw the example photos in the make-up of four looks; last, a bold one, read off the first photo."""
    style, side = StyleTransferPipeline.from_pretrained(), MAKEUP_SIDE
    portraits = [style.open(file) for file in sorted(EXAMPLES.glob("*.jpg"), reverse=True)]
    faces = [(one.pixels, one.landmarks(style.landmarker)[0]) for one in portraits]
    worn = read_makeup(make_up(*faces[0], style.looks[MAKEUP_CARRIED].makeup), faces[0][1])
    rows = []
    for portrait, (photo, marks) in zip(portraits, faces, strict=True):
        made_up = [make_up(photo, marks, style.looks[name].makeup) for name in MAKEUP_LOOKS]
        pictures = [photo, *made_up, apply_makeup(photo, marks, worn)]
        rows.append([cut_face(style, portrait, to_picture(one), side) for one in pictures])
    recipe = {"kind": "sheet", "make-up": [*MAKEUP_LOOKS, MAKEUP_CARRIED]}
    save_image(sheet(rows), FOLDER / "makeup.jpg", recipe=recipe, source="edited")


def draw_drawn() -> None:
    """Draw two example photos and each in every drawing; a labelled JPEG."""
    style, side = StyleTransferPipeline.from_pretrained(), DRAWN_SIDE
    cells = []
    for name in DRAWN_PHOTOS:
        portrait = style.open(EXAMPLES / name)
        drawn = [style(portrait, look=look).images[0].convert("RGB") for look in DRAWINGS]
        cells += [one.resize((side, side), Image.Resampling.LANCZOS) for one in (to_picture(portrait.pixels), *drawn)]
    rows = [cells[start : start + DRAWN_COLUMNS] for start in range(0, len(cells), DRAWN_COLUMNS)]
    save_image(sheet(rows), FOLDER / "drawn.jpg", recipe={"kind": "sheet", "looks": list(DRAWINGS)}, source="edited")


def draw_mine() -> None:
    """Draw a set of portraits of three example photos, one photo a row, as they come; a labelled JPEG."""
    person = PersonalizationPipeline.from_pretrained()
    consent = Consent("people in free photos", "their licences")
    rows = [person.portraits([EXAMPLES / name], consent=consent, num=MINE_NUM).images for name in MINE_PHOTOS]
    rows = [[one.resize((round(one.width * MINE_HIGH / one.height), MINE_HIGH)) for one in row] for row in rows]
    wide = max(sum(one.width + MINE_GAP for one in row) for row in rows) - MINE_GAP
    picture = Image.new("RGB", (wide, len(rows) * (MINE_HIGH + MINE_GAP) - MINE_GAP), "white")
    for number, row in enumerate(rows):
        left = 0
        for one in row:
            picture.paste(one, (left, number * (MINE_HIGH + MINE_GAP)))
            left += one.width + MINE_GAP
    recipe = {"kind": "sheet", "photos": list(MINE_PHOTOS), "num": MINE_NUM, "seed": 1}
    save_image(picture, FOLDER / "portraits-of-me.jpg", recipe=recipe, source="edited")


def draw_looks() -> None:
    """Draw the example photos in every pack of the model, and in the look of the next photo; a labelled JPEG."""
    style = StyleTransferPipeline.from_pretrained()
    photos = sorted(EXAMPLES.glob("*.jpg"))
    packs = sorted(path.parent.name for path in (EXAMPLES.parent / "default" / "packs").glob("*/pack.json"))
    titles = ["photo", *packs, "look of the next"]
    side = LOOKS_SIDE
    picture = Image.new("RGB", (side * len(titles), CAPTION_PX + side * len(photos)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for column, title in enumerate(titles):
        pen.text((side * (column + 0.5), CAPTION_PX / 2), title, "black", font, anchor="mm")
    for row, file in enumerate(photos):
        photo = Image.open(file).convert("RGB")
        drawn = [photo, *(style(photo, pack=pack, strength=LOOKS_STRENGTH).images[0] for pack in packs)]
        reference = photos[(row + 1) % len(photos)]
        drawn.append(style(photo, reference=reference, strength=LOOKS_STRENGTH).images[0])
        for column, one in enumerate(drawn):
            place = (side * column, CAPTION_PX + side * row)
            picture.paste(one.resize((side, side), Image.Resampling.LANCZOS), place)
    recipe = {"model": style.model_name, "packs": packs, "strength": LOOKS_STRENGTH}
    save_image(picture, FOLDER / "looks.jpg", recipe=recipe, source="edited")


def draw_guided() -> None:
    """Draw two faces, made twice as large, in every drawn pack: photo, by a filter, beside the photo."""
    style = StyleTransferPipeline.from_pretrained()
    packs = [name for name in style.shipped_packs() if _is_drawn(style, name)]
    titles, side = ("photo", "plain", "network"), GUIDED_SIDE
    picture = Image.new("RGB", (len(GUIDED_PHOTOS) * 3 * side, CAPTION_PX + side * len(packs)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, name in enumerate(GUIDED_PHOTOS):
        photo = Image.open(EXAMPLES / name).convert("RGB")
        portrait = style.open(photo.resize([2 * edge for edge in photo.size], Image.Resampling.LANCZOS))
        face = portrait.chosen_faces[0]
        x, y = face.transform.inverse.apply([0.5, 0.5])
        reach = GUIDED_CUT_PX / 2
        box = tuple(round(edge) for edge in (x - reach, y - reach, x + reach, y + reach))
        for row, pack in enumerate(packs):
            drawn = [
                style(portrait, pack=pack, strength=LOOKS_STRENGTH, upscale=upscale).images[0] for upscale in titles[1:]
            ]
            for column, one in enumerate([to_picture(portrait.pixels), *drawn]):
                left = side * (3 * number + column)
                cut = one.crop(box).resize((side, side), Image.Resampling.LANCZOS)
                picture.paste(cut, (left, CAPTION_PX + side * row))
                pen.text((left + side / 2, CAPTION_PX / 2), titles[column], "black", font, anchor="mm")
    recipe = {"model": style.model_name, "packs": packs, "strength": LOOKS_STRENGTH}
    save_image(picture, FOLDER / "guided.jpg", recipe=recipe, source="edited")


def draw_edits() -> None:
    """Draw the faces of the example photos at both ends of every slider: as the network redraws them, larger alone."""
    person = PersonalizationPipeline.from_pretrained()
    person.landmarker = None  # what the networks draw; what the mesh moves has a picture of its own
    sliders = list(person.directions)
    side, titles = EDITS_SIDE, ["photo", *(one.text("en") for one in sliders)]
    photos = sorted(EXAMPLES.glob("*.jpg"))[:EDITED_PHOTOS]
    picture = Image.new("RGB", (side * len(titles), CAPTION_PX + 2 * side * len(photos)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for column, title in enumerate(titles):
        pen.text((side * (column + 0.5), CAPTION_PX / 2), title, "black", font, anchor="mm")
    for row, (file, end) in enumerate((file, end) for file in photos for end in (0, 1)):
        edits = [{}, *({one.name: one.safe_range[end]} for one in sliders)]
        for column, amounts in enumerate(edits):
            face = person.edit(file, amounts, transfer="picture", paste_back=False).face
            place = (side * column, CAPTION_PX + side * row)
            picture.paste(face.resize((side, side), Image.Resampling.BICUBIC), place)
    recipe = {"model": person.model_name, "sliders": {one.name: one.safe_range for one in sliders}}
    save_image(picture, FOLDER / "photo-sliders.jpg", recipe=recipe, source="edited")


def draw_shape() -> None:
    """Draw every slider for photos on all example photos: lower end, -1, the photo, +1, upper end."""
    person = PersonalizationPipeline.from_pretrained()
    portraits = [person.open(path) for path in sorted(EXAMPLES.glob("*.jpg"))]
    save_sliders(person, portraits, list(person.photo_sliders), ENDS_SIDE, ENDS_BLOCKS, "shape-sliders.webp")


def draw_shape_faces(photos: str = "") -> None:
    """Write the same large, on twelve faces: example photos, those in a folder of photos, the first faces of nobody."""
    person = PersonalizationPipeline.from_pretrained()
    files = {path.name: path for folder in (photos, EXAMPLES) if folder for path in Path(folder).glob("*.jpg")}
    portraits = [person.open(files[name]) for name in sorted(files)[:FACES]]
    if missing := FACES - len(portraits):
        drawn = GenerationPipeline.from_pretrained()(seeds=range(missing)).images
        portraits += [person.open(face, boxes=[(0, 0, face.width)]) for face in drawn]
    for name, sliders in FACES_SLIDERS.items():
        save_sliders(person, portraits, sliders, FACES_SIDE, len(sliders), name)


def save_sliders(
    person: PersonalizationPipeline,
    portraits: Sequence[Portrait],
    sliders: Sequence[str],
    side: int,
    across: int,
    name: str,
) -> None:
    """Write a block for each slider, `across` of them side by side; in a block a row for each portrait."""
    blocks, ranges = [], {slider: person.photo_sliders[slider] for slider in sliders}
    for slider, ends in ranges.items():
        steps = sorted({ends.low, -1.0, 0.0, 1.0, ends.high})
        block = Image.new("RGB", (len(steps) * side + 8, CAPTION_PX + side * len(portraits)), "white")
        caption = f"{slider}   {'   '.join(f'{step:+g}' for step in steps)}"
        ImageDraw.Draw(block).text((4, 2), caption, "black", ImageFont.load_default(13))
        for row, portrait in enumerate(portraits):
            for column, step in enumerate(steps):
                face = cut_face(person, portrait, person.edit(portrait, {slider: step}).image, side)
                block.paste(face, (column * side, CAPTION_PX + row * side))
        blocks.append(block)
    rows = [blocks[first : first + across] for first in range(0, len(blocks), across)]
    width = max(sum(block.width for block in row) for row in rows)
    grid = Image.new("RGB", (width, blocks[0].height * len(rows)), "white")
    for number, row in enumerate(rows):
        left = 0
        for block in row:
            grid.paste(block, (left, number * block.height))
            left += block.width
    recipe = {"kind": "edits", "sliders": {slider: [one.low, one.high] for slider, one in ranges.items()}}
    save_image(grid, FOLDER / name, recipe=recipe, source="edited")


def cut_face(
    person: PersonalizationPipeline | StyleTransferPipeline, portrait: Portrait, picture: Image.Image, side: int
) -> Image.Image:
    """Cut out the face and a little around it, where it stood in the photo and as far as that goes."""
    frame = face_frame(portrait.landmarks(person.landmarker)[0].points)
    (x, y), half = frame.inverse.apply([0, 0.45]), 1.75 * frame.frame_px
    wide = min(round(2 * half), *picture.size)
    left, top = (min(max(round(at - half), 0), all_of - wide) for at, all_of in zip((x, y), picture.size, strict=True))
    return (
        picture.convert("RGB").crop((left, top, left + wide, top + wide)).resize((side, side), Image.Resampling.LANCZOS)
    )


def draw_photo_edits() -> None:
    """Show what is drawn into photos at their own size, on all example photos: age, parted lips, glasses."""
    draw_columns(EDIT_COLUMNS, "photo-edits.jpg")


def draw_columns(columns: Sequence[dict], name: str) -> None:
    """Draw edits of all example photos, cut around the face; the first column is the photo."""
    person = PersonalizationPipeline.from_pretrained()
    rows = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        portrait = person.open(path)
        rows.append([cut_face(person, portrait, edited(person, portrait, one), SHAPE_SIDE) for one in columns])
    grid = sheet(rows)
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default(CAPTION_PX * 0.65)
    for column, values in enumerate(columns):
        caption = (
            ", ".join(one if isinstance(one, str) else f"{key} {one:+g}" for key, one in values.items()) or "photo"
        )
        draw.text((column * SHAPE_SIDE + 6, 4), caption, "white", font, stroke_width=2, stroke_fill="black")
    recipe = {"kind": "edits", "columns": list(columns)}
    save_image(grid, FOLDER / name, recipe=recipe, source="edited")


def edited(person: PersonalizationPipeline, portrait: Portrait, values: dict) -> Image.Image:
    """Draw one edit; a face that wears glasses gets no second pair."""
    amounts = {key: one for key, one in values.items() if key != "glasses"}
    try:
        return person.edit(portrait, amounts, glasses=values.get("glasses", "none")).image
    except InputError:
        return person.edit(portrait, amounts).image


def draw_sliders() -> None:
    """Draw faces of two seeds from one end of every slider to the other, two sliders a row."""
    pipe = GenerationPipeline.from_pretrained()
    sliders, side = list(pipe.directions), SLIDERS_SIDE
    width, height = SLIDERS_PLACES * side, len(SLIDERS_SEEDS) * side
    rows = -(-len(sliders) // 2)
    size = (2 * width + SLIDERS_GAP, rows * (CAPTION_PX + height))
    picture = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, slider in enumerate(sliders):
        left, top = number % 2 * (width + SLIDERS_GAP), number // 2 * (CAPTION_PX + height)
        low, high = slider.safe_range
        pen.text((left + width / 2, top + CAPTION_PX / 2), slider.text("en"), "black", font, anchor="mm")
        for place in range(SLIDERS_PLACES):
            amount = low + (high - low) * place / (SLIDERS_PLACES - 1)
            faces = pipe(seeds=SLIDERS_SEEDS, attributes={slider.name: amount}).images
            for row, face in enumerate(faces):
                corner = (left + side * place, top + CAPTION_PX + side * row)
                picture.paste(face.resize((side, side), Image.Resampling.LANCZOS), corner)
    save(picture, "directions", {"seeds": list(SLIDERS_SEEDS), "sliders": {s.name: s.safe_range for s in sliders}})


def _is_drawn(style: StyleTransferPipeline, name: str) -> bool:
    """Whether a pack goes back into the photo as a picture."""
    return style.get_pack(style.load_style_pack(name)).transfer == "picture"


def draw_faces() -> None:
    """Draw faces of seeds, style mixing, a walk from face to face, and truncation."""
    pipe = GenerationPipeline.from_pretrained()

    seeds = list(range(16))
    faces = pipe(seeds=seeds, truncation_psi=0.7).images
    save(sheet([faces[:8], faces[8:]]), "faces", {"seeds": seeds, "truncation_psi": 0.7})

    sources, styles = [0, 3, 6, 11], [1, 2, 4, 5, 7, 8]
    blank = Image.new("RGB", faces[0].size, "white")
    top = [blank, *pipe(seeds=styles).images]
    rows = [top]
    for seed in sources:
        mixed = pipe(seeds=[seed] * len(styles), style_mixing_seeds=styles, style_mixing_layers="middle+fine")
        rows.append([*pipe(seeds=[seed]).images, *mixed.images])
    save(sheet(rows), "mixing", {"sources": sources, "styles": styles, "layers": "middle+fine", "truncation_psi": 0.7})

    walk = pipe.interpolate([0, 6, 11], frames_between=3, loop=False)
    save(sheet([walk.images]), "morph", walk.animation_recipe)

    sweep = [pipe(seeds=seeds[:8], truncation_psi=psi).images for psi in (0.0, 0.5, 0.7, 1.0)]
    save(sheet(sweep), "truncation", {"seeds": seeds[:8], "truncation_psi": [0.0, 0.5, 0.7, 1.0]})


def draw_centers() -> None:
    """Draw the same seeds truncated towards the average face, on the left, and towards centres."""
    pipe = GenerationPipeline.from_pretrained()
    seeds, kinds = list(range(20000, 20040)), ["mean", "centers"]
    mean, centers = (pipe(seeds=seeds, truncation_psi=0.7, truncation=kind).images for kind in kinds)
    rows = [[*mean[start : start + 5], *centers[start : start + 5]] for start in range(0, len(seeds), 5)]
    save(sheet(rows), "centers", {"seeds": seeds, "truncation": kinds, "truncation_psi": 0.7})


def draw_page() -> None:
    """Take pictures of the page on a desk, and a walk through it on a phone, one picture a second; needs chromium."""
    from playwright.sync_api import sync_playwright

    from gan_space.ui.app import build_app, launch_options

    app = build_app(GenerationPipeline.from_pretrained())
    app.prepare()
    _, url, _ = app.launch(prevent_thread_lock=True, **launch_options(host="127.0.0.1"), quiet=True)
    try:
        with sync_playwright() as playwright:
            browser = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
            chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            (desk,) = list(walk_page(chromium, url, PAGE_SIZE, 0, PAGE_LOOKS))[-1:]
            recipe = {"kind": "the page", "looks": PAGE_LOOKS}
            save_image(desk, FOLDER / "page.webp", recipe=recipe, source="edited")
            walk = list(walk_page(chromium, url, WALK_SIZE, WALK_EXAMPLE, WALK_LOOKS, to_the_end=True))
            recipe = {"kind": "the page", "looks": WALK_LOOKS}
            save_animation(walk, FOLDER / "page-phone.webp", recipe=recipe, fps=1, source="edited")
            chromium.close()
    finally:
        app.close(verbose=False)


def walk_page(chromium, url: str, size: tuple[int, int], example: int, looks: Sequence[str], *, to_the_end=False):
    """Show a visit: the page, an example open, each look; `to_the_end` also a slider at its end, and Save."""
    page = chromium.new_page(viewport={"width": size[0], "height": size[1]}, locale="en-US", reduced_motion="reduce")
    page.set_default_timeout(300_000)
    page.goto(url)

    def shot() -> Image.Image:
        page.mouse.move(0, 0)
        page.wait_for_function("document.querySelector('.photo-page').getAttribute('aria-busy') !== 'true'")
        page.wait_for_timeout(500)  # for what fades
        return Image.open(io.BytesIO(page.screenshot())).convert("RGB")

    page.locator(".wiped-after").wait_for()
    yield shot()
    page.locator(".example").nth(example).click()
    page.wait_for_function("[...document.querySelectorAll('.look img')].every((one) => one.src)")
    yield shot()
    for look in looks:
        page.locator(f".look[data-look='{look}']").first.click()
        page.locator("#photo-save:enabled").wait_for()
        yield shot()
    if to_the_end:
        page.locator(".look[data-look='red-lip']").first.click()
        page.locator("#photo-tab-adjust").click()
        page.locator("#photo-slider-smile").press("End")
        page.locator("#photo-save:enabled").wait_for()
        yield shot()
        page.locator("#photo-save").click()
        page.locator("#photo-save.done").wait_for()
        yield shot()
    page.close()


PICTURES = {
    "every_look": draw_every_look,
    "looks": draw_looks,
    "guided": draw_guided,
    "beauty": partial(draw_group, "beauty"),
    "hair": partial(draw_group, "hair"),
    "background": partial(draw_group, "background"),
    "makeup": draw_makeup,
    "drawn": draw_drawn,
    "mine": draw_mine,
    "edits": draw_edits,
    "shape": draw_shape,
    "shape-faces": draw_shape_faces,
    "photo-edits": draw_photo_edits,
    "sliders": draw_sliders,
    "faces": draw_faces,
    "centers": draw_centers,
    "page": draw_page,
}


def main() -> None:
    """Draw the pictures that are named, or all."""
    words = [word.partition("=") for word in sys.argv[1:] or PICTURES]
    unknown = [name for name, _, _ in words if name not in PICTURES]
    if unknown:
        sys.exit(f"there is no picture {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    placeless = [name for name, _, folder in words if folder and not signature(PICTURES[name]).parameters]
    if placeless:
        sys.exit(f"{', '.join(placeless)}: this picture takes no folder")
    for name, _, folder in words:
        PICTURES[name](*([folder] if folder else []))


if __name__ == "__main__":
    main()
