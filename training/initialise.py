"""Start a run from the weights of another one, or of a finished model: of the same resolution to fine-tune, of a
smaller one to grow.

Growing is in the spirit of ProGAN (Karras et al. 2018), and the skip architecture makes it simple: the new blocks of G
start with a to_rgb of zero, so G first draws exactly the smaller picture, upsampled. D gets new first blocks and keeps
the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from gan_space.errors import ConfigError
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.models.pretrained import PretrainedModel
from gan_space.pipelines.loading import default_model_folder
from training.checkpoint import CheckpointStore
from training.steps import Players

DEFAULT = "default"  # the model inside the package


@torch.no_grad()
def start_from(players: Players, source: str | Path) -> None:
    """Copy weights into the fitting blocks of these networks.

    A model without a discriminator leaves the one of `players` as it is; `--d_warmup_kimg` lets it catch up first.

    Args:
        players: of the new run.
        source: folder of a run (its newest checkpoint counts), folder of a model, or "default".

    Raises:
        ConfigError: nothing complete there, or blocks of another size.
        WeightsError: a model whose files are damaged.
    """
    for name, weights in _read(source).items():
        module, target = players.modules[name], players.modules[name].state_dict()
        if f"b{players.generator.config.resolution}.fromrgb.weight" not in weights:
            # The discriminator's old first layer read colours; now that comes earlier.
            weights = {key: value for key, value in weights.items() if ".fromrgb." not in key}
        if name != "discriminator" and not module.config.use_noise:
            weights = {key: value for key, value in weights.items() if ".noise_" not in key}
        misfits = [key for key, value in weights.items() if key not in target or target[key].shape != value.shape]
        if misfits:
            raise ConfigError(
                f"--init_from {source}: {misfits[:4]} do not fit the {name} of this run; use the same z_dim, w_dim, "
                "channel_base, channel_max, num_mapping_layers and labels, and the same or a larger resolution"
            )
        module.load_state_dict(target | weights)
        if name != "discriminator":
            for size in module.synthesis.block_resolutions:
                if f"synthesis.b{size}.const" not in weights and f"synthesis.b{size}.conv0.weight" not in weights:
                    module.synthesis.block(size).torgb.weight.zero_()


def _read(source: str | Path) -> dict[str, dict[str, torch.Tensor]]:
    """Weights by the names of `Players.modules`, in float32 on the CPU."""
    folder = default_model_folder() if str(source) == DEFAULT else Path(source)
    if (folder / "generator").is_dir():
        found = {"generator": _state(Generator, folder, "generator")}
        found["ema"] = found["generator"]
        if (folder / "discriminator").is_dir():
            found["discriminator"] = _state(Discriminator, folder, "discriminator")
        return found
    newest = CheckpointStore(folder / "checkpoints").newest()
    if newest is None:
        raise ConfigError(f"--init_from {source} is no model folder, and holds no complete checkpoint of a run")
    return {name: load_file(newest / f"{name}.safetensors") for name in ("generator", "discriminator", "ema")}


def _state(kind: type[PretrainedModel], folder: Path, subfolder: str) -> dict[str, torch.Tensor]:
    return kind.from_pretrained(str(folder), subfolder=subfolder).state_dict()
