"""From the averaged weights of a run to the folder of one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import ModelMixin

from gan_space.whole_files import whole_folder, write_json
from training.common.files import say_where


def plain_copy(network: ModelMixin) -> ModelMixin:
    """Return a copy on the CPU, in evaluation mode and plain memory format."""
    # `from_config` would forget what was given by position.
    copy = type(network)(**{name: value for name, value in network.config.items() if not name.startswith("_")})
    copy.load_state_dict({name: value.cpu().contiguous() for name, value in network.state_dict().items()})
    return copy.eval()


def export_network(folder: Path, network: ModelMixin, record: dict[str, Any]) -> Path:
    """Write weights, config.json and training.json, in full or not at all, and return the folder.

    Args:
        folder: replaced if it exists.
        network: on any device.
        record: what training.json says of the run.
    """
    with say_where(folder), whole_folder(folder) as partial:
        plain_copy(network).save_pretrained(partial)
        write_json(partial / "training.json", record)
    return folder
