"""`app.py` as the Space starts it: a process of its own, told by environment variables which model to use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client

from gan_space.output.provenance import read_provenance

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", **variables}


def test_the_app_starts_with_the_model_that_the_environment_names(tiny_pipe, tmp_path):
    tiny_pipe.save_pretrained(tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = environment(GAN_SPACE_MODEL=str(tmp_path / "model"), GRADIO_SERVER_PORT=str(port))
    log = (tmp_path / "log").open("w+")
    server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=variables, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.2)
        client = Client(url, verbose=False, download_files=str(tmp_path), analytics_enabled=False)
        files, recipes = client.predict(seeds=[7], api_name="/generate")
        assert recipes[0]["model"] == "tiny" and read_provenance(files[0]).recipe["seed"] == 7
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


def test_a_missing_model_is_one_line_and_no_traceback(tmp_path):
    variables = environment(GAN_SPACE_MODEL=str(tmp_path))
    command = [sys.executable, "app.py"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "cannot start" in done.stderr and "model_index.json" in done.stderr and "Traceback" not in done.stderr
