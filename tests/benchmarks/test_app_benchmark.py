"""The benchmark of the app's start measures a real start, and says so when the app does not come up."""

from __future__ import annotations

import functools
import os
import resource
import sys
import time

import pytest

from benchmarks import app
from benchmarks.server import cpu_seconds, free_port, memory_mb
from gan_space.errors import InputError

pytestmark = pytest.mark.slow


def test_time_and_memory_are_those_of_the_process():
    start, begin = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - begin < 0.3:
        pass
    assert cpu_seconds(os.getpid()) - start == pytest.approx(time.process_time() - begin, abs=0.1)
    largest_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert 0 < memory_mb(os.getpid()) <= memory_mb(os.getpid(), "VmHWM") == pytest.approx(largest_mb, rel=0.2)
    assert memory_mb(os.getpid(), "VmNothing") == 0
    assert free_port() > 1024


def test_an_app_that_does_not_come_up_is_quoted():
    with pytest.raises(InputError, match=r"did not come up: no such .* today"):
        app.start_once(0.0, [sys.executable, "-c", "raise SystemExit('no such model today')"])


def test_an_app_that_stays_is_quoted_and_ended(monkeypatch):
    server = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("I stay", flush=True)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Page).serve_forever()
"""
    monkeypatch.setattr(app, "END_SEC", 0.5)
    with pytest.raises(InputError, match=r"(?s)still there 0.5 s after SIGTERM: I stay.*serve_forever"):
        app.start_once(0.0, [sys.executable, "-c", server])


def test_the_table_has_a_row_a_start_and_the_machine(printed_by, monkeypatch):
    monkeypatch.setattr(
        app, "start_once", functools.cache(app.start_once)
    )  # the first start, whose time is not told, too
    out = printed_by(app, "--repeats", "1", "--wait_sec", "0")
    assert "commit" in out and "| median |" in out and "first page of" in out
    assert out.count("\n| 1 ") == 1
