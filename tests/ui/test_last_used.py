"""What threads share: nothing is lost or changed under the hands of another one."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def test_many_threads_at_once():
    kept = LastUsed(4)

    def work(thread: int) -> bool:
        answers = []
        for turn in range(400):
            key = (thread * 7 + turn) % 11
            answers.append(kept.get_or_make(key, lambda key=key: key) == key)
            kept.drop(lambda key, turn=turn: key == turn % 11)
        return all(answers)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(kept) <= 4


def test_the_page_keeps_things_in_no_other_way():
    """A plain OrderedDict breaks when one thread adds what another one looks through."""
    folder = Path(gan_space.ui.__file__).parent
    users = {path.name for path in folder.rglob("*.py") if re.search(r"\bOrderedDict\(", path.read_text("utf-8"))}
    assert users <= {"last_used.py", "first_page.py"}  # the first page is kept by the event loop alone
