"""The likeness meter of "Personalised": with whom a picture is compared, and words for what comes out."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image
from torch import Tensor

from gan_space.packs.identity import IdentityPack
from gan_space.photos.opening import open_photo
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.likeness import FaceJudge, Likeness, LikenessScale
from gan_space.pipelines.photo_edit import PhotoEditOutput
from gan_space.ui.i18n import translate
from gan_space.ui.last_used import LastUsed

KEPT_FACES = 32  # embeddings of faces without changes; another slider move needs the same one again
TITLES = {"random": "likeness.title_random", "photo": "likeness.title_photo", "profile": "likeness.title_profile"}
VERDICT_TEXTS = {
    "alike": "likeness.alike",
    "rather_alike": "likeness.rather_alike",
    "undecided": "likeness.undecided",
    "strangers": "likeness.strangers",
}
LOWEST, HIGHEST = -0.3, 1.0  # ends of the drawn scale
BAND = (0.05, 0.95)  # shares between which a band is drawn


@dataclass(eq=False)
class KnownPerson:
    """A profile in memory, and what its portraits are compared with: [photos, dim], None before the first."""

    pack: IdentityPack
    embedding: Tensor | None = None

    def forget(self) -> None:
        """Overwrite both."""
        self.pack.forget()
        if self.embedding is not None:
            self.embedding.zero_()


class Comparisons:
    """Compares what was drawn with what it was drawn from.

    Args:
        judge: of the model; None where it has no identity network, and nothing is compared.
    """

    def __init__(self, judge: FaceJudge | None):
        self.judge = judge
        self._faces: LastUsed[tuple, Tensor] = LastUsed(KEPT_FACES)

    def with_plain(self, pipe: GenerationPipeline, arguments: dict[str, Any], picture: Image.Image) -> Likeness | None:
        """Return a random face beside the same seed without attributes; None where it has none."""
        if self.judge is None or not arguments["attributes"]:
            return None
        key = (tuple(arguments["seeds"]), arguments["truncation_psi"])
        plain = self._faces.get_or_make(key, lambda: self.judge.embed(pipe(**{**arguments, "attributes": None}).images))
        return self.judge.likeness([picture], plain)[0]

    def with_person(self, person: KnownPerson, pipe: GenerationPipeline, picture: Image.Image) -> Likeness | None:
        """Return a portrait beside what the person's profile draws of its photos."""
        if self.judge is None:
            return None
        if person.embedding is None:
            person.embedding = self.judge.embed_pack(person.pack, pipe.generator)
        found = self.judge.likeness([picture], person.embedding)[0]
        return replace(found, of_drawings=person.pack.quality.get("similarity"))

    def with_photo(self, out: PhotoEditOutput) -> Likeness | None:
        """Compare the face in a changed photo with the one in the photo as it was; None where nothing was asked for."""
        if self.judge is None or not out.recipe["attributes"]:
            return None
        (face,) = out.portrait.chosen_faces
        before, after = (
            self.judge.embed_photo(open_photo(photo), face.transform) for photo in (out.portrait.pixels, out.image)
        )
        return self.judge.of_embeddings(after, before)[0]


def comparisons_for(pipe: GenerationPipeline, person: Any | None) -> Comparisons:
    """Compare with the identity network that a pipeline has loaded, or the one in the model's folder."""
    folder = pipe.source.folder
    return Comparisons(None if folder is None else FaceJudge.from_folder(folder, person and person.identity))


def likeness_html(likeness: Likeness | None, scale: LikenessScale | None, source: str, language: str) -> str:
    """Return the meter with its words; "" where nothing was compared."""
    if likeness is None:
        return ""
    say = partial(translate, language=language)
    title = html.escape(say(TITLES[source]))
    if scale is None:
        words = html.escape(say("likeness.no_scale"))
        return _div(f'<p class="line">{title} <b>{likeness.cosine:.2f}</b></p><p class="words">{words}</p>')
    verdict = html.escape(say(VERDICT_TEXTS[likeness.verdict]))
    words = [
        say(
            "likeness.meaning",
            strangers=_in_100(likeness.strangers_as_alike),
            same=_in_100(likeness.same_less_alike),
        ),
        say("likeness.caveat", errors=_in_100(scale.error_rate)),
    ]
    if source == "profile":
        words.append(say("likeness.from_drawn"))
        if likeness.of_drawings is not None:
            words.append(say("likeness.of_drawings", cosine=f"{likeness.of_drawings:.2f}"))
    words += [say("likeness.same_picture")] if source != "profile" else []
    keys = (
        f'<span class="apart">{html.escape(say("likeness.two_people"))}</span>'
        f'<span class="one">{html.escape(say("likeness.one_person"))}</span>'
        f'<span class="border">{html.escape(say("likeness.border", threshold=f"{scale.threshold:.2f}"))}</span>'
    )
    bands = _band("apart", scale, scale.different) + _band("one", scale, scale.same)
    needle = f'<em style="left:{_place(likeness.cosine):.1f}%"></em>'
    return _div(
        f'<p class="line"><span>{title}</span><b>{verdict} · {likeness.cosine:.2f}</b></p>'
        f'<div class="scale">{bands}<i style="left:{_place(scale.threshold):.1f}%"></i>{needle}</div>'
        f'<p class="keys">{keys}</p><p class="words">{html.escape(" ".join(words))}</p>'
    )


def _div(content: str) -> str:
    return f'<div class="likeness">{content}</div>'


def _band(kind: str, scale: LikenessScale, cosines: tuple[float, ...]) -> str:
    """The middle nine tenths of a distribution."""
    ends = [
        min(zip(scale.shares, cosines, strict=True), key=lambda point, share=share: abs(point[0] - share))[1]
        for share in BAND
    ]
    left, right = map(_place, ends)
    return f'<span class="{kind}" style="left:{left:.1f}%;width:{right - left:.1f}%"></span>'


def _place(cosine: float) -> float:
    """Where on the scale, in percent."""
    return 100 * (min(max(cosine, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST)


def _in_100(share: float) -> str:
    """A share as people count: whole numbers, and no certainty at the ends."""
    rounded = round(100 * share)
    return "<1" if rounded == 0 else ">99" if rounded == 100 else str(rounded)
