"""What readers click on exists, and no merge left its marks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "gan_space" / "assets").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)
SOURCES = ("gan_space", "training", "tests", "benchmarks", "docs")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):  # another site
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# One, two (3)\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#one-two-3) [c](https://example.org) [d](#e)\n[f](gone.md) [g](other.md#x)\n"
    )
    assert broken_links(page) == ["#e", "gone.md", "other.md#x"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_code_ends(page):
    assert len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE)) % 2 == 0


def test_no_marks_of_a_merge():
    files = [
        path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".json")
    ]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in (".md", ".py", ".toml", ".txt")]
    assert len(files) > 200
    marked = [path for path in files if CONFLICT.search(path.read_text(encoding="utf-8"))]
    assert marked == []
    assert CONFLICT.search("a\n<<<<<<< HEAD\nb") and not CONFLICT.search("title\n========\n")


def test_the_walk_of_a_photo_names_what_is_there():
    """Files of docs/architecture.md exist, and a function that a line begins with is defined in the file beside it."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (walk,) = re.findall(r"^```\n(open_picture .*?)^```", text, re.DOTALL | re.MULTILINE)
    stages = re.findall(r"^(.*\S) {2,}(\w+/\w+\.py) ", walk, re.MULTILINE)
    assert len(stages) > 10
    for name, file in stages:
        code = (ROOT / "gan_space" / file).read_text(encoding="utf-8")
        assert not name.isidentifier() or re.search(rf"^(def|class) {name}\b", code, re.MULTILINE), (name, file)
    files = [file for file in re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text) if file != "training/NAME/"]
    assert len(files) > 20
    assert [file for file in files if not any((ROOT / top / file).exists() for top in (".", "gan_space"))] == []
