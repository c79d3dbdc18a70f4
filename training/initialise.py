"""Start a run from the weights of another one: of the same resolution to fine-tune, of a smaller one to grow.

Growing is in the spirit of ProGAN (Karras et al. 2018), and the skip architecture makes it simple: the new blocks of G
start with a to_rgb of zero, so G first draws exactly the smaller picture, upsampled. D gets new first blocks and keeps
the rest.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from gan_space.errors import ConfigError
from training.checkpoint import CheckpointStore
from training.steps import Players


@torch.no_grad()
def start_from(players: Players, run: Path) -> None:
    """Copy the weights of the newest checkpoint of `run` into the fitting blocks of these networks.

    Raises:
        ConfigError: no checkpoint there, or blocks of another size.
    """
    newest = CheckpointStore(run / "checkpoints").newest()
    if newest is None:
        raise ConfigError(f"--init_from {run} holds no complete checkpoint")
    for name, module in players.modules.items():
        source, target = load_file(newest / f"{name}.safetensors"), module.state_dict()
        if f"b{players.generator.config.resolution}.fromrgb.weight" not in source:
            # The discriminator's old first layer read colours; now that comes earlier.
            source = {key: value for key, value in source.items() if ".fromrgb." not in key}
        if name != "discriminator" and not module.config.use_noise:
            source = {key: value for key, value in source.items() if ".noise_" not in key}
        misfits = [key for key, value in source.items() if key not in target or target[key].shape != value.shape]
        if misfits:
            raise ConfigError(
                f"--init_from {run}: {misfits[:4]} do not fit the {name} of this run; use the same z_dim, w_dim, "
                "channel_base, channel_max, num_mapping_layers and labels, and the same or a larger resolution"
            )
        module.load_state_dict(target | source)
        if name != "discriminator":
            for size in module.synthesis.block_resolutions:
                if f"synthesis.b{size}.const" not in source and f"synthesis.b{size}.conv0.weight" not in source:
                    module.synthesis.block(size).torgb.weight.zero_()
