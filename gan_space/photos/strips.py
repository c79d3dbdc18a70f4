"""A large picture a few rows at a time, on all cores: what is worked on stays in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

_Part, _Done = TypeVar("_Part"), TypeVar("_Done")


def in_strips(work: Callable[[slice], None], height: int, rows: int) -> None:
    """Call `work` with every so many rows of a picture, several at a time; it must let go of Python's lock to gain.

    Args:
        work: takes rows as a slice; no strip may depend on another.
        height: of the picture in px.
        rows: of a strip, 1 or more.
    """
    strips = [slice(first, min(first + rows, height)) for first in range(0, height, rows)]
    side_by_side(work, strips)


def side_by_side(work: Callable[[_Part], _Done], parts: Sequence[_Part]) -> list[_Done]:
    """Do one piece of work for several parts, as many at once as there are threads; return what each gave."""
    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))  # raises what `work` raised
