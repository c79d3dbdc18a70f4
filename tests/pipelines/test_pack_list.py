"""The list of packs that the app is told to load."""

from __future__ import annotations

import pytest

from gan_space.errors import InputError, PackError
from gan_space.pipelines.loading import PackRequest, load_packs, parse_packs


class Shelf:
    """Takes every pack but those called "bad"."""

    def __init__(self):
        self.taken: list[tuple[str, str | None]] = []

    def load_style_pack(self, name_or_path: str, *, revision: str | None = None) -> str:
        if "bad" in name_or_path:
            raise PackError("made for another model")
        self.taken.append((name_or_path, revision))
        return name_or_path.rpartition("/")[2]


def test_names_ids_revisions_and_folders_are_told_apart(tmp_path):
    folder = tmp_path / "my pack@home"
    folder.mkdir()
    assert parse_packs(f" ink, user/oil@v1,user/pastel ,,{folder}") == [
        PackRequest("ink"),
        PackRequest("user/oil", "v1"),
        PackRequest("user/pastel"),
        PackRequest(str(folder)),
    ]
    assert parse_packs("") == parse_packs(" , ") == []


def test_all_wrong_entries_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no folder has the names below
    with pytest.raises(InputError) as caught:
        parse_packs("ink,/no/such/folder,a b,ink@v1,../up,ink,user/a@v1,user/a@v2")
    text = str(caught.value)
    assert text.startswith("6 problems")
    for part in ("'/no/such/folder'", "'a b'", "'ink@v1'", "'../up'", "'ink' stands there twice", "'user/a' stands"):
        assert part in text, part


def test_packs_are_handed_over_in_order_and_bad_ones_named():
    shelf = Shelf()
    assert load_packs(shelf, parse_packs("ink,user/oil@v1")) == ["ink", "oil"]
    assert shelf.taken == [("ink", None), ("user/oil", "v1")]
    with pytest.raises(InputError, match=r"pack 'user/bad': made for another model\n.*pack 'bad2'"):
        load_packs(shelf, parse_packs("user/bad,ink,bad2"))


def test_a_pipeline_without_packs_says_so(pipe):
    assert load_packs(pipe, []) == []
    with pytest.raises(InputError, match="GenerationPipeline takes no style packs, but these are asked for: ink"):
        load_packs(pipe, parse_packs("ink"))
