"""Strict loading on top of diffusers: what does not fit exactly is an error, never a silent random weight."""

from __future__ import annotations

import inspect
from pathlib import Path

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import FrozenDict
from safetensors import SafetensorError

from gan_space.errors import WeightsError


class PretrainedModel(ModelMixin, ConfigMixin):
    """Base of all our networks: `from_pretrained`, `save_pretrained` and `push_to_hub` with config.json + safetensors.

    Unlike plain diffusers, `from_pretrained` raises WeightsError on missing, unexpected or mismatched keys, an unknown
    config key, a config of another class, or a damaged file. Pickled weights are never read.
    """

    config_name = "config.json"

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs):
        """Load the network from a folder or a Hub id.

        Args:
            pretrained_model_name_or_path: folder, or Hub repository "user/name".
            **kwargs: `subfolder`, `revision`, `token`, `cache_dir`, `local_files_only` as in diffusers.

        Raises:
            WeightsError: the file or a key in it is missing, damaged, or for another network; names file and keys.
        """
        name = str(pretrained_model_name_or_path)
        subfolder = kwargs.get("subfolder") or ""
        where = f"{name}/{subfolder}".rstrip("/")
        kwargs["use_safetensors"] = True
        kwargs["output_loading_info"] = True
        try:
            config = cls.load_config(name, **_hub_options(kwargs))
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {where}/config.json: {_first_line(error)}") from error
        cls._check_config(config, f"{where}/config.json")
        try:
            model, report = super().from_pretrained(name, **kwargs)
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
            raise WeightsError(
                f"cannot read the weights of {cls.__name__} in {where}: {_first_line(error)}. "
                "Expected whole safetensors files; download or export them again."
            ) from error
        cls._check_keys(report, where)
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


def _hub_options(kwargs: dict) -> dict:
    names = ("subfolder", "revision", "token", "cache_dir", "local_files_only", "force_download", "proxies")
    return {name: kwargs[name] for name in names if kwargs.get(name) is not None}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _shorten(keys, limit: int = 6) -> str:
    names = [str(key) for key in keys]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
