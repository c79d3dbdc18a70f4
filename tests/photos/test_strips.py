from __future__ import annotations

from threading import Lock

import pytest
import torch

from gan_space.photos.strips import in_strips


@pytest.mark.parametrize("threads", [1, 3])
def test_every_row_is_worked_on_once_and_errors_come_out(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    rows, lock = [], Lock()

    def note(strip: slice) -> None:
        with lock:
            rows.extend(range(strip.start, strip.stop))

    in_strips(note, 23, 5)
    assert sorted(rows) == list(range(23))
    with pytest.raises(ZeroDivisionError):
        in_strips(lambda strip: 1 // (20 - strip.start), 23, 5)
