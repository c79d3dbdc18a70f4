"""Start a run from the weights of another one, or of a finished model: of the same size to fine-tune, of a lower
resolution to grow, of fewer channels to widen (`widening`).

Growing is in the spirit of ProGAN (Karras et al. 2018), and the skip architecture makes it simple: the new blocks of G
start with a to_rgb of zero, so G first draws exactly the smaller picture, upsampled. The new first blocks of D start by
handing the picture on, downsampled, so D first judges as the smaller one did: if it had to find its way anew, G, which
has forgotten nothing, would leave it behind.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.formats.json_files import read_json
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.models.pretrained import PretrainedModel
from gan_space.nn.layers import LRELU_GAIN, LRELU_SLOPE, Conv2d
from gan_space.pipelines.loading import default_model_folder
from training.common.checkpoint import CheckpointStore
from training.steps import Players
from training.widening import widen

DEFAULT = "default"  # the model inside the package


@torch.no_grad()
def start_from(players: Players, source: str | Path) -> None:
    """Copy weights into the fitting blocks of these networks, and note how many images they have seen.

    A discriminator that only one side has is left as it is; `--d_warmup_kimg` lets a new one catch up first.

    Args:
        players: of the new run.
        source: folder of a run (its newest checkpoint counts), folder of a model, or "default".

    Raises:
        ConfigError: nothing complete there, or blocks of another size.
        WeightsError: a model whose files are damaged.
    """
    found, players.images_before = _read(source)
    for name in [name for name in found if name in players.modules]:
        weights = found[name]
        module, target = players.modules[name], players.modules[name].state_dict()
        # The first layer of a smaller discriminator reads colours; in this one that comes earlier.
        outgrown = {key: value for key, value in weights.items() if ".fromrgb." in key and key not in target}
        weights = {key: value for key, value in weights.items() if key not in outgrown}
        if name in ("generator", "ema") and not module.config.use_noise:
            weights = {key: value for key, value in weights.items() if ".noise_" not in key}
        if name != "projected":
            weights = widen(module, weights)
        misfits = [key for key, value in weights.items() if key not in target or target[key].shape != value.shape]
        if misfits:
            raise ConfigError(
                f"--init_from {source}: {misfits[:4]} do not fit the {name} of this run; use the same z_dim, w_dim, "
                "num_mapping_layers, projected_features, projected_px and labels, and the same or a larger resolution, "
                "channel_base and channel_max"
            )
        module.load_state_dict(target | weights)
        for key in outgrown:
            if key.endswith(".weight"):
                size = int(key.removeprefix("b").split(".")[0])
                hand_pictures_on(module, size, outgrown[key], outgrown[f"b{size}.fromrgb.bias"])
        if name in ("generator", "ema"):
            for size in module.synthesis.block_resolutions:
                if f"synthesis.b{size}.const" not in weights and f"synthesis.b{size}.conv0.weight" not in weights:
                    module.synthesis.block(size).torgb.weight.zero_()


@torch.no_grad()
def hand_pictures_on(discriminator: Discriminator, size: int, weight: Tensor, bias: Tensor) -> None:
    """Set the first blocks of a grown D so that it judges a picture as the smaller D judged it downsampled.

    A value in one channel and its negative in another get through a leaky ReLU: their difference, divided by 1 + slope,
    is the value again. So twice as many channels as there are colours carry the picture down to where the smaller D
    read it. The other channels stay as they were drawn; nothing listens to them yet. Where a block has too few
    channels for that, all of the new blocks stay as they were drawn.

    Args:
        discriminator: changed in place; its blocks up to `size` px are the smaller D's.
        size: width and height in px of the smaller D's pictures.
        weight, bias: [C, img_channels, 1, 1] and [C], the smaller D's `fromrgb`.
    """
    new = [getattr(discriminator, f"b{resolution}") for resolution in discriminator.block_resolutions]
    new = new[: discriminator.block_resolutions.index(size)]
    both = torch.cat([torch.eye(weight.shape[1]), -torch.eye(weight.shape[1])])  # [2 K, K], colours to pairs
    if min(block.conv0.weight.shape[1] for block in new) < len(both):
        return
    back = both.T / (1 + LRELU_SLOPE)  # [K, 2 K], activated pairs to colours
    _set_taps(new[0].fromrgb, both)
    scale = LRELU_GAIN  # of the pairs that come in
    for block in new:
        _set_taps(block.conv0, both @ back / scale)
        # The gain of the residual sum takes that of conv1's activation away.
        if block is new[-1]:
            gain = new[0].fromrgb.weight_gain  # that of every layer that reads colours
            _set_taps(block.conv1, gain * weight[:, :, 0, 0] @ back, LRELU_GAIN * bias)
        else:
            _set_taps(block.conv1, both @ back / LRELU_GAIN)
        block.skip.weight[: len(weight) if block is new[-1] else len(both)] = 0
        scale = 1.0


def _set_taps(conv: Conv2d, taps: Tensor, bias: Tensor | float = 0.0) -> None:
    """Let the first outputs of a convolution be `taps`, [O, I], of the first inputs in the same place."""
    outputs, inputs = taps.shape
    middle = conv.weight.shape[-1] // 2
    conv.weight[:outputs] = 0
    conv.weight[:outputs, :inputs, middle, middle] = taps / conv.weight_gain
    conv.bias[:outputs] = bias


def _read(source: str | Path) -> tuple[dict[str, dict[str, Tensor]], int]:
    """Weights by the names of `Players.modules`, in float32 on the CPU, and the images that they have seen."""
    folder = default_model_folder() if str(source) == DEFAULT else Path(source)
    if (folder / "generator").is_dir():
        found = {"generator": _state(Generator, folder, "generator")}
        found["ema"] = found["generator"]
        if (folder / "discriminator").is_dir():
            found["discriminator"] = _state(Discriminator, folder, "discriminator")
        record = read_json(folder / "training.json", needed=False)
        seen = (record.get("images_seen"), record.get("images_seen_before"))
        return found, sum(number for number in seen if isinstance(number, int))  # anybody may have written the file
    newest = CheckpointStore(folder / "checkpoints").newest()
    if newest is None:
        raise ConfigError(f"--init_from {source} is no model folder, and holds no complete checkpoint of a run")
    names = ("generator", "discriminator", "projected", "ema")
    found = {
        name: load_file(newest / f"{name}.safetensors") for name in names if (newest / f"{name}.safetensors").is_file()
    }
    state = read_json(newest / "state.json")
    return found, state["nimg"] + state.get("images_before", 0)


def _state(kind: type[PretrainedModel], folder: Path, subfolder: str) -> dict[str, Tensor]:
    return kind.from_pretrained(str(folder), subfolder=subfolder).state_dict()
