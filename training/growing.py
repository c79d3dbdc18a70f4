"""Start a run at twice the resolution from the weights of a smaller one (in the spirit of ProGAN, Karras et al. 2018).

The skip architecture makes this simple: the new block of G starts with a to_rgb of zero, so G first draws exactly the
smaller picture, upsampled. D gets a new first block and keeps the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from gan_space.errors import ConfigError
from training.checkpoint import CheckpointStore
from training.steps import Players


@torch.no_grad()
def grow(players: Players, run: Path) -> None:
    """Copy the weights of the newest checkpoint of `run` into the fitting blocks of larger networks.

    Raises:
        ConfigError: no checkpoint there, or blocks of another size.
    """
    newest = CheckpointStore(run / "checkpoints").newest()
    if newest is None:
        raise ConfigError(f"--grow_from {run} holds no complete checkpoint")
    top = players.generator.config.resolution
    for name, module in players.modules.items():
        source = load_file(newest / f"{name}.safetensors")
        target = module.state_dict()
        # The discriminator's old first layer read colours; now that comes earlier.
        source = {key: value for key, value in source.items() if ".fromrgb." not in key}
        misfits = [key for key, value in source.items() if key not in target or target[key].shape != value.shape]
        if misfits:
            raise ConfigError(
                f"--grow_from {run}: {misfits[:4]} do not fit the {name} of this run; use the same z_dim, w_dim, "
                "channel_base, channel_max and num_mapping_layers, and a larger resolution"
            )
        module.load_state_dict(target | source)
    for generator in (players.generator, players.ema):
        generator.synthesis.block(top).torgb.weight.zero_()
