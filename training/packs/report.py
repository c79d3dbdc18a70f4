"""The measurement of looks as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

COLUMNS = (
    ("gram_discriminator", "Gram, D", "{:.3f}"), ("gram_random", "Gram, random", "{:.3f}"),
    ("lab_histogram", "Lab", "{:.1f}"), ("psnr", "PSNR", "{:.1f}"), ("ms_ssim", "MS-SSIM", "{:.3f}"),
    ("ms_ssim_look", "MS-SSIM to the look", "{:.3f}"), ("landmarks", "landmarks", "{:.1f} %"),
    ("identity", "identity", "{:.2f}"),
)  # fmt: skip
# What needs the look rendered on the same face, which nobody has for a reference.
NEEDS_TRUTH = ("psnr", "ms_ssim_look")
BETTER = (
    ("gram_discriminator", "Gram, D"), ("gram_random", "Gram, random"), ("lab_histogram", "Lab"),
    ("ms_ssim", "MS-SSIM"), ("ms_ssim_look", "MS-SSIM to the look"), ("landmarks", "landmarks"),
    ("both", "Gram, random and MS-SSIM"), ("both_look", "Gram, random and MS-SSIM to the look"),
)  # fmt: skip
PEER_NAMES = {"lab": "Lab colour transfer", "adain_w": "AdaIN in W"}


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [headers, ["---"] * len(headers), *rows])


def cells(numbers: Mapping[str, float], without: Sequence[str] = ()) -> list[str]:
    """Return one row of numbers, in the order of `COLUMNS`, as far as they were measured."""
    return [form.format(numbers[key]) for key, _, form in COLUMNS if key in numbers and key not in without]


def look_rows(result: dict) -> list[list[str]]:
    """Return rows of one look: the photo as it is, ours by strength, the peers, the look itself."""
    without = NEEDS_TRUTH if result.get("no_truth") else ()
    rows = [["the photo as it is", *cells(result["photo"], without)]]
    rows += [[f"ours, {strength}", *cells(numbers, without)] for strength, numbers in result["ours"].items()]
    rows += [[PEER_NAMES[name], *cells(numbers, without)] for name, numbers in result["peers"].items()]
    return rows


def headers_of(numbers: Mapping[str, float], without: Sequence[str] = ()) -> list[str]:
    """Return the heads of the columns that were measured."""
    return [title for key, title, _ in COLUMNS if key in numbers and key not in without]


def to_markdown(result: dict) -> str:
    """Return all tables."""
    parts = [f"{result['num_faces']} held-out faces, model {result['model']}."]
    verdict = result["identity"]
    parts.append(
        f"Identity: cosine to the photo; real pairs of one person have {verdict['mean_same']:.2f}, of two people "
        f"{verdict['mean_different']:.2f}. This judge takes {verdict['eer']:.0%} of real pairs for the wrong kind."
        if verdict["usable"]
        else f"Identity is left out: {verdict['reason']}."
    )
    packs = result["packs"]
    if packs:
        parts.append("### Packs at strength 1\n\n" + _packs_at_full(packs))
        parts.append("### Packs over the strength\n\n" + _packs_by_strength(packs))
        parts.append("### Packs against the peers\n\n" + _packs_against_peers(packs))
    if "references" in result:
        references = result["references"]
        kinds = ", ".join(f"{count} {kind}" for kind, count in result["kinds"].items())
        rows = look_rows(references | {"no_truth": True})
        parts.append(f"### References ({kinds})\n\n" + table(["", *headers_of(references["photo"], NEEDS_TRUTH)], rows))
        parts.append(_control("the picture of the pair before", {"references": references}))
        parts.append(_better({"references": references}, without=("ms_ssim_look", "both_look")))
    if packs:
        parts.append(_control("the next look of the table", packs))
    return "\n\n".join(parts) + "\n"


def _packs_at_full(packs: dict) -> str:
    rows = []
    for name, one in packs.items():
        full = cells(one["ours"]["1"])
        rows.append([f"`{name}`", *full, f"{one['photo']['psnr']:.1f}", f"{one['target']['ms_ssim']:.3f}"])
    headers = headers_of(next(iter(packs.values()))["ours"]["1"])
    return table(["pack", *headers, "PSNR of the photo", "MS-SSIM of the look"], rows)


def _packs_by_strength(packs: dict) -> str:
    rows = []
    for name, one in packs.items():
        for key, title, form in (COLUMNS[1], COLUMNS[2], COLUMNS[3], COLUMNS[4]):
            values = [numbers[key] for numbers in one["ours"].values()]
            rows.append([f"`{name}`", title, *(form.format(value) for value in values), _order(values)])
    return table(["pack", "", *next(iter(packs.values()))["ours"], "monotone"], rows)


def _order(values: Sequence[float]) -> str:
    """Whether a number goes one way as the strength grows; the last hair's breadth does not count."""
    slack = 0.01 * (max(values) - min(values))
    steps = [after - before for before, after in pairwise(values)]
    return "yes" if all(step >= -slack for step in steps) or all(step <= slack for step in steps) else "no"


def _packs_against_peers(packs: dict) -> str:
    rows = []
    for name, one in packs.items():
        contenders = {"ours": one["ours"]["1"]} | {PEER_NAMES[key]: value for key, value in one["peers"].items()}
        for title, numbers in contenders.items():
            rows.append([f"`{name}`", title, *cells(numbers)])
    headers = headers_of(next(iter(packs.values()))["ours"]["1"])
    return table(["pack", "", *headers], rows) + "\n\n" + _better(packs)


def _better(looks: dict, without: Sequence[str] = ()) -> str:
    """In what share of the faces ours is the better one."""
    rows, columns = [], {key: title for key, title in BETTER if key not in without}
    for name, one in looks.items():
        for peer, shares in one["better"].items():
            rows.append([f"`{name}`", PEER_NAMES[peer], *(f"{shares[key]:.0%}" for key in columns)])
    return "Share of the faces where ours is better:\n\n" + table(["look", "than", *columns.values()], rows)


def _control(other: str, looks: dict) -> str:
    """Distances to the right look and to a wrong one."""
    rows = []
    for name, one in looks.items():
        full = one["ours"]["1"]
        for key, title, form in COLUMNS[:3]:
            own, wrong = form.format(full[key]), form.format(full[f"other_{key}"])
            rows.append([f"`{name}`", title, own, wrong, f"{one['own_look']:.0%}" if key == "gram_random" else ""])
    title = f"Control: distance at strength 1 to the own look, and to {other}:"
    return f"{title}\n\n" + table(["look", "", "own", "wrong", "nearer to its own"], rows)
