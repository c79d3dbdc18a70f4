"""Measure a guided upscaler: `python training/guided/evaluate.py --dataset_name FOLDER`.

Pictures that it has never seen are drawn by formula at full size, which is the truth, and at a quarter of it, as a
network of that size draws them; the small drawing is enlarged four times with the photo beside it and, to compare, by a
bicubic filter. The looks are random ones of families that are never trained on, and those of the default packs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

from gan_space.errors import ConfigError, WeightsError, raise_all
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.pipelines.loading import default_model_folder
from gan_space.settings import least_faults, multiple_faults, values_of
from gan_space.whole_files import write_json
from training.common.command import script
from training.common.faces import load_faces
from training.common.files import no_folder_faults
from training.common.model_bundle import ModelBundle
from training.common.samples import ending_faults
from training.guided.data import STEP_PX
from training.guided.measure import held_back_drawings, measure, pack_drawings, save_grid, time_once


@dataclass(frozen=True)
class EvaluateGuidedConfig:
    """Measure a guided upscaler against formulas at full size, beside a filter."""

    dataset_name: str
    """Folder, parquet or Hub data set of pictures: aligned faces, or whole photos, of which the middle is taken."""
    model: str | None = None
    """Model folder with guided_upscaler/; None: the embedded default."""
    guided: str | None = None
    """Folder of the guided upscaler, if it is not in the model folder: `<run>/export`."""
    split: str = "train"
    """Split to measure on."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    face_px: int = 208
    """Size of the truth; a multiple of 8."""
    num_images: int = 96
    """Pictures to measure on, from the end of the split."""
    drawn_by_packs: bool = False
    """Measure also what the model's packs themselves draw; needs aligned faces."""
    output: Path | None = None
    """JSON file for the numbers."""
    grid: Path | None = None
    """PNG: small drawings, enlarged each way, and by formula."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = least_faults(1, values_of(self, "num_images"), "--")
        faults += multiple_faults("--face_px", self.face_px, STEP_PX, 8 * STEP_PX)
        faults += no_folder_faults(self, "output", "grid")
        faults += ending_faults("--grid", self.grid)
        raise_all(faults, ConfigError)


def run(config: EvaluateGuidedConfig) -> dict:
    """Measure as configured, print the numbers and return them."""
    config.check()
    model = Path(config.model or default_model_folder())
    folder = Path(config.guided or model / "guided_upscaler")
    if not (folder / "config.json").is_file():  # else the name would be taken for one on the Hub
        raise WeightsError(f"{folder} has no config.json: expected a guided upscaler; see training/guided/train.py")
    guided = GuidedUpscaler.from_pretrained(folder).eval().requires_grad_(False)
    images = load_faces(config.dataset_name, config.split, image_column=config.image_column, face_px=config.face_px)
    images = images.images[-config.num_images :]
    cases = held_back_drawings(images)
    if config.drawn_by_packs:
        base = ModelBundle.load(config.model, needed=("encoder",))
        cases |= pack_drawings(images, base, base.folder / "packs")
    result = measure(guided, cases)
    for case, methods in result.items():
        for method, numbers in methods.items():
            print(f"{case:32s} {method:8s} " + "  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))
    times = time_once(guided)
    print("  ".join(f"{name} {value:.4g}" for name, value in times.items()))
    record = {"num_images": len(images), "face_px": config.face_px, "cases": result, "times": times}
    if config.output is not None:
        write_json(config.output, record)
    if config.grid is not None:
        save_grid(guided, cases, config.grid)
    return record


main = script(EvaluateGuidedConfig, run)


if __name__ == "__main__":
    sys.exit(main())
