"""Make an identity pack: `python training/packs/train_person.py --photos DIR --output_dir me …`.

The same as `gan-space personalize fit`, with every setting of the optimisation. Minutes on two CPU cores; the profile
is written whole at the end, or not at all.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import training.common.start  # noqa: F401

from gan_space.errors import ConfigError, raise_all
from gan_space.packs.consent import Consent
from gan_space.packs.files import check_place
from gan_space.packs.identity import IdentityPack
from gan_space.packs.identity_tuning import IdentitySettings
from gan_space.photos.folders import find_pictures
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.photo_filter import PhotoLimits
from training.common.command import script
from training.common.files import folder_faults


@dataclass(frozen=True)
class TrainIdentityPackConfig:
    """Make a profile of one person who agreed to it."""

    photos: tuple[Path, ...]
    """Photos of the person, or folders of them; 1 to 20 are used."""
    output_dir: Path
    """Folder of the profile; an old profile there is replaced."""
    whose_face: str
    """The person, in your own words."""
    agreed_by: str
    """Who agreed that this profile is made."""
    model: str | None = None
    """Folder or Hub id of the model, with encoder and aligner; None is the embedded one."""
    limits: PhotoLimits = field(default_factory=PhotoLimits)
    """What a photo must be to be taken."""
    tune: IdentitySettings = field(default_factory=IdentitySettings)
    """How the profile is made."""

    def check(self) -> list[Path]:
        """Return the files; raise ConfigError with all faults at once, PackError if the folder holds something else."""
        files, faults = [], []
        for path in self.photos:
            if path.is_dir():
                files += find_pictures(path, deep=True).files
            elif path.is_file():
                files.append(path)
            else:
                faults.append(f"--photos: {path} does not exist")
        if not files and not faults:
            faults.append("--photos holds no pictures")
        raise_all(faults + folder_faults(self, "output_dir"), ConfigError)
        check_place(self.output_dir)
        return files


def train(config: TrainIdentityPackConfig) -> IdentityPack:
    """Make and write one profile.

    Raises:
        ConfigError: bad settings.
        InputError: the model cannot be used, or not one photo is of use; gives the reason for each.
        PackError: the folder holds something else.
    """
    files = config.check()
    consent = Consent(config.whose_face, config.agreed_by)
    person = PersonalizationPipeline.from_pretrained(config.model)
    checked = person.check_photos(files, limits=config.limits)
    for line in checked.lines():
        print(line, file=sys.stderr)

    def say(step: int, total: int, preview) -> None:
        if step % 20 == 0 or step == total:
            print(f"step {step} of {total}", flush=True)

    tune = config.tune
    options = {"num_steps": tune.num_steps, "rank": tune.rank, "seed": tune.seed, "settings": tune}
    pack = person.fit(checked, consent=consent, callback=say, **options)
    pack.save_pretrained(config.output_dir)
    return pack


main = script(
    TrainIdentityPackConfig, train, lambda config, pack: f"wrote {config.output_dir}: {json.dumps(pack.quality)}"
)


if __name__ == "__main__":
    sys.exit(main())
