"""Strict loading on top of diffusers: what does not fit exactly is an error, never a silent random weight."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import FrozenDict
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError

from gan_space.errors import WeightsError, raise_all
from gan_space.foreign_files import check_shards, count_values, read_json_file, read_types, value_faults
from gan_space.hub import HubOptions, resolve_folder

MAX_REPEATS = 256  # of layers, blocks and the like, whose settings are called num_…
FLOATS = ("F", "BF")  # how safetensors spells their types
MAX_SIZE = 2**20  # of any other whole number in a config.json
_LOADING_ERRORS = (
    *(OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError),
    *(IndexError, MemoryError),
)


class PretrainedModel(ModelMixin, ConfigMixin):
    """Base of all our networks: `from_pretrained`, `save_pretrained` and `push_to_hub` with config.json + safetensors.

    Unlike plain diffusers, `from_pretrained` raises WeightsError on missing, unexpected or mismatched keys, an unknown
    config key, a config of another class, or a damaged file. Pickled weights are never read.
    """

    config_name = "config.json"

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs):
        """Load the network from a folder or a Hub id, whose files are compared with the Hub's checksums.

        Args:
            pretrained_model_name_or_path: folder, or Hub repository "user/name".
            **kwargs: those of `hub.HubOptions`, such as `subfolder="generator"` or `revision`; and those of diffusers
                that concern reading, such as `torch_dtype` and `variant`.

        Raises:
            InputError: neither folder nor Hub id, or a revision given for a folder.
            WeightsError: the file or a key in it is missing, damaged, or for another network; names file and keys.
        """
        given = {key: kwargs.pop(key, None) for key in HubOptions.__annotations__}
        options = {key: value for key, value in given.items() if value is not None}
        folder = resolve_folder(pretrained_model_name_or_path, **options)
        where = f"{os.fspath(pretrained_model_name_or_path)}/{options.get('subfolder', '')}".rstrip("/")
        try:
            config = read_json_file(folder / cls.config_name)
        except FileNotFoundError as error:
            raise WeightsError(f"cannot read {where}/config.json: there is no such file") from error
        cls._check_config(config, f"{where}/config.json")
        check_shards(folder)
        cls._check_headers(config, folder, where)
        kwargs |= {"use_safetensors": True, "output_loading_info": True, "local_files_only": True}
        try:
            with _without_remarks():
                model, report = super().from_pretrained(str(folder), **kwargs)
        except _LOADING_ERRORS as error:
            raise WeightsError(
                f"cannot read the weights of {cls.__name__} in {where}: {_first_line(error)}. "
                "Expected whole safetensors files; download or export them again."
            ) from error
        cls._check_keys(report, where)
        if faults := value_faults(model.state_dict()):
            raise WeightsError(f"the weights in {where}: {_shorten(faults, 3)}")
        # diffusers notes where the weights came from and would save it: a path on this machine is nobody's business.
        model._internal_dict = FrozenDict({k: v for k, v in model.config.items() if k != "_name_or_path"})
        return model

    @classmethod
    def _check_config(cls, config: dict, file: str) -> None:
        made_for = config.get("_class_name")
        if made_for not in (None, cls.__name__):
            raise WeightsError(f"{file} is for a {made_for}, expected a {cls.__name__}")
        known = set(inspect.signature(cls.__init__).parameters) - {"self"}
        unknown = sorted(key for key in config if not key.startswith("_") and key not in known)
        if unknown:
            raise WeightsError(
                f"{file} has unknown keys {unknown} for {cls.__name__}; known are {sorted(known)}. "
                "It may come from a newer gan_space: upgrade, or remove the keys."
            )

        faults = [
            f"{file}: {key} is {value:,}, expected at most {limit:,}"
            for key, value in config.items()
            if isinstance(value, int) and value > (limit := MAX_REPEATS if key.startswith("num_") else MAX_SIZE)
        ]
        faults += [
            f"{file}: {key} must be a finite number, got {value}"
            for key, value in config.items()
            if isinstance(value, float) and not math.isfinite(value)
        ]
        raise_all(faults, WeightsError)

    @classmethod
    def _check_headers(cls, config: dict, folder: Path, where: str) -> None:
        """Refuse, before it is allocated, a config.json that asks for much more than the weight files hold.

        And weights of whole or complex numbers, which would be read as what they are not.
        """
        settings = {key: value for key, value in config.items() if not key.startswith("_")}
        try:
            with torch.device("meta"):
                wanted = cls(**settings).state_dict()
        except _LOADING_ERRORS as error:
            text = f"{where}/config.json does not describe a {cls.__name__}: {_first_line(error)}"
            raise WeightsError(text) from error
        try:
            files = sorted(folder.glob("*.safetensors"))
            held = count_values(files)
            types = {key: kind for file in files for key, kind in read_types(file).items()}
        except WeightsError as error:
            raise WeightsError(f"cannot read the weights of {cls.__name__} in {where}: {error}") from error
        needed = sum(value.numel() for value in wanted.values())
        if needed > 2 * held + MAX_SIZE:
            raise WeightsError(
                f"{where}/config.json asks for {needed:,} values, but the weight files beside it hold {held:,}"
            )

        floats = {key for key, value in wanted.items() if value.is_floating_point()}
        others = [f"{key} ({kind})" for key, kind in types.items() if key in floats and not kind.startswith(FLOATS)]
        if others:
            raise WeightsError(f"the weights in {where}: expected floating-point numbers, got {_shorten(others, 3)}")

    @classmethod
    def _check_keys(cls, report: dict, where: str) -> None:
        faults = [
            f"{kind.replace('_', ' ')} {_shorten(report[kind])}"
            for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
            if report.get(kind)
        ]
        if faults:
            raise WeightsError(
                f"the weights in {where} do not fit its config.json ({cls.__name__}): {'; '.join(faults)}"
            )


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keep diffusers from remarking in several lines on keys that do not fit, for which there is an error."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(before)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _shorten(keys, limit: int = 6) -> str:
    names = [str(key) for key in keys]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
