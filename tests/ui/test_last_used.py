"""What threads share: nothing is lost or changed under the hands of another one."""

import re
from pathlib import Path

import pytest

import gan_space.ui
from gan_space.ui.last_used import LastUsed


def test_what_was_not_used_for_longest_goes_first():
    kept = LastUsed(2)
    assert kept.put("one", 1) == [] and kept.put("two", 2) == []
    assert kept.get("one") == 1
    assert kept.put("three", 3) == ["two"] and len(kept) == 2
    assert kept.get("two") is None and kept.pop("two") is None
    assert kept.put("one", 11) == [] and kept.pop("one") == 11 and len(kept) == 1


def test_what_is_made_meanwhile_by_another_thread_counts_for_both():
    kept = LastUsed(2)

    def make() -> str:
        kept.put("key", "by the other")
        return "by this one"

    assert kept.get_or_make("key", make) == "by the other"
    assert kept.get_or_make("key", make) == "by the other"


def test_others_come_and_go_while_the_unwanted_are_looked_for():
    kept = LastUsed(3)
    for key in (1, 2, 3):
        kept.put(key, key)

    def unwanted(key: int) -> bool:
        kept.put(10 * key, key)  # what another thread does meanwhile; it drives out what was looked at
        return key == 3

    kept.drop(unwanted)
    assert len(kept) == 3 and kept.get(3) is None


def test_what_has_to_go_is_let_go_of_once_nobody_works_with_it():
    gone = []
    kept = LastUsed(1, gone.append)
    with kept.using("one", lambda: "first") as value, kept.using("one", pytest.fail) as same:
        assert value == same == "first"
        kept.put("two", "second")
        assert kept.get("one") is None and gone == []
    assert gone == ["first"]
    kept.put("two", "another")
    assert kept.pop("two") == "another" and gone == ["first", "second", "another"]
    with kept.using("one", lambda: "again"):
        pass
    assert kept.get("one") == "again" and gone == ["first", "second", "another"]


def test_the_page_keeps_things_in_no_other_way():
    """A plain dictionary breaks when one thread adds what another one looks through."""
    folder = Path(gan_space.ui.__file__).parent
    kept = re.compile(r"self\._\w+(: [^=\n]+)? = (OrderedDict\(|\{\}|dict\()")
    users = {path.name for path in folder.rglob("*.py") if kept.search(path.read_text("utf-8"))}
    # The first page is kept by the event loop alone, files drawn ahead have a lock of their own.
    assert users <= {"last_used.py", "first_page.py", "ahead.py"}
