"""Measure profiles: `python training/packs/evaluate_person.py --dataset_name PORTRAITS128 --output_dir runs/identity`.

For each of several people a profile is made of some pictures, and what it draws is compared with the other pictures of
the same person, by the cosine of what the identity network sees. Likeness alone says little, so the same is measured
for what must be less alike (random faces, other people, the nearest face of the training data) and for what is as alike
as can be (the person's own pictures). One file a person, so a run that was stopped goes on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import training.common.start  # noqa: F401

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan_space.errors import ConfigError, DataError, InputError, raise_all
from gan_space.images import from_uint8
from gan_space.metrics.diversity import mean_pairwise_distance, thumbnails
from gan_space.models.analyzer import Analyzer
from gan_space.models.face_identity import FaceIdentity
from gan_space.packs.consent import Consent
from gan_space.packs.identity import MAX_PHOTOS, IdentityPack
from gan_space.pipelines.dataset import load_analyzer
from gan_space.pipelines.likeness import FaceJudge
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.settings import least_faults, values_of
from gan_space.whole_files import whole_file, write_json
from training.common.claim import claim_run
from training.common.command import script
from training.common.face_labels import load_labelled_faces
from training.common.samples import save_samples
from training.identity.intruders import intruder_rates
from training.identity.pairs import compare, equal_error

MAY_CHANGE = ("output_dir", "num_people")
NUM_BOOTSTRAPS = 1000
SHEET_PEOPLE, SHEET_PHOTOS, SHEET_DRAWN = 8, 4, 6
WEAK_EER = 0.2  # a network worse than that says little about who somebody is
CONSENT = Consent("a person of a research data set", "nobody: only measured, then dropped")
# Rows of the table: key -> words. All are compared with the held-out pictures of the same person.
KINDS = {
    "photos": "the person's own other pictures",
    "generated": "drawn from the profile",
    "untuned": "drawn from the encoder's codes, nothing tuned",
    "reconstructed": "the encoder's reconstruction of the profile's pictures",
    "nearest": "the nearest face of the training data",
    "others": "pictures of other people",
    "random": "random faces of the same seeds",
}


@dataclass(frozen=True)
class EvaluateIdentityConfig:
    """Measure profiles of people with several pictures each. The same command goes on with a stopped run."""

    dataset_name: str
    """Folder, parquet or Hub data set of faces with a column `identity`."""
    output_dir: Path = Path("runs/identity")
    """Folder for the numbers, the table and a sheet to look at."""
    model: str | None = None
    """Model folder or Hub id with generator, encoder and aligner; None: the embedded one."""
    identity: str | None = None
    """Folder of the network that judges; None: the model's own."""
    split: str = "test"
    """Split of the people."""
    framing: Literal["tight", "portrait"] = "portrait"
    """tight: aligned faces; portrait: heads, which are cropped to the tight frame by their known places."""
    num_people: int = 8
    """People with the most pictures, at most so many; raising it later goes on."""
    num_photos: int = 5
    """Pictures that a profile is made of."""
    min_held_out: int = 3
    """Further pictures that a person must have."""
    num_generated: int = 16
    """Portraits that are drawn of each person."""
    num_steps: int = 300
    """Of making a profile."""
    rank: int = 8
    """Of the weights' change."""
    beyond: float = 0.02
    """How far outside the hull portraits may lie."""
    train_dataset: str | None = None
    """Faces that the generator was trained on, to find the nearest one; None leaves that row out."""
    train_limit: int = 4000
    """At most so many of them."""
    seed: int = 0
    """Of the choice of pictures and of making the profiles."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = least_faults(2, values_of(self, "num_people", "num_generated", "train_limit"), "--")
        faults += least_faults(1, values_of(self, "num_photos", "min_held_out", "num_steps", "rank"), "--")
        faults += least_faults(0, values_of(self, "seed"), "--")
        if self.num_photos > MAX_PHOTOS:
            faults.append(f"--num_photos must be at most {MAX_PHOTOS}, got {self.num_photos}")
        if not 0 <= self.beyond <= 0.5:
            faults.append(f"--beyond must be from 0 to 0.5, got {self.beyond}")
        raise_all(faults, ConfigError)


class Person(NamedTuple):
    """One person's pictures, by their numbers in the data set."""

    number: int
    photos: list[int]  # the profile is made of
    held_out: list[int]


def choose_people(person: Tensor, config: EvaluateIdentityConfig) -> list[Person]:
    """Return the people with the most pictures, and which of these a profile is made of.

    Args:
        person: [N] int64, the same number for the same person, -1 for nobody in particular.

    Raises:
        DataError: fewer than two people have enough pictures.
    """
    numbers, counts = person[person >= 0].unique(return_counts=True)
    enough = [
        (-count, number)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        if count >= config.num_photos + config.min_held_out
    ]
    if len(enough) < 2:
        raise DataError(
            f"{config.dataset_name} (split {config.split}) has {len(enough)} people with "
            f"{config.num_photos + config.min_held_out} pictures or more, expected 2: lower --num_photos or "
            "--min_held_out, or take another split"
        )
    people = []
    for _, number in sorted(enough)[: config.num_people]:
        rows = torch.nonzero(person == number).flatten()
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(config.seed * 1_000_003 + number))
        shuffled = rows[order].tolist()
        people.append(Person(number, shuffled[: config.num_photos], shuffled[config.num_photos :]))
    return people


@torch.no_grad()
def embed(identity: FaceIdentity, images: Tensor, batch_size: int = 64) -> Tensor:
    """Map [N, 3, R, R], uint8 or float in [-1, 1] -> unit vectors [N, D] float32."""
    parts = [from_uint8(part) if part.dtype == torch.uint8 else part for part in images.split(batch_size)]
    return torch.cat([identity(part.float().clamp(-1, 1)) for part in parts])


def measure_person(
    pipe: PersonalizationPipeline,
    identity: FaceIdentity,
    analyzer: Analyzer | None,
    photos: Tensor,
    config: EvaluateIdentityConfig,
) -> tuple[dict[str, Tensor], dict[str, float], Tensor]:
    """Make one profile and draw from it.

    Args:
        photos: [K, 3, R, R] in [-1, 1].

    Returns:
        Embeddings by kind [N, D]; plain numbers; pictures for the sheet [SHEET_DRAWN, 3, R, R].
    """
    options = {"num_steps": config.num_steps, "rank": config.rank, "seed": config.seed}
    pack = pipe.fit_faces(photos, consent=CONSENT, **options)
    seeds = list(range(config.num_generated))
    draw = {"beyond": config.beyond, "output_type": "pt"}
    generated = pipe(pack, seeds, **draw).images
    with torch.no_grad():
        w_plus, state = pipe.encoder(photos)
        again = pipe.generator.synthesis.finish(state, w_plus, pipe.encoder.feature_resolution)
    plain = replace(pack, anchors=w_plus.float().cpu(), delta=pack.delta.to(torch.float16).requires_grad_(False))
    for tensor in plain.delta.parameters():
        tensor.zero_()
    untuned = pipe(plain, seeds, **draw).images
    random = pipe(pack, seeds, identity_strength=0.0, **draw).images
    embeddings = {
        "generated": embed(identity, generated), "untuned": embed(identity, untuned),
        "reconstructed": embed(identity, again), "random": embed(identity, random),
    }  # fmt: skip
    numbers = dict(pack.quality) | {
        "diversity_generated": mean_pairwise_distance(thumbnails(generated.clamp(-1, 1))),
        "diversity_random": mean_pairwise_distance(thumbnails(random.clamp(-1, 1))),
    }
    if len(photos) > 1:
        numbers["diversity_photos"] = mean_pairwise_distance(thumbnails(photos))
    # What the app's meter shows, which has no photos to compare with, beside what it stands for.
    shown, truth = FaceJudge(identity).embed_pack(pack, pipe.generator), embed(identity, photos)
    numbers |= {
        "meter_generated": float(similarity(embeddings["generated"], shown).mean()),
        "meter_random": float(similarity(embeddings["random"], shown).mean()),
        "photos_generated": float(similarity(embeddings["generated"], truth).mean()),
    }
    numbers |= edit_success(pipe, analyzer, pack, seeds)
    return embeddings, numbers, generated[:SHEET_DRAWN]


@torch.no_grad()
def edit_success(
    pipe: PersonalizationPipeline, analyzer: Analyzer | None, pack: IdentityPack, seeds: list[int]
) -> dict[str, float]:
    """Return the share of portraits that score higher at +1 than at -1, with the profile and without."""
    numbers = {}
    for name in [] if pipe.directions is None or analyzer is None else pipe.directions.names:
        low, high = pipe.directions[name].limits
        if name not in analyzer.config.attributes or not low <= -1 < 1 <= high:
            continue
        for label, strength in (("profile", 1.0), ("random", 0.0)):
            scores = []
            for amount in (-1, 1):
                drawn = pipe(
                    pack, seeds, attributes={name: amount}, identity_strength=strength, output_type="pt"
                ).images
                scores.append(analyzer(drawn.clamp(-1, 1)).scores[name])
            numbers[f"edit_{name}_{label}"] = (scores[1] > scores[0]).float().mean().item()
    return numbers


def similarity(one: Tensor, other: Tensor) -> np.ndarray:
    """Return cosines of all pairs of [N, D] and [M, D] unit vectors, flat."""
    return (one.double() @ other.double().T).flatten().numpy()


def summarise(
    people: list[dict[str, Tensor]], threshold: float, num_bootstraps: int = NUM_BOOTSTRAPS
) -> dict[str, dict]:
    """Return the likeness of every kind to the held-out pictures, one vote a person.

    Args:
        people: for each person embeddings [N, D] by kind, and "held_out".
        threshold: cosine above which a pair counts as one person.

    Returns:
        "likeness": kind -> mean, low and high (95 %, bootstrap over people), share (of pairs above the threshold).
        "gains": generated minus another kind, the same way; "better": share of people for whom it is above 0.
        "strangers": what the profile of A does to the likeness to every other person B: mean and largest rise over
        random faces of the same seeds; the same over A's real pictures, which are somewhat alike to B already, with an
        interval over the people A; share of pairs with B above the threshold, beside that of A's real pictures.
    """
    values: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for number, one in enumerate(people):
        kinds = {kind: one[kind] for kind in KINDS if kind in one}
        rest = [other["held_out"] for index, other in enumerate(people) if index != number]
        kinds["others"] = torch.cat(rest)
        for kind, embeddings in kinds.items():
            cosines = similarity(embeddings, one["held_out"])
            values.setdefault(kind, []).append(float(cosines.mean()))
            shares.setdefault(kind, []).append(float((cosines >= threshold).mean()))
    likeness = {
        kind: _with_interval(np.array(values[kind]), num_bootstraps) | {"share": float(np.mean(shares[kind]))}
        for kind in KINDS
        if kind in values
    }
    gains = {}
    for kind in likeness:
        if kind not in ("generated", "photos"):
            difference = np.array(values["generated"]) - np.array(values[kind])
            gains[kind] = _with_interval(difference, num_bootstraps) | {"better": float((difference > 0).mean())}
    return {"likeness": likeness, "gains": gains, "strangers": _strangers(people, threshold)}


def _strangers(people: list[dict[str, Tensor]], threshold: float) -> dict[str, float]:
    rises, drawn, real = [], [], []
    excess = np.full((len(people), len(people)), np.nan)
    for a, one in enumerate(people):
        for b, other in enumerate(people):
            if a == b:
                continue
            generated = similarity(one["generated"], other["held_out"])
            rises.append(float(generated.mean() - similarity(one["random"], other["held_out"]).mean()))
            drawn.append(float((generated >= threshold).mean()))
            photos = similarity(one["photos"], other["held_out"])
            real.append(float((photos >= threshold).mean()))
            excess[a, b] = generated.mean() - photos.mean()
    over_photos = _with_interval(np.nanmean(excess, axis=1), NUM_BOOTSTRAPS)
    return {
        **{f"excess_{key}": value for key, value in over_photos.items()},
        "excess_largest": float(np.nanmax(excess)),
        "rise_mean": float(np.mean(rises)), "rise_largest": float(np.max(rises)),
        "share_generated": float(np.mean(drawn)), "share_photos": float(np.mean(real)),
    }  # fmt: skip


def _with_interval(values: np.ndarray, num_bootstraps: int) -> dict[str, float]:
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (num_bootstraps, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def to_markdown(result: dict) -> str:
    """Return the tables of one evaluation."""
    about = (
        f"{result['num_people']} people, profiles of {result['num_photos']} pictures, {result['num_generated']} "
        f"portraits each. Two pictures count as one person from a cosine of {result['threshold']:.3f} on, the "
        f"equal-error point over the real pictures (error {result['eer']:.1%})."
    )
    lines = [about, ""]
    if result["eer"] > WEAK_EER:
        lines += [
            f"**The judge is weak:** it takes one in {1 / result['eer']:.1f} pairs for the wrong kind, so these "
            "numbers say little about who is seen. Use a network that tells people apart.",
            "",
        ]
    lines += ["| compared with held-out pictures of the person | cosine | 95 % | same person |"]
    lines.append("| --- | --- | --- | --- |")
    for kind, row in result["likeness"].items():
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(f"| {KINDS[kind]} | {row['mean']:.3f} | {interval} | {row['share']:.1%} |")
    lines += ["", "| drawn from the profile, minus | cosine | 95 % | people for whom it is more |"]
    lines.append("| --- | --- | --- | --- |")
    for kind, row in result["gains"].items():
        interval = f"{row['low']:+.3f} to {row['high']:+.3f}"
        lines.append(f"| {KINDS[kind]} | {row['mean']:+.3f} | {interval} | {row['better']:.0%} |")
    strangers = result["strangers"]
    lines += [
        "",
        f"Likeness to every other person: {strangers['rise_mean']:+.3f} on average against random faces of the same "
        f"seeds, {strangers['rise_largest']:+.3f} at most; against the first person's real pictures "
        f"{strangers['excess_mean']:+.3f} (95 %: {strangers['excess_low']:+.3f} to {strangers['excess_high']:+.3f}), "
        f"{strangers['excess_largest']:+.3f} at most. Taken for that other person: "
        f"{strangers['share_generated']:.1%} of pairs, {strangers['share_photos']:.1%} with the first person's real "
        "pictures.",
        "",
        "| mean over people | |",
        "| --- | --- |",
        *(f"| {name} | {value:.4g} |" for name, value in result["numbers"].items()),
    ]
    if result["intruders"]:
        lines += ["", f"One of {result['num_photos']} photos is a stranger's:", ""]
        lines += [
            "| margin | the stranger's photo is refused | own photos refused, where all are |",
            "| --- | --- | --- |",
        ]
        lines += [f"| {key} | {row['found']:.0%} | {row['refused']:.1%} |" for key, row in result["intruders"].items()]
    return "\n".join(lines) + "\n"


def run(config: EvaluateIdentityConfig) -> dict:
    """Measure as configured, write identity.json, identity.md and sheet.png, and return the numbers.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: the data has too few people.
        InputError: the model cannot be used, or has no identity network.
    """
    config.check()
    pipe = PersonalizationPipeline.from_pretrained(config.model)
    identity = pipe.identity if config.identity is None else FaceIdentity.from_pretrained(config.identity).eval()
    if identity is None:
        raise InputError(f"the model {pipe.model_name} has no identity network: give one with --identity")
    analyzer = load_analyzer(pipe)
    R = pipe.resolution
    faces = load_labelled_faces(config.dataset_name, config.split, face_px=R, framing=config.framing)
    people = choose_people(faces.person, config)
    claim_run(config.output_dir, config, MAY_CHANGE)
    real = embed(identity, faces.images)
    pairs = compare(real.double().numpy(), faces.person.numpy())
    threshold = equal_error(pairs.same, pairs.different)
    train = None
    if config.train_dataset is not None:
        images = load_labelled_faces(config.train_dataset, "train", face_px=R, limit=config.train_limit).images
        train = embed(identity, images)
    measured, numbers, rows = [], [], []
    for index, person in enumerate(people):
        file = config.output_dir / f"person-{person.number:05d}.safetensors"
        if not file.is_file():
            photos = from_uint8(faces.images[person.photos])
            embeddings, own, drawn = measure_person(pipe, identity, analyzer, photos, config)
            _write(file, {**embeddings, "drawn": drawn.to(torch.float16)}, {"revision": pipe.revision, "numbers": own})
        tensors, record = load_file(file), json.loads(file.with_suffix(".json").read_text())
        if record["revision"] != pipe.revision:
            raise ConfigError(
                f"{file} was measured with the model at {record['revision']}, this is {pipe.revision}: give another "
                "--output_dir"
            )
        own = record["numbers"]
        drawn = tensors.pop("drawn").float()
        tensors |= {"photos": real[person.photos], "held_out": real[person.held_out]}
        if train is not None:
            tensors["nearest"] = train[[int((train @ tensors["photos"].mean(dim=0)).argmax())]]
        measured.append(tensors)
        numbers.append(own)
        if index < SHEET_PEOPLE:
            shown = from_uint8(faces.images[person.photos[:SHEET_PHOTOS]])
            blank = torch.ones(SHEET_PHOTOS - len(shown), 3, R, R)
            missing = torch.ones(SHEET_DRAWN - len(drawn), 3, R, R)
            rows.append(torch.cat([shown, blank, drawn, missing]))
        print(f"person {index + 1} of {len(people)}: psnr {own['psnr_start']:.1f} -> {own['psnr']:.1f} dB", flush=True)
    result = {
        "num_people": len(people), "num_photos": config.num_photos, "num_generated": config.num_generated,
        "num_steps": config.num_steps, "model": pipe.model_name, "revision": pipe.revision,
        "threshold": threshold.threshold, "eer": threshold.rate, **summarise(measured, threshold.threshold),
        "numbers": {name: float(np.mean([own[name] for own in numbers])) for name in numbers[0]},
        "intruders": intruder_rates(real, faces.person, num_photos=config.num_photos, seed=config.seed),
    }  # fmt: skip
    write_json(config.output_dir / "identity.json", result)
    (config.output_dir / "identity.md").write_text(to_markdown(result))
    recipe = {"kind": "photos of a person and what a profile draws of them", "model": pipe.model_name}
    columns = SHEET_PHOTOS + SHEET_DRAWN
    save_samples(config.output_dir / "sheet.png", torch.cat(rows), recipe, columns=columns, source="edited")
    return result


def _write(file: Path, tensors: dict[str, Tensor], record: dict) -> None:
    """The record first: the safetensors file is what says that a person is done."""
    file.with_suffix(".json").write_text(json.dumps(record))
    with whole_file(file) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(partial))


main = script(EvaluateIdentityConfig, run, lambda config, _: (config.output_dir / "identity.md").read_text())


if __name__ == "__main__":
    sys.exit(main())
