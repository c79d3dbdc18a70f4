"""Which rows of w_plus steer what: names for groups of layers, and how a user writes them.

A row of w_plus feeds one convolution, or the last to_rgb. Row 0 works at 4 px, rows 1 and 2 at 8 px, rows 3 and 4 at
16 px and so on, for every resolution alike, so a group means the same rows in a small and in a large network. StyleGAN
(Karras et al. 2019, section 3.1) names the groups coarse (pose, shape of the head), middle (features, hair) and fine
(colours, texture).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gan_space.errors import InputError

LAYER_GROUPS = ("coarse", "middle", "fine")
_FIRST_ROW_AFTER = {"coarse": 3, "middle": 7}  # up to 8 px; 16 and 32 px; everything above is fine
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def layer_resolution(index: int, num_ws: int) -> int:
    """Return the resolution in px at which row `index` of w_plus works; the last row feeds to_rgb of the last block."""
    if not 0 <= index < num_ws:
        raise InputError(f"layer {index} does not exist, the network has layers 0 to {num_ws - 1}")
    last_octave = (num_ws + 2) // 2
    return 2 ** min((index + 1) // 2 + 2, last_octave)


def group_layers(name: str, num_ws: int) -> tuple[int, ...]:
    """Return the rows of one group; empty where the network is too small to have it."""
    if name not in LAYER_GROUPS:
        raise InputError(f"unknown layer group {name!r}, expected one of {', '.join(LAYER_GROUPS)}")
    coarse_end, middle_end = (min(_FIRST_ROW_AFTER[group], num_ws) for group in ("coarse", "middle"))
    bounds = {"coarse": (0, coarse_end), "middle": (coarse_end, middle_end), "fine": (middle_end, num_ws)}
    return tuple(range(*bounds[name]))


def parse_layers(layers: str | Sequence[int], num_ws: int) -> tuple[int, ...]:
    """Turn what a user writes into rows of w_plus.

    Args:
        layers: groups, numbers and ranges joined by "+", such as "coarse", "middle+fine", "3-7", "0-2+5" or "all";
            or the row numbers themselves.
        num_ws: rows that the network has.

    Returns:
        Row numbers, ascending, each once; at least one.

    Raises:
        InputError: an unknown name, a row that the network lacks, or nothing left; all faults at once.

    Example:
        >>> parse_layers("coarse+9", num_ws=10)
        (0, 1, 2, 9)
    """
    if not isinstance(layers, str):
        parts = [str(index) for index in layers]
        written = list(layers)
    else:
        parts = [part.strip().lower() for part in layers.split("+")]
        written = layers
    rows: set[int] = set()
    faults = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if part == "all":
            rows.update(range(num_ws))
        elif part in LAYER_GROUPS:
            rows.update(group_layers(part, num_ws))
        elif match is None:
            faults.append(f"{part!r} is no layer")
        else:
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last or last >= num_ws:
                faults.append(f"{part!r} is outside 0-{num_ws - 1}")
            else:
                rows.update(range(first, last + 1))
    if not faults and not rows:
        faults.append(f"this network with {num_ws} layers has none of them")
    if faults:
        expected = f"'all', {', '.join(map(repr, LAYER_GROUPS))}, numbers and ranges up to {num_ws - 1}, joined by '+'"
        raise InputError(f"layers {written!r}: {'; '.join(faults)}. Expected {expected}")
    return tuple(sorted(rows))
