"""`app.py` as the Space starts it: a process of its own, told by environment variables which model to use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from gradio_client import Client

import app
from benchmarks.server import Server
from gan_space.errors import ConfigError
from gan_space.output.provenance import read_provenance
from tests.warm import PATIENCE_SEC, Script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # a service's end, Ctrl-C, a closed terminal


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", **variables}


@contextmanager
def running(url: str, server: subprocess.Popen | Script) -> Iterator[subprocess.Popen | Script]:
    """A server, once it answers."""
    try:
        deadline = time.monotonic() + PATIENCE_SEC
        while True:
            try:
                urllib.request.urlopen(url, timeout=30).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        yield server
    finally:
        server.kill()


def test_the_app_starts_with_the_model_that_the_environment_names_and_leaves_nothing(tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, folder = f"http://127.0.0.1:{port}", tmp_path / "temporary"
    folder.mkdir()
    variables = environment(
        GAN_SPACE_MODEL=str(tmp_path / "model"), GRADIO_SERVER_PORT=str(port), TMPDIR=str(folder), GRADIO_TEMP_DIR=""
    )

    def visitors_files() -> list[str]:
        return [path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"]

    with running(url, subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=variables)) as server:
        client = Client(url, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
        files, recipes = client.predict(seeds=[7], api_name="/generate")
        assert recipes[0]["model"] == "tiny" and read_provenance(files[0]).recipe["seed"] == 7
        Server(url, server.pid, folder).upload("me.jpg", b"a photo")
        assert {"me.jpg", "portrait-7.png"} <= set(visitors_files())
        server.kill()
        server.wait(timeout=400)
    assert "me.jpg" in visitors_files()  # nobody was there to remove it

    for number in ENDS:
        with running(url, Script(ROOT / "app.py", [], **variables)) as server, ThreadPoolExecutor() as visitors:
            assert visitors_files() == []
            asked = Server(url, server.pid, folder)
            asked.upload("me.jpg", b"a photo")
            for _ in range(4):  # some of it under way, some in the queue when the signal comes
                visitors.submit(asked.call, "/generate", seeds=list(range(16)), upscale_factor=16)
            deadline = time.monotonic() + PATIENCE_SEC
            while not {"me.jpg", "portrait-0.png"} <= set(visitors_files()):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            server.send_signal(number)
            code, printed = server.wait()
            assert code == 128 + number and "Traceback" not in printed
        assert visitors_files() == []


@pytest.mark.parametrize("number", ENDS)
def test_every_signal_that_ends_it_lets_it_clean_up(number):
    code = """
import app, os, signal, sys
number = int(sys.argv[1])
signal.signal(number, signal.SIG_DFL)  # these tests may run in the background, where shells switch Ctrl-C off
app.end_on_signals()
try:
    os.kill(os.getpid(), number)
    signal.pause()
finally:
    print("cleaned up")
"""
    done = subprocess.run([sys.executable, "-c", code, str(number)], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "cleaned up\n", "")


def test_a_signal_ends_it_also_where_python_forgets_what_its_handler_raised(tmp_path):
    """As it does in what runs when an object goes: the process would stay for ever, and so would visitors' files."""
    code = """
import app, os, signal, sys, time

class Goes:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

class Page:
    is_running = False
    def launch(self, **options):
        Goes()
        self.is_running = True
    def prepare(self): ...
    def close(self, verbose):
        print("closed")

app.build = lambda options: (Page(), {"server_name": "127.0.0.1"})
try:
    app.main([])
except SystemExit as ended:
    print("ended", ended.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=environment(TMPDIR=str(tmp_path)),
    )
    assert done.stdout == f"closed\nended {128 + signal.SIGTERM}\n" and "SystemExit" in done.stderr  # Python's notice
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_a_signal_that_was_switched_off_stays_so():
    """As `nohup` does it, so that a server outlives its terminal."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDS}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        app.end_on_signals()
        assert signal.getsignal(signal.SIGHUP) == signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_during_the_imports_is_no_traceback():
    # These tests may run in the background, where shells switch Ctrl-C off.
    switch_on = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    started = {"cwd": ROOT, "env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    starting = subprocess.Popen([sys.executable, "app.py"], preexec_fn=switch_on, **started)
    try:
        maps, deadline = Path(f"/proc/{starting.pid}/maps"), time.monotonic() + 60
        while "numpy" not in maps.read_text():
            assert starting.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        starting.send_signal(signal.SIGINT)
        assert (starting.communicate(timeout=60)[0], starting.returncode) == (b"", 130)
    finally:
        starting.kill()
        starting.wait()


def test_a_missing_model_is_one_line_and_no_traceback(tmp_path):
    code, printed = Script(ROOT / "app.py", [], **environment(GAN_SPACE_MODEL=str(tmp_path))).wait()
    assert code == 1
    assert "cannot start" in printed and "model_index.json" in printed and "Traceback" not in printed


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1", "7860.0"])
def test_a_port_of_the_environment_that_is_none_is_refused(port, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(ConfigError, match=f"GRADIO_SERVER_PORT must be a port from 1 to 65535, got '{port}'"):
        app.check_port()


@pytest.mark.parametrize("port", ["", " "])
def test_an_empty_port_of_the_environment_counts_as_none(port, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    app.check_port()
    assert "GRADIO_SERVER_PORT" not in os.environ
