"""Find teeth between lips by what the photo shows: less red than the lips above and below them, and no darker.

Landmarks put the upper lip's inner edge across the front teeth, or take lips for closed that show a few of them.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from gan_space.faces.strip import STEP, Strip

_LESS_RED = 0.7  # of the logarithm of red over green: what is below, between redder lips on both sides, is a tooth
_LEAST_FALL = 0.12  # of that logarithm
_LEAST_HEIGHT, _MOST_HEIGHT = 0.016, 0.2  # face units that are seen of them
_ABOVE, _BELOW = 0.09, 0.035  # face units that their middle lies from where lips are taken to meet; gloss lies lower
_LEAST_WIDTH = 0.14  # of the mouth
_MOST_RAISED = 0.06  # face units; farther down there is a mouth's dark, and a tongue in it
_SHADE = 0.15  # logarithm of light that a wet lip may be darker than the lip below it
_TO_LIP = 0.02  # face units from the edges of a lower lip: from here on it is surely lip
_GAP = 0.15  # of the mouth between teeth that are bridged
_EDGE = 0.012  # face units from the last pixel that is a tooth to the lip
_LIP_AT_ONCE = 0.25  # of the way from tooth to lip that redness rises at its edge, also where that lip is wet and pale
_LEVEL = 0.02  # of that logarithm from row to row: redness has come to rest
_DARK = 0.5  # logarithm of light below both rows of teeth, between them
_OPEN, _OPEN_END = 0.65, 0.35  # logarithm from the dark of an open mouth to the lip below; of it, where the lip begins
_MUCH_DARK = 0.15  # of what is seen between lips
_STILL_DARK = 0.4  # logarithm above the darkest
_LASTING, _LEAST_LIP = 4, 0.03  # rows that a lip has at least, and face units above its outer edge that it begins
_NO_LIP = 0.8  # logarithm below the teeth's light: so dark no lip is in the sun
_MOST_OPEN = 0.15  # face units that it reaches below the teeth
_ASTRAY, _AROUND = 0.04, 5  # face units from the median of so many stations on either side: no edge of teeth
_ALIKE = (0.22, 0.16, 0.35)  # of color_features: up to here a row is still the lip of the rows above it
_MOST_LOWERED = 0.1  # face units
_SLOWLY = 0.2  # share of each row in what its lip looks like: shade grows little by little
_LOWERED = (0.02, (0.3, 0.4))  # face units, and at which shares of the mouth that is no chance, and surely so


def find_teeth(
    strip: Strip, features: np.ndarray, seam: np.ndarray, upper: np.ndarray, lower: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the upper and the lower edge of the teeth, [S] face units each, NaN where none are seen; None: nowhere.

    Args:
        features: [R, S, 3] of `color_features`.
        seam: [S] face units, where the lips are taken to meet.
        upper, lower: [S] face units, the lips' outer edges.
    """
    red, light = (cv2.GaussianBlur(features[..., part], (5, 3), 0) for part in (0, 2))
    v = strip.v[:, None]
    inside = (v < upper) & (v > lower)
    of_lips = np.where(inside, red, -np.inf)  # rows run upwards
    below, above = np.maximum.accumulate(of_lips, 0), np.maximum.accumulate(of_lips[::-1], 0)[::-1]
    rim = np.minimum(below, above)
    pale = inside & (red < _LESS_RED * rim) & (rim - red > _LEAST_FALL)
    edges = np.full((2, len(seam)), np.nan)
    for station in np.flatnonzero(pale.any(axis=0) & (strip.u > 0.12) & (strip.u < 0.88)):
        column, runs = red[:, station], _runs(pale[:, station])
        for number, (low, high) in enumerate(runs):
            low = _lower_edge(column, low, high, rim[low : high + 1, station].max())
            bottom, top = strip.v[low], strip.v[high]
            away = (top + bottom) / 2 - seam[station]
            around = light[[max(low - 3, 0), min(high + 3, len(v) - 1)], station].min()
            bright = light[low : high + 1, station].max() > around + 0.05
            if _LEAST_HEIGHT <= top - bottom <= _MOST_HEIGHT and -_BELOW < away < _ABOVE and bright:
                lower_row = _row_below(light[:, station], runs[number:])
                if lower_row is not None:
                    bottom = strip.v[_lower_edge(column, *lower_row, rim[lower_row[0], station])]
                tooth = light[low : high + 1, station].max()
                bottom = _below_dark(strip.v, light[:, station], bottom, lower[station], tooth)
                edges[:, station] = top + _EDGE, bottom - _EDGE
                break
    edges = _without_strays(edges)
    found = np.flatnonzero(~np.isnan(edges[0]))
    if len(found) / len(seam) * np.ptp(strip.u) < _LEAST_WIDTH or _are_lip(v, red, light, edges, lower):
        return None
    for first, end in pairwise(found):
        if 1 < end - first <= _GAP * len(seam) / np.ptp(strip.u):  # as where a tooth and the lip below are overexposed
            edges[:, first : end + 1] = np.linspace(edges[:, first], edges[:, end], end - first + 1, axis=1)
    return edges[0], edges[1]


def _are_lip(v: np.ndarray, red: np.ndarray, light: np.ndarray, edges: np.ndarray, lower: np.ndarray) -> bool:
    """Say whether what lies between the edges [2, S] is as red as the lower lip and darker: an upper lip in shade."""
    rows = (v < edges[0]) & (v > edges[1])
    lip = (v < edges[1] - _TO_LIP) & (v > lower + _TO_LIP)
    seen = rows.any(axis=0) & lip.any(axis=0)
    if not seen.any():
        return False
    rows, lip, red, light = rows[:, seen], lip[:, seen], red[:, seen], light[:, seen]
    of_lip = [np.nanmedian(np.where(lip, values, np.nan), axis=0) for values in (red, light)]
    less_red = np.median(of_lip[0] - np.where(rows, red, np.inf).min(axis=0))
    darker = np.median(of_lip[1] - np.where(rows, light, -np.inf).max(axis=0))
    return bool(less_red < _LEAST_FALL and darker > _SHADE)


def _lower_edge(red: np.ndarray, low: int, high: int, rim: float) -> int:
    """The last row of a tooth: half-way to where redness first comes to rest below it, in a wet and pale lip or not."""
    core = low + int(red[low : high + 1].argmin())
    least = red[core] + max(_LIP_AT_ONCE * (rim - red[core]), _LEAST_FALL)
    for row in range(core - 1, max(low - 1, 1), -1):
        if red[row] > least and red[row - 2] - red[row] < 2 * _LEVEL:
            half = (red[core] + red[row]) / 2
            return row + int(np.flatnonzero(red[row : core + 1] < half)[0])
    return low


def _row_below(light: np.ndarray, runs: list[tuple[int, int]]) -> tuple[int, int] | None:
    """The lower teeth: pale as well, and what parts them from the upper ones is the dark of the mouth, not a lip."""
    for (above, _), (low, high) in pairwise(runs):
        dark = min(light[above:].max(), light[low : high + 1].max(), light[max(low - 8, 0)]) - _DARK
        lit = int((light[high + 1 : above] > dark).sum())  # a row may be half a tooth
        if above - high > 2 and lit < 2 and (high - low) * STEP < _MOST_HEIGHT / 2:
            return low, high
        break
    return None


def _below_dark(v: np.ndarray, light: np.ndarray, bottom: float, lower: float, tooth: float) -> float:
    """The lower end of the dark, or of the lower teeth in it, that is seen between teeth and lip; `bottom` if none."""
    rows = np.flatnonzero((v < bottom - STEP / 2) & (v > max(bottom - _MOST_OPEN, lower)))[::-1]
    dark = np.flatnonzero(light[rows] < tooth - _NO_LIP)
    if not len(dark) or dark[0] > 3:
        return bottom
    deepest = light[rows].min()
    around = light[rows[:, None] - np.arange(_LASTING)]  # downwards
    lip = np.flatnonzero(around.min(axis=1) > deepest + _OPEN)
    lip = lip[lip > dark[light[rows[dark]] < deepest + _STILL_DARK][-1]]  # below the lower teeth, where they are seen
    if not len(lip) or v[rows[lip[0]]] < lower + _LEAST_LIP:
        return bottom
    level = deepest + _OPEN_END * (np.median(around[lip[0]]) - deepest)
    return float(v[rows[int(np.flatnonzero(light[rows[: lip[0] + 1]] < level)[-1])]])


def shows_dark(strip: Strip, features: np.ndarray, teeth: tuple[np.ndarray, np.ndarray]) -> bool:
    """Say whether there is much of a mouth's dark between the edges of the teeth, [S] each."""
    light = features[..., 2][(strip.v[:, None] < teeth[0]) & (strip.v[:, None] > teeth[1])]
    return bool((light < np.quantile(light, 0.9) - _NO_LIP).mean() > _MUCH_DARK) if light.size else False


def _without_strays(edges: np.ndarray) -> np.ndarray:
    """Leave out stations [2, S] at which something else than teeth was found: their edges lie far from those around."""
    kept = edges.copy()
    for station in np.flatnonzero(~np.isnan(edges[0])):
        around = edges[:, max(station - _AROUND, 0) : station + _AROUND + 1]
        if np.abs(edges[:, station] - np.nanmedian(around, axis=1)).max() > _ASTRAY:
            kept[:, station] = np.nan
    return kept


def lower_to_mouth(strip: Strip, features: np.ndarray, curve: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Move the upper lip's inner edge down to where the lip ends, where landmarks cut through a full lip, [S].

    Teeth, gums and the dark below a lip differ from it; where nothing changes at the landmarks they lie on the lip.

    Args:
        curve, lowest: [S] face units, the edge and how far it may go.
    """
    moved = curve.copy()
    for station, start in enumerate(curve):
        own = (strip.v > start) & (strip.v < start + 0.03)
        if not own.any():
            continue
        lip = np.median(features[own, station], axis=0)
        least = max(lowest[station], start - _MOST_LOWERED)
        for row in np.flatnonzero((strip.v <= start) & (strip.v > least))[::-1]:
            if (np.abs(features[row, station] - lip) > _ALIKE).any():
                moved[station] = strip.v[row] + STEP
                break
            lip = lip + _SLOWLY * (features[row, station] - lip)
    low = curve - moved
    share = np.interp((low[len(low) // 7 : -(len(low) // 7)] > _LOWERED[0]).mean(), _LOWERED[1], (0, 1))
    return widen(curve, np.where(low > 0, curve - share * low, np.nan), -1) if share else curve


def raise_to_teeth(strip: Strip, features: np.ndarray, curve: np.ndarray, teeth: np.ndarray) -> np.ndarray:
    """Move the lower lip's inner edge up to the teeth where what lies between them is lip, [S].

    It is where it is as red as that lip, or on the way there without a shade in between: wet lips are pale.
    """
    red, light, moved = features[..., 0], features[..., 2], curve.copy()
    for station in np.flatnonzero((teeth - curve > 2 * STEP) & (teeth - curve < _MOST_RAISED)):
        between = (strip.v < teeth[station]) & (strip.v > curve[station])
        lip = (strip.v < curve[station]) & (strip.v > curve[station] - 0.06)
        tooth = (strip.v > teeth[station] + 0.02) & (strip.v < teeth[station] + 0.05)
        if not lip.any():
            continue
        of_lip, of_tooth = np.median(red[lip, station]), np.median(red[tooth, station])
        wet = np.median(red[between, station]) > of_tooth + _LIP_AT_ONCE * (of_lip - of_tooth)
        shaded = light[between, station].min() < np.median(light[lip, station]) - _SHADE
        if np.median(red[between, station]) > of_lip or (wet and not shaded):
            moved[station] = teeth[station]
    return curve + cv2.GaussianBlur((moved - curve).astype(np.float32)[None], (5, 1), 0)[0]


def widen(curve: np.ndarray, edge: np.ndarray, way: int) -> np.ndarray:
    """Move a curve out to an edge where that lies beyond it, `way` 1 upwards and -1 downwards; [S] face units."""
    beyond = np.nan_to_num(np.maximum(way * (edge - curve), 0)).astype(np.float32)[None]
    beyond = cv2.erode(cv2.dilate(beyond, np.ones((1, 5))), np.ones((1, 5)))
    return curve + way * cv2.GaussianBlur(beyond, (5, 1), 0)[0]


def _runs(row: np.ndarray) -> list[tuple[int, int]]:
    """First and last place of each stretch of True, the uppermost first."""
    change = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
    return [(int(first), int(end) - 1) for first, end in change.reshape(-1, 2)][::-1]
