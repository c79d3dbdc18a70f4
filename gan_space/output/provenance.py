"""Writes every picture that a user can save, labelled as made by a machine, and reads such labels back.

A saved file carries one XMP packet with
  - `Iptc4xmpExt:DigitalSourceType`, the IPTC term for generated or AI-edited media;
  - `TC260:AIGC`, the implicit label of GB 45438-2025, a JSON string with seven keys;
  - `xmp:CreatorTool`, and the recipe (model, revision, seed, ...) as JSON under a namespace of our own;
and EXIF fields that say the same in plain words. The label is a statement, not a proof: it is not signed, so
whoever can write a file can also add or remove it.

The whole packet is at most 65,504 bytes in every format, since that is what one JPEG APP1 segment holds. A recipe of
40,000 bytes as escaped JSON always fits, and one of 60,000 does where no label is inherited.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image, PngImagePlugin

from gan_space import __version__
from gan_space.errors import InputError
from gan_space.output.visible_label import Box, draw_visible_label, eight_bit
from gan_space.output.xmp import MAX_PACKET_BYTES, build_packet, json_object, read_packet, to_json
from gan_space.photos.formats import READ_FORMATS, Refused, identify
from gan_space.whole_files import write_whole

Source = Literal["generated", "edited"]

SOFTWARE = f"gan_space {__version__}"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MAX_PRODUCER_CHARS = 200
MAX_INHERITED = 4  # how many earlier labels of one picture are carried on
MAX_INHERITED_CHARS = 120  # of one of their values; a foreign label must not crowd ours out

_IPTC_TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SOURCE_TERMS = {"generated": "trainedAlgorithmicMedia", "edited": "compositeWithTrainedAlgorithmicMedia"}
_IN_WORDS = {"generated": "AI-generated image", "edited": "Image edited with AI"}
_AIGC_KEYS = (
    *("Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"),
)

_PROPERTIES = (
    *("Iptc4xmpExt:DigitalSourceType", "TC260:AIGC", "xmp:CreatorTool"),
    *("gan_space:Recipe", "gan_space:Inherited"),
)
_C2PA_STORE = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"  # JUMBF description box of a manifest store


@dataclass(frozen=True)
class Provenance:
    """What the labels inside one picture file say; None stands for a label that is not there.

    Attributes:
        digital_source_type: IPTC term, normally a URI.
        aigc: the JSON object of TC260:AIGC; empty where the label is there but cannot be understood.
        recipe: how gan_space made the picture, as given to `save_image`.
        software: xmp:CreatorTool.
        inherited: labels that the edited input already carried, latest first.
        has_c2pa: a C2PA manifest is present; its signature is not checked here.
    """

    digital_source_type: str | None = None
    aigc: dict[str, Any] | None = None
    recipe: dict[str, Any] | None = None
    software: str | None = None
    inherited: tuple[dict[str, Any], ...] = ()
    has_c2pa: bool = False

    @property
    def is_ai_made(self) -> bool:
        """Whether a label says outright that AI made or changed the picture."""
        term = (self.digital_source_type or "").rpartition("/")[2]
        return term in _SOURCE_TERMS.values() or str((self.aigc or {}).get("Label")) == "1"


def save_image(
    picture: Image.Image,
    path: str | Path,
    *,
    recipe: dict[str, Any],
    source: Source = "generated",
    visible_label: bool = False,
    keep_clear: Sequence[Box] = (),
    producer: str = "gan_space",
    inherited: Provenance | None = None,
) -> Path:
    """Save one picture as PNG, JPEG or WebP with its labels, in full or not at all.

    A colour profile in `picture.info` is written too; what `photos.opening` opened is sRGB and needs none. EXIF data of
    the picture (place, camera, rotation flag) is left out: turn a photo upright first, as `photos.opening` does.
    Transparency stays in PNG and WebP and is put on white in a JPEG.

    Args:
        picture: 8 bits a channel, any size that the format can hold.
        path: ends in .png, .jpg, .jpeg or .webp; its folder exists; an existing file is replaced.
        recipe: how the picture was made, anything that JSON can express.
        source: "generated" from a latent, or "edited" from a photo.
        visible_label: also draw a small "AI生成" into a corner.
        keep_clear: parts of the picture, such as faces, that it must not cover.
        producer: name or code of who runs the service, up to 200 characters.
        inherited: what `read_provenance` said of the photo that was edited; its labels are passed on.

    Returns:
        `path` as a Path.

    Raises:
        InputError: the suffix, the picture, the recipe or the place to write to cannot be used.

    Example:
        >>> save_image(Image.new("RGB", (64, 64)), "face.png", recipe={"model": "default", "seed": 7}).name
        'face.png'
    """
    path = Path(path)
    data = encode_image(
        picture,
        path.suffix,
        recipe=recipe,
        source=source,
        visible_label=visible_label,
        keep_clear=keep_clear,
        producer=producer,
        inherited=inherited,
    )
    _write(path, data)
    return path


def encode_image(
    picture: Image.Image,
    suffix: str,
    *,
    recipe: dict[str, Any],
    source: Source = "generated",
    visible_label: bool = False,
    keep_clear: Sequence[Box] = (),
    producer: str = "gan_space",
    inherited: Provenance | None = None,
) -> bytes:
    """Return the file that `save_image` would write, for pictures that go into a larger file, such as a data set.

    Args:
        picture, recipe, source, visible_label, keep_clear, producer, inherited: see `save_image`.
        suffix: .png, .jpg, .jpeg or .webp.

    Raises:
        InputError: the suffix, the picture or the recipe cannot be used.
    """
    format_name = _format_of(suffix)
    picture = eight_bit(picture)
    if visible_label:
        picture = draw_visible_label(picture, keep_clear)
    if format_name == "JPEG":
        picture = _on_white(picture)
    packet = _packet([picture], recipe, source, producer, inherited)
    options: dict[str, Any] = {"exif": _exif(source), "icc_profile": _icc_profile(picture)}
    if format_name == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        options |= {"pnginfo": text, "compress_level": 4}  # a third of the time of level 6, about 1 % larger
    elif format_name == "JPEG":
        options |= {"xmp": packet, "quality": 95, "subsampling": 0, "comment": b""}
    else:
        options |= {"xmp": packet, "quality": 92, "method": 2}  # method 4 takes twice as long for equal size
    return _encode(picture, format_name, options)


def save_animation(
    frames: Sequence[Image.Image],
    path: str | Path,
    *,
    recipe: dict[str, Any],
    fps: int,
    source: Source = "generated",
    visible_label: bool = False,
    producer: str = "gan_space",
    inherited: Provenance | None = None,
) -> Path:
    """Save frames of equal size as an animated WebP that loops for ever, labelled as by `save_image`.

    Args:
        frames: at least one picture, all of one size.
        path: ends in .webp.
        recipe, source, visible_label, producer, inherited: see `save_image`.
        fps: frames per second, 1 to 60; browsers slow down anything faster.

    Returns:
        `path` as a Path.

    Raises:
        InputError: as `save_image`, or there is no frame, sizes differ, or `fps` is out of range.
    """
    path = Path(path)
    if path.suffix.lower() != ".webp":
        raise InputError(f"an animation is saved as .webp, got {path.name!r}; change the file's ending")
    if isinstance(fps, bool) or not isinstance(fps, int) or not 1 <= fps <= 60:
        raise InputError(f"fps must be a whole number from 1 to 60, got {fps!r}")
    pictures = [eight_bit(frame) for frame in frames]
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) != 1:
        raise InputError(f"an animation needs frames of one size, got {len(pictures)} frames of sizes {sizes[:4]}")
    if visible_label:
        pictures = [draw_visible_label(picture) for picture in pictures]
    ends_ms = [round(index * 1000 / fps) for index in range(len(pictures) + 1)]  # rounding must not add up
    packet = _packet(pictures, recipe, source, producer, inherited)
    options = {
        "save_all": True,
        "append_images": pictures[1:],
        "duration": [end - start for start, end in pairwise(ends_ms)],
        "loop": 0,
        "quality": 85,
        "method": 2,
        "exif": _exif(source).tobytes().removeprefix(b"Exif\0\0"),  # JPEG's header; Pillow takes it off stills only
        "xmp": packet,
        "icc_profile": _icc_profile(pictures[0]),
    }
    _write(path, _encode(pictures[0], "WEBP", options))
    return path


def read_provenance(path_or_bytes: str | Path | bytes) -> Provenance | None:
    """Read the labels of a picture file, whoever wrote them; nothing in the file is believed or executed.

    Returns:
        The labels, or None when the file carries none that we know.

    Raises:
        InputError: the file is missing, no picture, or its XMP packet is malformed, over 1 MiB, or declares a
            document type or entities, which XMP never needs and attacks do.

    Example:
        >>> path = save_image(Image.new("RGB", (64, 64)), "face.png", recipe={"seed": 7})
        >>> read_provenance(path).recipe
        {'seed': 7}
    """
    if isinstance(path_or_bytes, bytes):
        name, data = "the picture", path_or_bytes
    else:
        name = repr(str(path_or_bytes))
        try:
            data = Path(path_or_bytes).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {name}: {error}; give the path of a picture file") from error
    try:
        with identify(BytesIO(data)) as picture:
            if picture.format == "PNG" and "xmp" not in picture.info:
                picture.load()  # a PNG may carry its text after the pixels
            # Some generators write the packet, or TC260's JSON alone, as plain PNG text.
            info = {key: value for key, value in picture.info.items() if isinstance(value, bytes | str)}
    except Refused as error:
        raise InputError(f"{name} {error}") from error
    except Exception as error:  # Pillow's decoders raise half a dozen types on damaged files
        raise InputError(f"{name} cannot be read as a picture ({error}); give {READ_FORMATS}") from error

    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    found = read_packet(packet, _PROPERTIES, name) if packet else {}
    aigc_text = found.get("TC260:AIGC", info.get("AIGC"))
    inherited = json_object(found.get("gan_space:Inherited"))
    provenance = Provenance(
        digital_source_type=found.get("Iptc4xmpExt:DigitalSourceType"),
        aigc=None if aigc_text is None else json_object(aigc_text) or {},
        recipe=json_object(found.get("gan_space:Recipe")),
        software=found.get("xmp:CreatorTool"),
        inherited=_inherited_labels((inherited or {}).get("labels")),
        has_c2pa=_C2PA_STORE in data,
    )
    nothing = Provenance(software=provenance.software)  # naming a program is not yet a label
    return None if provenance == nothing else provenance


def describe(provenance: Provenance | None) -> str:
    """Say in one printable line what `read_provenance` found; hostile values cannot steer a terminal."""
    if provenance is None:
        return "no provenance label"
    term = (provenance.digital_source_type or "").rpartition("/")[2]
    degree = {"1": "AI-generated", "2": "possibly AI-generated", "3": "suspected AI-generated"}
    aigc, recipe = provenance.aigc or {}, provenance.recipe or {}
    if term == _SOURCE_TERMS["generated"]:
        parts = ["AI-generated"]
    elif term == _SOURCE_TERMS["edited"]:
        parts = ["edited with AI"]
    elif str(aigc.get("Label")) in degree:
        parts = [degree[str(aigc["Label"])]]
    elif term:
        parts = [f"source type {_plain(term)}"]
    else:
        parts = ["labelled, but not with how it was made"]
    if provenance.software:
        parts.append(f"with {_plain(provenance.software)}")
    if aigc.get("ContentProducer"):
        parts.append(f"by {_plain(aigc['ContentProducer'])}")
    if "model" in recipe:
        revision = f"@{_plain(recipe['revision'])[:10]}" if recipe.get("revision") else ""
        parts.append(f"model {_plain(recipe['model'])}{revision}")
    parts += [f"{key} {_plain(recipe[key])}" for key in ("seed", "seeds", "pack") if recipe.get(key) is not None]
    if aigc.get("ProduceID"):
        parts.append(f"id {_plain(aigc['ProduceID'])}")
    if provenance.inherited:
        parts.append(f"{len(provenance.inherited)} earlier label(s) kept")
    if provenance.has_c2pa:
        parts.append("C2PA manifest present, signature not checked")
    return ", ".join(parts)


def _format_of(suffix: str) -> str:
    """Return Pillow's name of the format that the suffix asks for."""
    if suffix.lower() not in FORMATS:
        raise InputError(
            f"cannot save a picture with the ending {suffix!r}: supported endings are {', '.join(FORMATS)}"
        )
    return FORMATS[suffix.lower()]


def _on_white(picture: Image.Image) -> Image.Image:
    """Return an L or RGB picture with transparency laid on white."""
    if "A" not in picture.getbands():
        return picture
    picture = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    flat.info = picture.info
    return flat


def _icc_profile(picture: Image.Image) -> bytes | None:
    """Return the picture's colour profile unless it describes another kind of pixels, as after CMYK to RGB."""
    profile = picture.info.get("icc_profile") or b""
    return profile if profile[16:20] == (b"GRAY" if picture.mode in ("L", "LA") else b"RGB ") else None


def _exif(source: Source) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = f"{_IN_WORDS[source]}, made with gan_space"  # ImageDescription, ASCII only
    exif[0x0131] = SOFTWARE
    return exif


def _produce_id(pictures: Sequence[Image.Image], recipe_text: str) -> str:
    """Hash recipe and pixels to 128 bits: the same making of the same picture has the same id."""
    digest = hashlib.sha256(recipe_text.encode())
    for picture in pictures:
        digest.update(f"\0{picture.mode} {picture.width}x{picture.height}\0".encode())
        digest.update(picture.tobytes())
    return digest.hexdigest()[:32]


def _packet(
    pictures: Sequence[Image.Image],
    recipe: dict[str, Any],
    source: Source,
    producer: str,
    inherited: Provenance | None,
) -> bytes:
    """Build the XMP packet (ISO 16684-1) for these pixels."""
    if source not in get_args(Source):
        raise InputError(f"source must be 'generated' or 'edited', got {source!r}")
    if not isinstance(producer, str) or not 0 < len(producer) <= MAX_PRODUCER_CHARS:
        raise InputError(f"producer must be a text of 1 to {MAX_PRODUCER_CHARS} characters, got {_plain(producer)!r}")
    if not isinstance(recipe, dict):
        raise InputError(f"a recipe is a dict that JSON can express, got {type(recipe).__name__}")
    try:
        recipe_text = to_json(recipe)
        sorted_text = to_json(recipe, sort_keys=True)  # the order of entries makes no other picture
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the recipe cannot be written as JSON ({error}); use text, numbers, lists, dicts") from error

    aigc = dict.fromkeys(_AIGC_KEYS, "")
    aigc |= {"Label": "1", "ContentProducer": producer, "ProduceID": _produce_id(pictures, sorted_text)}
    properties = {
        "Iptc4xmpExt:DigitalSourceType": _IPTC_TERM + _SOURCE_TERMS[source],
        "TC260:AIGC": to_json(aigc),
        "xmp:CreatorTool": SOFTWARE,
        "gan_space:Recipe": recipe_text,
    }
    if inherited is not None:
        labels = _inherited_labels([_as_inherited(inherited), *inherited.inherited])
        properties["gan_space:Inherited"] = to_json({"labels": labels})

    packet = build_packet(properties)
    if len(packet) > MAX_PACKET_BYTES:
        longest = max(recipe, key=lambda key: len(to_json(recipe[key])), default="")
        raise InputError(
            f"the label would take {len(packet):,} bytes, a file holds {MAX_PACKET_BYTES:,}: "
            f"shorten the recipe, of which {_plain(longest)!r} is the largest entry"
        )
    return packet


def _as_inherited(provenance: Provenance) -> dict[str, Any]:
    """Sum one label up for the file that is made from its picture."""
    return {
        **(provenance.aigc or {}),
        "digital_source_type": provenance.digital_source_type,
        "software": provenance.software,
        "c2pa": provenance.has_c2pa,
    }


def _inherited_labels(labels: Any) -> tuple[dict[str, Any], ...]:
    """Keep the known keys of labels that came with a foreign file, their values cut short."""
    known = ("digital_source_type", "software", "c2pa", *_AIGC_KEYS)
    kept = []
    for label in labels[:MAX_INHERITED] if isinstance(labels, list) else []:
        values = {key: label.get(key) for key in known} if isinstance(label, dict) else {}
        short = {key: _plain(value, MAX_INHERITED_CHARS) for key, value in values.items() if value}
        kept.append(short | ({"c2pa": True} if short.get("c2pa") else {}))
    return tuple(label for label in kept if label)


def _plain(value: Any, limit: int = 60) -> str:
    """Return `value` as at most `limit` printable characters; control and direction marks become a question mark."""
    text = str(value)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(char if char.isprintable() else "?" for char in text)


def _encode(picture: Image.Image, format_name: str, options: dict[str, Any]) -> bytes:
    """Encode in memory, so that a picture that cannot be encoded never touches the disk."""
    buffer = BytesIO()
    try:
        picture.save(buffer, format_name, **options)
    except (ValueError, OSError) as error:
        size = f"{picture.width} x {picture.height}"
        raise InputError(f"a picture of {size} pixels cannot be saved as {format_name} ({error})") from error
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step: a reader sees the old file or the whole new one."""
    try:
        write_whole(path, data, f".{secrets.token_hex(8)}.tmp", flush=False)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write {str(path)!r}: {reason}; choose a folder that exists and has room") from error
