"""Measure looks: `python training/packs/evaluate_style.py --dataset_name FAIRFACE128 --output_dir runs/style`.

Every pack of a model that has a look in `looks.py` is tried on held-out faces: the look rendered on the same
face is the truth. With `--references`, every face also gets the look of another picture. Two simple peers do the same:
colour transfer in Lab (Reinhard et al. 2001), and AdaIN on codes in W (Huang and Belongie 2017). Writes `style.json`,
`style.md`, and a sheet of the first faces for each look. Faces are measured as they are returned with
`paste_back=False`, at the size of the networks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.errors import ConfigError, DataError, InputError, raise_all
from gan_space.images import from_uint8, to_uint8
from gan_space.latents.editing import edit_state
from gan_space.metrics.features import RandomConv
from gan_space.models.aligner import Aligner
from gan_space.models.discriminator import Discriminator
from gan_space.packs.style import StylePack, base_hash
from gan_space.photos.folders import find_pictures
from gan_space.photos.opening import open_photo
from gan_space.pipelines.loading import resolve_model
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.detail import WINDOW_SHARE, change_photo, fit_change
from gan_space.settings import least_faults, values_of
from gan_space.styles.apply import NetworkLook, Renderer
from gan_space.styles.reference import LookLayers
from gan_space.styles.settings import StyleSettings
from gan_space.whole_files import write_json
from training.common.command import script
from training.common.face_labels import load_labelled_faces
from training.common.samples import save_samples
from training.encoder.losses import psnr
from training.packs.judge import IdentityJudge, identity_judge
from training.packs.looks import LOOKS
from training.packs.measures import (
    code_moments,
    color_moments,
    gram_distance,
    gram_matrices,
    lab_histogram_distance,
    landmarks_moved,
    match_code,
    structure_similarity,
    transfer_colors,
)
from training.packs.report import to_markdown

SHEET_FACES = 8
Numbers = dict[str, Tensor]  # name -> [N], one number a face
Drawer = Callable[[float], Tensor]  # strength -> [N, 3, R, R] in [-1, 1]


@dataclass(frozen=True)
class EvaluateStyleConfig:
    """Measure packs and references on faces that nothing was trained on."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces."""
    output_dir: Path
    """Folder for the numbers and the sheets."""
    model: str | None = None
    """Model folder or Hub id; None is the embedded one."""
    split: str = "test"
    """Split of the faces that are measured."""
    peer_split: str = "train"
    """Split of the faces on which the peers see a pack's look, as the pack did."""
    num_faces: int = 64
    """Faces that are measured, the first ones."""
    looks: tuple[str, ...] = ()
    """Packs to measure; empty for all of the model."""
    references: Path | None = None
    """Folder of reference pictures, in folders by kind; none: only packs."""
    strengths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Strengths of ours; peers are measured at 1."""
    seed: int = 0
    """Of which references are drawn."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = least_faults(2, values_of(self, "num_faces"), "--")
        if list(self.strengths) != sorted(set(self.strengths)) or not all(0 <= one <= 1 for one in self.strengths):
            faults.append(f"--strengths must ascend within 0 to 1, got {self.strengths}")
        if 1.0 not in self.strengths:
            faults.append(f"--strengths must have 1, where the peers are compared, got {self.strengths}")
        faults += [
            f"there is no look {name!r}; there are {', '.join(LOOKS)}" for name in self.looks if name not in LOOKS
        ]
        if self.references is not None and not self.references.is_dir():
            faults.append(f"--references: no folder {self.references}")
        raise_all(faults, ConfigError)


class Seen(NamedTuple):
    """Pictures, and what the networks of `Judge` see in them."""

    images: Tensor  # [N, 3, R, R]
    grams: list[Tensor]  # of the discriminator's features, [N, C, C] each
    random_grams: list[Tensor]  # of the random network's
    points: Tensor  # [N, 3, 2]


@dataclass(frozen=True)
class Judge:
    """The networks that compare pictures; none of them draws."""

    discriminator: Discriminator
    random: RandomConv
    aligner: Aligner
    identity: IdentityJudge

    def look_at(self, images: Tensor, batch_size: int = 16) -> Seen:
        """Return everything that needs a network, once for every picture [N, 3, R, R]."""
        parts = []
        for part in images.split(batch_size):
            grams = gram_matrices([*self.discriminator.features(part), *self.random.maps(part)])
            parts.append((*grams, self.points(part)))
        *grams, points = (torch.cat(column) for column in zip(*parts, strict=True))
        cut = len(grams) - len(self.random.layers)
        return Seen(images, grams[:cut], grams[cut:], points)

    def points(self, images: Tensor) -> Tensor:
        """Return eyes and mouth, [N, 3, 2]."""
        side = self.aligner.resolution
        small = torch.nn.functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        return self.aligner(small).points

    def compare(self, own: Seen, target: Seen, photo: Seen, stranger: Seen) -> Numbers:
        """Return all numbers, [N] each.

        Args:
            own: what is judged. target: the look. photo: whose face it is. stranger: another look, as a control.
        """
        numbers = {
            "gram_discriminator": gram_distance(own.grams, target.grams),
            "gram_random": gram_distance(own.random_grams, target.random_grams),
            "lab_histogram": lab_histogram_distance(own.images, target.images),
            "other_gram_discriminator": gram_distance(own.grams, stranger.grams),
            "other_gram_random": gram_distance(own.random_grams, stranger.random_grams),
            "other_lab_histogram": lab_histogram_distance(own.images, stranger.images),
            "psnr": psnr(own.images, target.images),
            "ms_ssim": structure_similarity(own.images, photo.images),
            "ms_ssim_look": structure_similarity(own.images, target.images),
            "landmarks": landmarks_moved(own.points, photo.points),
        }
        if self.identity.usable:
            numbers["identity"] = self.identity.similarity(own.images, photo.images)
        return numbers


@dataclass(frozen=True)
class Ours:
    """The networks of a pipeline, drawing aligned faces as it does with `paste_back=False`."""

    pipe: StyleTransferPipeline

    def draw(self, faces: Tensor, look: NetworkLook, strength: float) -> Tensor:
        """Give faces [N, 3, R, R] a look."""
        settings = look.decide(StyleSettings(strength=strength, paste_back=False))
        generator, encoder = self.pipe.generator, self.pipe.encoder
        layers = LookLayers.split(settings.rows(generator.num_ws), generator.synthesis, encoder.feature_resolution)
        results = []
        for part in faces.split(8):
            done = Renderer(generator, encoder, self.pipe.editor).faces(part, look, layers, settings)
            before, after = (image.float().clamp(-1, 1) for image in (done.reconstruction, done.styled))
            results.append(after if settings.transfer == "picture" else self._change(part, after - before))
        return torch.cat(results)

    def _change(self, faces: Tensor, change: Tensor) -> Tensor:
        radius = max(2, round(WINDOW_SHARE * self.pipe.resolution))
        done = []
        for face, moved in zip(faces.split(1), change.split(1), strict=True):
            fitted = fit_change(face, moved, radius, stride=max(1, radius // 3))
            done.append(change_photo(to_uint8(face)[0], fitted))
        return from_uint8(torch.stack(done))

    def draw_matched(self, faces: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Return the second peer: AdaIN on the codes, drawn from the photo's own features so that the face stays."""
        synthesis, r = self.pipe.generator.synthesis, self.pipe.encoder.feature_resolution
        results = []
        for start in range(0, len(faces), 8):
            rows = slice(start, start + 8)
            code = self.pipe.encoder(faces[rows])
            picked = (mean[rows], std[rows]) if len(mean) > 1 else (mean, std)
            new = match_code(code.w_plus, *picked)
            state = edit_state(synthesis, code.state, code.w_plus, new, r)
            results.append(synthesis.finish(state, new, r).clamp(-1, 1))
        return torch.cat(results)

    def codes(self, images: Tensor) -> Tensor:
        """Return [N, num_ws, w_dim] of pictures."""
        return torch.cat([self.pipe.encoder(part).w_plus for part in images.split(8)])

    def reference_frame(self, file: Path) -> Tensor:
        """Return what `read_look` looks at of a reference, [1, 3, R, R]."""
        return self.pipe.reference_frame(open_photo(file))[0]


def mean_of(numbers: Numbers) -> dict[str, float]:
    """Return means over the faces."""
    return {name: values.double().mean().item() for name, values in numbers.items()}


def better_share(ours: Numbers, peer: Numbers) -> dict[str, float]:
    """Say in what share of the faces ours is better than a peer.

    `both`: nearer to the look and keeping more of the photo at once. `both_look`: the same, where what should be kept
    is the structure of the look on this face: a drawing that kept all of the photo's would be no drawing.
    """
    nearer = {name: ours[name] < peer[name] for name in ("gram_discriminator", "gram_random", "lab_histogram")}
    keeps = {name: ours[name] > peer[name] for name in ("ms_ssim", "ms_ssim_look")}
    shares = nearer | keeps | {"landmarks": ours["landmarks"] < peer["landmarks"]}
    shares["both"] = nearer["gram_random"] & keeps["ms_ssim"]
    shares["both_look"] = nearer["gram_random"] & keeps["ms_ssim_look"]
    return {name: values.float().mean().item() for name, values in shares.items()}


def measure_look(
    judge: Judge, faces: Tensor, targets: Tensor, strangers: Tensor, strengths: tuple[float, ...], ours: Drawer,
    peers: Mapping[str, Tensor],
) -> tuple[dict, list[Tensor]]:  # fmt: skip
    """Return all numbers of one look, and the pictures at every strength.

    Returns:
        {"photo": …, "target": …, "ours": {strength: …}, "peers": {name: …}, "better": {name: …}, "own_look": share of
        faces that end nearer to their own look than to the other one}.
    """
    photo, target, stranger = (judge.look_at(images) for images in (faces, targets, strangers))

    def judged(own: Seen) -> Numbers:
        return judge.compare(own, target, photo, stranger)

    drawn = [ours(strength) for strength in strengths]
    numbers = [judged(judge.look_at(images)) for images in drawn]
    full = numbers[strengths.index(1.0)]
    of_peers = {name: judged(judge.look_at(images)) for name, images in peers.items()}
    result = {
        "photo": mean_of(judged(photo)),
        "target": mean_of(judged(target)),
        "ours": {f"{strength:g}": mean_of(one) for strength, one in zip(strengths, numbers, strict=True)},
        "peers": {name: mean_of(one) for name, one in of_peers.items()},
        "better": {name: better_share(full, one) for name, one in of_peers.items()},
        "own_look": (full["gram_random"] < full["other_gram_random"]).float().mean().item(),
    }
    return result, drawn


def measure_packs(config: EvaluateStyleConfig, ours: Ours, judge: Judge, faces: Tensor, seen: Tensor) -> Iterator:
    """Return (look, numbers) one by one; `seen`: faces on which the peers see a look."""
    packs = load_packs(config, ours.pipe)
    names = list(packs)
    for number, (name, pack) in enumerate(packs.items()):
        targets, shown = LOOKS[name].render(faces), LOOKS[name].render(seen)
        strangers = LOOKS[names[(number + 1) % len(names)] if len(names) > 1 else _another(name)].render(faces)
        look = NetworkLook(packs=((pack, 1.0),))
        mean, std = (moment.mean(dim=0, keepdim=True) for moment in color_moments(shown))
        code_mean, code_std = (moment.mean(dim=0, keepdim=True) for moment in code_moments(ours.codes(shown)))
        peers = {
            "lab": transfer_colors(faces, mean, std),
            "adain_w": ours.draw_matched(faces, code_mean, code_std),
        }
        result, drawn = measure_look(
            judge, faces, targets, strangers, config.strengths, lambda s, look=look: ours.draw(faces, look, s), peers
        )
        save_sheet(config.output_dir / f"{name}.png", [faces, targets, *drawn, *peers.values()])
        yield name, result


def measure_references(config: EvaluateStyleConfig, ours: Ours, judge: Judge, faces: Tensor) -> tuple[dict, dict]:
    """Return numbers of references, one to a face, and how many of each kind there are."""
    files = pick_references(config.references, len(faces), config.seed)
    targets = torch.cat([ours.reference_frame(file) for file in files])
    looks = [NetworkLook(reference=ours.pipe.read_look(file)) for file in files]

    def draw(strength: float) -> Tensor:
        pairs = zip(faces.split(1), looks, strict=True)
        return torch.cat([ours.draw(face, look, strength) for face, look in pairs])

    peers = {
        "lab": transfer_colors(faces, *color_moments(targets)),
        "adain_w": ours.draw_matched(faces, *code_moments(ours.codes(targets))),
    }
    result, drawn = measure_look(judge, faces, targets, targets.roll(1, dims=0), config.strengths, draw, peers)
    save_sheet(config.output_dir / "references.png", [faces, targets, *drawn, *peers.values()])
    kinds = [file.parent.name for file in files]
    return result, {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def load_packs(config: EvaluateStyleConfig, pipe: StyleTransferPipeline) -> dict[str, StylePack]:
    """Return the packs that are measured; InputError if the model lacks one or has none."""
    folder = resolve_model(config.model).folder / "packs"
    there = {name: folder / name for name in LOOKS if (folder / name / "pack.json").is_file()}
    missing = [name for name in config.looks if name not in there]
    if missing or not there:
        raise InputError(f"{folder} lacks {', '.join(missing) or 'packs'}; training/packs/make_defaults.py makes them")
    packs = {name: StylePack.from_pretrained(path) for name, path in there.items() if name in (config.looks or there)}
    for pack in packs.values():
        pack.check_base(base_hash(pipe.generator, pipe.encoder), pipe.model_name)
    return packs


def pick_references(folder: Path, num: int, seed: int) -> list[Path]:
    """Return `num` pictures, from all kinds in turns, drawn at random within a kind; none twice while there are others.

    Raises:
        DataError: there are no pictures.
    """
    kinds: dict[Path, list[Path]] = {}
    for file in find_pictures(folder, deep=True).files:
        kinds.setdefault(file.parent, []).append(file)
    if not kinds:
        raise DataError(f"{folder} holds no pictures")
    random = torch.Generator().manual_seed(seed)
    shuffled = [[files[i] for i in torch.randperm(len(files), generator=random)] for files in kinds.values()]
    longest = max(map(len, shuffled))
    in_turns = [files[turn] for turn in range(longest) for files in shuffled if turn < len(files)]
    return (in_turns * (1 + num // len(in_turns)))[:num]


def save_sheet(path: Path, rows: list[Tensor]) -> None:
    """Save faces in rows: photos, look, ours by strength, the peers."""
    count = min(SHEET_FACES, len(rows[0]))
    recipe = {"kind": "photos, look, ours by strength, the peers"}
    images = torch.cat([row[:count].clamp(-1, 1) for row in rows])
    save_samples(path, images, recipe, columns=count, source="edited")


def _another(name: str) -> str:
    return next(other for other in LOOKS if other != name)


@torch.no_grad()
def run(config: EvaluateStyleConfig) -> dict:
    """Measure as configured, write everything, and return the numbers."""
    config.check()
    pipe = StyleTransferPipeline.from_pretrained(config.model)
    if pipe.discriminator is None:
        raise InputError(f"the model {pipe.model_name} has no discriminator, in whose features looks are compared")
    identity = identity_judge(resolve_model(config.model).folder / "identity")
    judge = Judge(pipe.discriminator.eval(), RandomConv().eval(), pipe.aligner, identity)
    ours = Ours(pipe)
    size = {"face_px": pipe.resolution, "limit": config.num_faces}
    faces = from_uint8(load_labelled_faces(config.dataset_name, config.split, **size).images)
    seen = from_uint8(load_labelled_faces(config.dataset_name, config.peer_split, **size).images)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    result = {
        "model": pipe.model_name,
        "num_faces": len(faces),
        "settings": json.loads(json.dumps(asdict(config), default=str)),
        "identity": asdict(identity.verdict),
        "packs": {},
    }

    def write() -> None:  # after every look: what is there so far can be read
        write_json(config.output_dir / "style.json", result)
        (config.output_dir / "style.md").write_text(to_markdown(result))

    if config.references is not None:
        result["references"], result["kinds"] = measure_references(config, ours, judge, faces)
        write()
        print("references: done", flush=True)
    for name, numbers in measure_packs(config, ours, judge, faces, seen):
        result["packs"][name] = numbers
        write()
        print(f"{name}: done", flush=True)
    print(to_markdown(result))
    return result


main = script(EvaluateStyleConfig, run)


if __name__ == "__main__":
    sys.exit(main())
