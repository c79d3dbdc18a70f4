"""Several processes, one gradient: G and D stay plain modules and each phase has a single all-reduce.

DistributedDataParallel is not used: its gradients are silently wrong when sub-modules (mapping, synthesis) or a
gradient penalty are called past the wrapper.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from gan_space.errors import ConfigError


def check_num_processes(accelerator: Accelerator) -> None:
    """Raise ConfigError unless as many processes joined as the launcher started.

    `accelerate launch --cpu --num_processes 2` quietly runs one process, or several that do not know of each other.
    """
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    # accelerate's launcher passes the number on even where it then starts a single process.
    if asked != accelerator.num_processes:
        raise ConfigError(
            f"{asked} processes were asked for, but {accelerator.num_processes} joined. On CPU use: "
            "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N --num_machines 1 "
            "--mixed_precision no --dynamo_backend no training/train.py …"
        )


def is_distributed() -> bool:
    """Tell whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Average the gradients over all processes in one message and return their total norm, [] float32.

    A parameter without a gradient counts as zero, so that every process sends the same number of values.
    """
    parameters = [p for p in parameters if p.requires_grad]
    if is_distributed():
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


@torch.no_grad()
def average_(tensor: Tensor) -> Tensor:
    """Replace `tensor` by its mean over all processes."""
    if is_distributed():
        dist.all_reduce(tensor)
        tensor /= dist.get_world_size()
    return tensor


@torch.no_grad()
def broadcast_module(module: nn.Module) -> None:
    """Give every process the weights and buffers of process 0."""
    if is_distributed():
        for tensor in [*module.parameters(), *module.buffers()]:
            dist.broadcast(tensor.data, src=0)


def gather_dicts(mine: dict) -> dict:
    """Return the entries that any process has, in every process."""
    if not is_distributed():
        return mine
    everyones: list[dict] = [{}] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    return {key: value for one in everyones for key, value in one.items()}


def barrier() -> None:
    """Wait until all processes are here."""
    if is_distributed():
        dist.barrier()
