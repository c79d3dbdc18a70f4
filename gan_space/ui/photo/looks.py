"""The looks that the page offers, until pipelines have looks of their own: every style pack is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from gan_space.pipelines.style_transfer import StyleTransferPipeline, StyleTransferPipelineOutput
from gan_space.portraits.portrait import Portrait

GROUPS = ("beauty", "film", "drawn", "mine")


@dataclass(frozen=True)
class PackLook:
    """A pack as a look: `name`, `title` by language ("en", "zh"), and the `group` that it stands in."""

    name: str
    title: dict[str, str]
    group: str


def find_looks(pipe: StyleTransferPipeline) -> dict[str, PackLook]:
    """The looks of a pipeline by name."""
    packs = {name: pipe.get_pack(name) for name in pipe.packs}
    groups = {"picture": "drawn", "change": "film"}
    return {
        name: PackLook(name, {"en": pack.name["en"], "zh": pack.name["zh-CN"]}, groups[pack.transfer])
        for name, pack in packs.items()
    }


def draw_look(
    pipe: StyleTransferPipeline, portrait: Portrait, name: str, strength: float
) -> StyleTransferPipelineOutput:
    """Give a photo a look."""
    return pipe(portrait, packs={name: 1.0}, strength=strength)


def draw_thumbnails(
    pipe: StyleTransferPipeline, portrait: Portrait, names: Sequence[str], px: int
) -> Iterator[tuple[str, Image.Image]]:
    """Small copies of a photo in each of these looks, one after the other."""
    small = portrait.thumbnail(2 * px)
    for name in names:
        picture = draw_look(pipe, small, name, 1.0).images[0].convert("RGB")
        picture.thumbnail((px, px), Image.Resampling.LANCZOS)
        yield name, picture
