"""Every error that gan_space raises on purpose.

    GanSpaceError
    ├── InputError            the caller can mend it: exit code 2 on the command line
    │   ├── ConfigError       a setting, flag or config key
    │   ├── DataError         pictures or labels of a data set
    │   ├── WeightsError      a model file: missing, cut short, or for another network
    │   ├── PackError         a pack: damaged, or made for another network
    │   └── FaceError         a photo whose faces cannot be used
    │       ├── NoFaceError
    │       ├── FaceTooSmallError
    │       ├── FaceTooTurnedError
    │       └── GlassesError
    ├── Cancelled             the caller's own callback stopped a long job; nothing was written
    ├── Stopped               a run that was told to stop, and has saved: exit code 0
    └── TrainingError         a run that cannot go on: exit code 1

A message says what was got, what was expected and what to do about it. Where one input has several faults, all
of them are reported at once, see `raise_all`.
"""

from __future__ import annotations

from collections.abc import Sequence


class GanSpaceError(Exception):
    """Base of all errors below; catch this one to catch them all."""


class InputError(GanSpaceError, ValueError):
    """Something that the caller gave is wrong and can be mended by the caller."""


class ConfigError(InputError):
    """A setting has a value that does not work, alone or with another."""


class DataError(InputError):
    """A data set, a picture or a label cannot be used."""


class WeightsError(InputError):
    """A model folder or a weight file is missing, damaged, or made for another network."""


class PackError(InputError):
    """A pack is missing, damaged, or was made for another network."""


class FaceError(InputError):
    """A photo shows no face that can be worked on."""


class NoFaceError(FaceError):
    """No face was found in a photo."""


class FaceTooSmallError(FaceError):
    """The faces found have too few pixels."""


class FaceTooTurnedError(FaceError):
    """The faces found look too far to the side."""


class GlassesError(FaceError):
    """Glasses cannot be put on a face: it wears some, or is turned too far for them."""


class Cancelled(GanSpaceError):
    """A callback answered False: the job was given up, and nothing of it is left."""


class Stopped(GanSpaceError):
    """A run was told to stop by SIGTERM or Ctrl-C; what it has is saved, and the same command goes on."""


class TrainingError(GanSpaceError, RuntimeError):
    """Training cannot go on; the message names the last good checkpoint where there is one."""


def raise_all(faults: Sequence[str], error: type[GanSpaceError] = ConfigError) -> None:
    """Raise `error` with every message in `faults`, one a line; return quietly if there is none."""
    if len(faults) == 1:
        raise error(faults[0])
    if faults:
        raise error(f"{len(faults)} problems:\n" + "\n".join(f"  - {fault}" for fault in faults))
