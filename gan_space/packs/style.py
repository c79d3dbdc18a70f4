"""Style packs: what a look changes in a generator, how it is kept, and how pictures are drawn with it.

A photo's code has two parts (see `models.encoder`): features after the block of `feature_resolution` px, and w_plus. A
pack changes what comes after: a low-rank delta of the later blocks' weights, an offset of the later rows of w_plus, and
a linear map of the features, channel by channel and pixel by pixel. All three scale with the strength, all three are
convolutional, so a pack works on a face and on a whole photo alike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn

from gan_space.errors import PackError, raise_all
from gan_space.hub import HubOptions, resolve_folder
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256
from gan_space.models.synthesis import SynthesisState
from gan_space.packs.attaching import attached
from gan_space.packs.files import read_pack, record_faults, split_weights, write_pack
from gan_space.packs.low_rank import LowRankDelta

KIND = "style"
SCOPES = ("face", "photo")
TRANSFERS = ("change", "picture")
LANGUAGES = ("en", "zh-CN")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")
_OWN_TENSORS = ("w_offset", "state.weight", "state.bias")


def base_hash(generator: nn.Module, encoder: nn.Module) -> str:
    """Return 64 hex digits that stand for the weights of both networks; take it while no pack is attached."""
    return hashlib.sha256((weights_sha256(generator) + weights_sha256(encoder)).encode()).hexdigest()


@dataclass(frozen=True)
class StateChange:
    """A linear map added to features and picture so far, the same at every pixel: s + scale · (weight s + bias).

    Args:
        weight: [C + img_channels, C + img_channels]; features first, colours last.
        bias: [C + img_channels].
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, state: SynthesisState, scale: float = 1.0) -> SynthesisState:
        """The change alone, of any [N, C, h, w] and [N, img_channels, h, w], in float32."""
        C = state.x.shape[1]
        both = torch.cat([state.x.float(), state.rgb.float()], dim=1)  # [N, C + img_channels, h, w]
        weight, bias = (tensor.to(both.device, torch.float32) for tensor in (self.weight, self.bias))
        change = torch.nn.functional.conv2d(both, weight[:, :, None, None], bias) * scale
        return SynthesisState(change[:, :C], change[:, C:])


@dataclass(frozen=True)
class StylePack:
    """A look for one base model.

    Args:
        id: short name for files and the command line: small letters, digits, "-".
        name: {"en": …, "zh-CN": …} for people.
        description: the same keys.
        base_model: name of the model that the pack was tuned for.
        base_hash: of its generator and encoder, see `base_hash`.
        feature_resolution: of the block after which the pack begins to work.
        delta: change of the generator's weights, by names from the generator.
        w_offset: [rows, w_dim], for the last `rows` rows of w_plus.
        state_change: change of features and picture so far.
        scope: "face", or "photo" where hair, clothes and background have to take the look too.
        transfer: "change" for looks that leave shapes where they are, so that a photo can keep its own pixels;
            "picture" for those that draw anew.
        credit: line to show with the look, or "".
        license: short name of the licence of the pack.
        training: how it was made; plain JSON values.
        preview: content of preview.png.

    Raises:
        PackError: a field that does not work; all faults at once.

    Example:
        >>> pack = StylePack.from_pretrained("packs/ink-wash")  # doctest: +SKIP
        >>> images = finish_with_packs(generator, state, w_plus, [(pack, 0.8)])  # doctest: +SKIP
    """

    id: str
    name: dict[str, str]
    description: dict[str, str]
    base_model: str
    base_hash: str
    feature_resolution: int
    delta: LowRankDelta
    w_offset: Tensor
    state_change: StateChange
    scope: str = "photo"
    transfer: str = "picture"
    credit: str = ""
    license: str = ""
    training: dict = field(default_factory=dict)
    preview: bytes = b""

    def __post_init__(self):
        faults = _text_faults(self)
        weight, bias = self.state_change.weight, self.state_change.bias
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or bias.shape != weight.shape[:1]:
            faults.append(f"state.weight {list(weight.shape)} and state.bias {list(bias.shape)} must be [n, n] and [n]")
        if self.w_offset.ndim != 2:
            faults.append(f"w_offset must be [rows, w_dim], got {list(self.w_offset.shape)}")
        raise_all([f"pack {self.id}: {fault}" for fault in faults], PackError)
        self.delta.name = self.id

    @property
    def rank(self) -> int:
        """Of the factored weights."""
        return self.delta.rank

    def check_base(self, hash_of_base: str, name_of_base: str) -> None:
        """Raise PackError unless the pack was tuned for the model with this hash (see `base_hash`)."""
        if hash_of_base != self.base_hash:
            raise PackError(
                f"pack {self.id} was tuned for {self.base_model} ({self.base_hash[:16]}…), this model is "
                f"{name_of_base} ({hash_of_base[:16]}…). Load that model, or tune the pack for this one."
            )

    def check_fits(self, generator: Generator) -> None:
        """Raise PackError unless all shapes fit the generator; all faults at once."""
        synthesis, r = generator.synthesis, self.feature_resolution
        faults = self.delta.faults_in(generator)
        if r not in synthesis.block_resolutions[:-1]:
            faults.append(
                f"{self.id} works after {r} px, the network has blocks of {synthesis.block_resolutions} px and "
                "needs one after it"
            )
        else:
            C, img_channels = synthesis.block(r).conv1.weight.shape[0], generator.config.img_channels
            rows = synthesis.num_ws - synthesis.first_row(2 * r)
            if tuple(self.w_offset.shape) != (rows, synthesis.w_dim):
                faults.append(f"{self.id}: w_offset is {list(self.w_offset.shape)}, expected {[rows, synthesis.w_dim]}")
            if len(self.state_change.bias) != C + img_channels:
                faults.append(f"{self.id}: state.bias has {len(self.state_change.bias)}, expected {C + img_channels}")
        raise_all(faults, PackError)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write pack.safetensors, pack.json and preview.png; the folder is there whole or not at all.

        Raises:
            PackError: the folder holds something else, there is no preview, or the files exceed 1 MB together.
        """
        tensors = {f"weights/{key}": tensor for key, tensor in self.delta.to_tensors().items()}
        tensors |= {
            "w_offset": self.w_offset, "state.weight": self.state_change.weight, "state.bias": self.state_change.bias
        }  # fmt: skip
        record = {"kind": KIND} | {key: getattr(self, key) for key in _RECORD_TYPES}
        record |= {"rank": self.rank, "weights": self.delta.names}
        return write_pack(folder, tensors, record, self.preview)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Unpack[HubOptions]) -> StylePack:
        """Read what `save_pretrained` wrote.

        Args:
            name_or_path: folder, or Hub repository "user/name".
            options: see `hub.HubOptions`; subfolder is "packs/NAME" in a model.

        Raises:
            InputError: neither folder nor Hub id, or a revision given for a folder.
            WeightsError: the files cannot be had whole from the Hub.
            PackError: not a style pack, damaged, unknown or missing keys, wrong shapes, values that are not finite.
        """
        folder = resolve_folder(name_or_path, **options)
        tensors, record, preview = read_pack(folder)
        weights, faults = split_weights(tensors, record, _OWN_TENSORS)
        faults = record_faults(record, KIND, _RECORD_TYPES, ("rank", "weights")) + faults
        raise_all([f"{folder}: {fault}" for fault in faults], PackError)
        pack = cls(
            **{key: record[key] for key in _RECORD_TYPES},
            delta=LowRankDelta.from_tensors(weights, str(folder)),
            w_offset=tensors["w_offset"],
            state_change=StateChange(tensors["state.weight"], tensors["state.bias"]),
            preview=preview,
        )
        if pack.rank != record["rank"]:
            raise PackError(f"{folder}: pack.json says rank {record['rank']}, the file has {pack.rank}")
        return pack

    def with_preview(self, preview: bytes) -> StylePack:
        """Return the same pack with another preview.png."""
        return dataclasses.replace(self, preview=preview)


_RECORD_TYPES = {
    "id": str, "name": dict, "description": dict, "base_model": str, "base_hash": str, "feature_resolution": int,
    "scope": str, "transfer": str, "credit": str, "license": str, "training": dict,
}  # fmt: skip


def move_code(
    state: SynthesisState, w_plus: Tensor, packs: Sequence[tuple[StylePack, float]]
) -> tuple[SynthesisState, Tensor]:
    """Return the part of the packs that changes the code: features, picture so far, and the later rows of w_plus.

    Args:
        state: features after the packs' `feature_resolution`; not changed.
        w_plus: [N, num_ws, w_dim]; not changed.
        packs: (pack, scale); each moves the code by what it would alone, the moves are added.
    """
    x, rgb, moved = state.x, state.rgb, w_plus
    for pack, scale in packs:
        change = pack.state_change(state, scale)
        x, rgb = x + change.x.to(x.dtype), rgb + change.rgb.to(rgb.dtype)
        rows = w_plus.shape[1] - len(pack.w_offset)
        offset = scale * pack.w_offset.to(w_plus.device, w_plus.dtype)
        moved = moved + nn.functional.pad(offset, [0, 0, rows, 0])
    return SynthesisState(x, rgb), moved


def finish_with_packs(
    generator: Generator, state: SynthesisState, w_plus: Tensor, packs: Sequence[tuple[StylePack, float]]
) -> Tensor:
    """Draw from a photo's code with packs: the generator is as it was afterwards, to the bit.

    Args:
        generator: that the packs were tuned for; check that with `StylePack.check_base` when a pack is loaded.
        state: features after the packs' `feature_resolution`, [N, C, h, w] of any height and width.
        w_plus: [N, num_ws, w_dim].
        packs: (pack, scale): 0 is the plain reconstruction, 1 the look as tuned, more is allowed.

    Returns:
        [N, img_channels, H, W] float32, about [-1, 1].

    Raises:
        PackError: no pack, packs that begin at different resolutions, or one that does not fit the generator.
    """
    resolutions = {pack.feature_resolution for pack, _ in packs}
    if len(resolutions) != 1:
        raise PackError(f"expected packs that all work after the same resolution, got {sorted(resolutions)}")
    for pack, _ in packs:
        pack.check_fits(generator)
    state, w_plus = move_code(state, w_plus, packs)
    with attached(generator, [(pack.delta, scale) for pack, scale in packs]):
        return generator.synthesis.finish(state, w_plus, resolutions.pop())


def label_faults(pack_id: str, scope: str, transfer: str) -> list[str]:
    """Say what is wrong with a pack's id and with how it is used, a message for each."""
    faults = []
    if not _ID.fullmatch(pack_id):
        faults.append(f"id must be small letters, digits and '-', at most 64, got {pack_id!r}")
    if scope not in SCOPES:
        faults.append(f"scope must be one of {', '.join(SCOPES)}, got {scope!r}")
    if transfer not in TRANSFERS:
        faults.append(f"transfer must be one of {', '.join(TRANSFERS)}, got {transfer!r}")
    return faults


def _text_faults(pack: StylePack) -> list[str]:
    faults = label_faults(pack.id, pack.scope, pack.transfer)
    for key in ("name", "description"):
        texts = getattr(pack, key)
        if set(texts) != set(LANGUAGES) or not all(isinstance(text, str) and text.strip() for text in texts.values()):
            faults.append(f"{key} must give a text for each of {', '.join(LANGUAGES)}, got {texts!r}")
    if not _HASH.fullmatch(pack.base_hash):
        faults.append(f"base_hash must be 64 hex digits, got {pack.base_hash!r}")
    return faults
