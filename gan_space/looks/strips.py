"""A large picture a few rows at a time, on all cores: what is worked on stays in the cache."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def in_strips(work: Callable[[slice], None], height: int, rows: int) -> None:
    """Call `work` with every so many rows of a picture, several at a time; it must let go of Python's lock to gain.

    Args:
        work: takes rows as a slice; no strip may depend on another.
        height: of the picture in px.
        rows: of a strip, 1 or more.
    """
    strips = [slice(first, min(first + rows, height)) for first in range(0, height, rows)]
    threads = min(torch.get_num_threads(), len(strips))
    if threads < 2:
        for strip in strips:
            work(strip)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, strips))  # raises what `work` raised
