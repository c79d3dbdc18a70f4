"""Make a generator's directions: `python training/directions/fit.py --model FOLDER --analyzer FOLDER --output FOLDER`.

Faces are drawn and scored by the analyzer, each score is read off the codes by ridge regression, and for every
attribute the move that should change it and little else is improved on drawn faces (`training/directions/descent.py`).
Other faces then measure what each slider does. `--output` gets `directions/`, to be copied into the model folder,
`metrics.json` and `pictures/`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import training.common.start  # noqa: F401

from torch import Tensor

from gan_space.errors import ConfigError, TrainingError, raise_all
from gan_space.latents.directions import DIRECTIONS_FOLDER, MAX_DIRECTIONS, Direction, Directions, generator_hash
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256
from gan_space.pipelines.loading import read_metadata
from gan_space.portraits.colors import LIGHT_ATTRIBUTE
from gan_space.seeding import latents_from_seeds
from gan_space.settings import least_faults, values_of
from gan_space.whole_files import write_json
from training.common.command import script
from training.common.files import folder_faults
from training.directions.checks import (
    DrawnFaces,
    EncodedFaces,
    Judge,
    Measured,
    Population,
    Scorer,
    Sweep,
    drawn_faces,
    measure_direction,
    safe_range_of,
    success_share,
)
from training.directions.descent import descend
from training.directions.judges import analyzer_scorer, discriminator_logits, encoded_faces
from training.directions.pictures import save_pictures
from training.directions.readouts import read_off_codes
from training.directions.record import (
    about_attribute,
    build_direction,
    record_of,
    summary,
)
from training.directions.search import ENOUGH, calibration, least_unusual_direction, photo_scale

AMOUNTS = tuple(step / 2 for step in range(-6, 7))  # -3 to 3, what a slider may at most be
PSI = 0.7  # what faces are drawn with by default, so sliders are tried and measured there
# Weights of the descent: the second pair where the slider ends before ENOUGH of the faces arrive.
DESCENT_WEIGHTS = (
    {"length_weight": 0.02, "identity_weight": 0.3},
    {"length_weight": 0.15, "identity_weight": 1.0},
)
# Far from those that people use, from FIT_SEEDS, and from each other.
SEARCH_SEEDS, MEASURE_SEEDS, DESCENT_SEEDS = 3_100_000_000, 3_200_000_000, 3_300_000_000


@dataclass(frozen=True)
class FitDirectionsConfig:
    """Find, calibrate and measure the directions of a generator."""

    model: str
    """Model folder with generator/; discriminator/ and encoder/ are used if they are there."""
    output: Path
    """Folder for directions/, metrics.json and pictures/."""
    analyzer: str | None = None
    """Folder of the analyzer; None takes analyzer/ of the model folder."""
    identity: str | None = None
    """Folder of the network that says how much of the person stays, in the descent too; None takes identity/ of the
    model folder, if it is there."""
    attributes: tuple[str, ...] = ()
    """Which of the analyzer's attributes; none named: all."""
    dataset_name: str | None = None
    """Real faces on which the directions are measured too, through the encoder of the model folder."""
    dataset_split: str = "test"
    """Split of these faces; one that the encoder did not see."""
    num_fit: int = 4000
    """Faces that the readouts are fitted on."""
    num_search: int = 32
    """Faces on which the length of a slider is calibrated."""
    max_leak: float = 0.5
    """A new direction that changes another score by more standard deviations, while its own changes by one, is left
    out."""
    descent_steps: int = 150
    """Steps that improve each direction by gradients, on eight new faces each; 0 keeps what the readouts say."""
    no_descent: tuple[str, ...] = ("glasses",)
    """Attributes that keep what the readouts say. Look at the strips: where the analyzer is content with less than a
    person is, descent finds it. Improved glasses have no frames, only glare on the eyes."""
    drawn_only: tuple[str, ...] = ()
    """Attributes whose change does not convince in a photo, by eye: `on_photos` of these is false."""
    num_measure: int = 96
    """Faces on which the result is measured."""
    mixed_share: float = 0.5
    """Share of the faces to fit on whose layer groups have codes of their own, which tells what each group does."""
    leak_limit: float = 0.2
    """Standard deviations that another score may change while the own one changes by one."""
    min_success: float = 0.5
    """A new direction that brings fewer of the faces where it should, at the ends of its range, is left out."""
    batch_size: int = 32
    """Faces drawn at once."""
    seed: int = 0
    """Of all faces."""
    measure_only: bool = False
    """Measure the directions that the model folder has, with this analyzer and on these faces; find no new ones."""
    further_on_photos: bool = True
    """Find out how many times further the codes of photos have to move; False moves them as far as drawn faces."""
    pictures: bool = True
    """Draw the leak matrix and the strips."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        least = {"num_fit": 100, "num_search": 4, "num_measure": 8, "batch_size": 1, "descent_steps": 0}
        for name, low in least.items():
            faults += least_faults(low, values_of(self, name), "--")
        if not 0 <= self.mixed_share <= 0.8:
            faults.append(f"--mixed_share must be from 0 to 0.8, got {self.mixed_share}")
        if not 0 <= self.min_success <= 1:
            faults.append(f"--min_success must be from 0 to 1, got {self.min_success}")
        if not self.max_leak > 0:
            faults.append(f"--max_leak must be above 0, got {self.max_leak}")
        if not 0 < self.leak_limit <= 1:
            faults.append(f"--leak_limit must be above 0 and at most 1, got {self.leak_limit}")
        if not 0 <= self.seed <= 90:
            faults.append(f"--seed must be from 0 to 90, got {self.seed}")
        raise_all(faults + folder_faults(self, "output"), ConfigError)


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves: directions, and everything measured on the way, fit for JSON."""

    directions: Directions
    metrics: dict[str, Any]


def fit_directions(
    generator: Generator,
    scorer: Scorer,
    config: FitDirectionsConfig,
    *,
    logits=None,
    encoded: EncodedFaces | None = None,
    known: Directions | None = None,
    say=print,
) -> FitResult:
    """Find, calibrate and measure directions for everything that `scorer` reads.

    Args:
        generator: in eval mode; its faces in the frame that the scorer expects.
        scorer: reads attributes off images.
        config: numbers of faces and the like; files are not touched.
        logits: of a discriminator for images [N, 3, R, R], or None.
        encoded: real faces to measure on as well.
        known: directions of this generator that are measured as they are; None: find new ones.
        say: gets a line about each attribute.

    Raises:
        TrainingError: not one direction was found.
        InputError: an attribute that must not be a slider.
    """
    start = time.perf_counter()
    options = {"psi": PSI, "batch_size": config.batch_size, "seed": config.seed, "logits": logits}
    readings = read_off_codes(generator, scorer, num_faces=config.num_fit, mixed_share=config.mixed_share, **options)
    population = readings.population
    judge = Judge(scorer, population, logits, config.batch_size)
    search = _faces(generator, SEARCH_SEEDS, config.num_search, config.seed)
    measure = _faces(generator, MEASURE_SEEDS, config.num_measure, config.seed)
    items, metrics = [], {}
    for target, name in enumerate(population.names[: population.num_attributes]):
        if known is not None and name not in known:
            continue
        threshold, quality = about_attribute(name).threshold, readings.quality[name]
        try:
            if known is not None:
                tried = _again(known[name], judge, measure)
            else:
                tried = _find(target, readings.weights, judge, generator, search, measure, config)
        except _NoDirection as why:
            say(f"{name}: {why}; the readout explains {quality['explained']:.0%}")
            metrics[name] = {"readout": quality, "found": False}
            continue
        vector, sweep, safe_range = tried
        scale = 1.0 if known is None else known[name].photo_scale
        measured = measure_direction(sweep, target, population, safe_range, threshold)
        metrics[name] = record_of(name, measured, vector) | {"readout": quality, "found": True}
        weak = _weakness(measured, name, config) if known is None else None
        if weak:
            metrics[name]["found"] = False
            say(f"{name}: left out, {weak}; {summary(metrics[name])}")
            continue
        if encoded is not None:
            encoded = replace(encoded, keeps_light=name != LIGHT_ATTRIBUTE)
            scale = 1.0
            if config.further_on_photos:
                scale = photo_scale(judge, encoded, vector, target, measured, threshold)
            real = measure_direction(
                judge.sweep(encoded, scale * vector, AMOUNTS), target, population, safe_range, threshold
            )
            metrics[name]["encoded"] = record_of(name, real, vector) | {"photo_scale": scale}
        on_photos = name not in config.drawn_only and (known is None or known[name].on_photos)
        items.append(build_direction(name, vector, measured, population, scale, on_photos))
        say(f"{name}: {summary(metrics[name])}")
    if not items:
        raise TrainingError("no direction was found: does the analyzer read these faces, and does its frame fit them?")
    record = _about(config, population, encoded)
    if encoded is not None:  # the app shows these beside those on drawn faces, which are far better
        kept = ("success", "monotone", "leak")
        photos = {one.name: metrics[one.name]["encoded"] for one in items}
        record["on_photos"] = {name: {key: real[key] for key in kept} for name, real in photos.items()}
    metrics = {
        "attributes": metrics,
        **record,
        "seconds": round(time.perf_counter() - start, 1),
    }
    folder = Path(config.model)
    name = read_metadata(folder)["name"] or folder.resolve().name
    directions = Directions(tuple(items), generator_hash(generator), name, record)
    return FitResult(directions, metrics)


def _weakness(measured: Measured, name: str, config: FitDirectionsConfig) -> str | None:
    """Why a direction is left out, or None."""
    if measured.success < config.min_success:
        return f"below --min_success {config.min_success:.0%}"
    if max(map(abs, measured.leak(name).values()), default=0.0) > config.max_leak:
        return f"above --max_leak {config.max_leak:g}"
    return None


class _NoDirection(Exception):
    """No move does what is wanted of an attribute; says why."""


class _Tried(NamedTuple):
    """A direction, and what it does to the faces to measure on."""

    vector: Tensor  # [num_ws, w_dim], an amount of 1
    sweep: Sweep
    safe_range: tuple[float, float]


def _again(direction: Direction, judge: Judge, measure: DrawnFaces) -> _Tried:
    """An old direction, as it is."""
    return _Tried(direction.vector, judge.sweep(measure, direction.vector, AMOUNTS), direction.safe_range)


def _find(
    target: int, readouts: Tensor, judge: Judge, generator: Generator, search: DrawnFaces, measure: DrawnFaces,
    config: FitDirectionsConfig,
) -> _Tried:  # fmt: skip
    """Find, calibrate and bound a direction for the score of number `target`; raise _NoDirection if there is none."""
    vector = least_unusual_direction(target, readouts, judge.population, generator.num_ws, config.leak_limit)
    scale = None if vector is None else calibration(judge, search, vector, target, rounds=2)
    if scale is None:
        raise _NoDirection("no direction found")
    name = judge.population.names[target]
    if not config.descent_steps or name in config.no_descent:
        return _bounded(scale * vector, target, judge, measure)
    best, most = None, -1.0
    for weights in DESCENT_WEIGHTS:
        options = {"steps": config.descent_steps, "first_seed": DESCENT_SEEDS + 1_000_000 * config.seed, "psi": PSI}
        improved = descend(scale * vector, target, judge, generator, **options, **weights)
        try:
            again = calibration(judge, search, improved, target, rounds=2)
            if again is None:
                raise _NoDirection("the score stopped following while the direction was improved")
            tried = _bounded(again * improved, target, judge, measure)
        except _NoDirection:
            if best is None:
                raise
            break
        # How long a slider is, is decided on the faces that it is measured on, so this choice may be as well.
        threshold = about_attribute(name).threshold
        success = success_share(tried.sweep, target, judge.population, tried.safe_range, threshold)
        if success > most:
            best, most = tried, success
        if success >= ENOUGH:
            break
    return best


def _bounded(vector: Tensor, target: int, judge: Judge, measure: DrawnFaces) -> _Tried:
    """A calibrated direction with its safe range; raise _NoDirection if it has none."""
    sweep = judge.sweep(measure, vector, AMOUNTS)
    safe_range = safe_range_of(sweep, target, vector, measure.w_plus, judge.population)
    if safe_range == (0.0, 0.0):
        raise _NoDirection("the smallest step already leaves W or does nothing; left out")
    return _Tried(vector, sweep, safe_range)


def _faces(generator: Generator, first: int, count: int, seed: int) -> DrawnFaces:
    seeds = range(first + 1_000_000 * seed, first + 1_000_000 * seed + count)
    return drawn_faces(generator, latents_from_seeds(list(seeds), generator.config.z_dim), PSI)


def _about(config: FitDirectionsConfig, population: Population, encoded: EncodedFaces | None) -> dict[str, Any]:
    """What the numbers depend on."""
    names = ("num_fit", "num_search", "num_measure", "descent_steps", "mixed_share", "leak_limit", "seed")
    return {
        **{name: getattr(config, name) for name in names},
        "truncation_psi": PSI,
        "num_encoded": 0 if encoded is None else len(encoded),
        "watched": list(population.names[population.num_attributes :]),
        "realism": "W alone" if population.usual_drop is None else "W and discriminator",
    }


def run(config: FitDirectionsConfig) -> FitResult:
    """Fit as configured and write everything.

    Raises:
        InputError: settings, weights or data that cannot be used.
        TrainingError: no direction was found.
    """
    config.check()
    from gan_space.models.analyzer import Analyzer
    from gan_space.models.face_identity import FaceIdentity

    folder = Path(config.model)
    generator = Generator.from_pretrained(folder, subfolder="generator").eval().requires_grad_(False)
    if generator.config.c_dim:
        raise ConfigError(f"{folder} has a generator with classes; directions are fitted for those without")
    where = Path(config.analyzer) if config.analyzer else folder / "analyzer"
    analyzer = Analyzer.from_pretrained(where).eval().requires_grad_(False)
    identity = None
    if config.identity is not None or (folder / "identity").is_dir():
        identity = FaceIdentity.from_pretrained(config.identity or folder / "identity").eval().requires_grad_(False)
    scorer = analyzer_scorer(analyzer, config.attributes[:MAX_DIRECTIONS], identity)
    encoded = None
    if config.dataset_name is not None:
        encoded = encoded_faces(folder, generator, config.dataset_name, config.dataset_split, config.num_measure)
    known = None
    if config.measure_only:
        known = Directions.from_pretrained(folder / DIRECTIONS_FOLDER)
        known.check_fits(generator)
    options = {"logits": discriminator_logits(folder), "encoded": encoded, "known": known}
    result = fit_directions(generator, scorer, config, **options)
    result.metrics["analyzer_sha256"] = weights_sha256(analyzer)
    if identity is not None:
        result.metrics["identity_sha256"] = weights_sha256(identity)
    result.metrics["model_sha256"] = result.directions.base_hash
    config.output.mkdir(parents=True, exist_ok=True)
    result.directions.save_pretrained(config.output / DIRECTIONS_FOLDER)
    write_json(config.output / "metrics.json", result.metrics)
    if config.pictures:
        leaks = {}
        for name, record in result.metrics["attributes"].items():
            if record["found"]:
                person = record["identity_step"]
                leaks[name] = record["leak"] if person is None else record["leak"] | {"identity": person}
        recipe = {"model": result.directions.base_model, "truncation_psi": PSI}
        faces = _faces(generator, MEASURE_SEEDS, 6, config.seed)
        save_pictures(config.output / "pictures", result.directions, leaks, faces, recipe)
    return result


main = script(
    FitDirectionsConfig,
    run,
    lambda config, found: f"{len(found.directions)} directions in {config.output}, {found.metrics['seconds']:.0f} s",
)


if __name__ == "__main__":
    sys.exit(main())
