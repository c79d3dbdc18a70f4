"""What `app.py` does so that the first page comes soon; modules and objects are counted, not seconds."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from app import garbage_collection_paused

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_help_and_a_mistyped_option_do_not_wait_for_torch_and_gradio():
    code = (
        "import sys, app\n"
        "for words in (['--help'], ['--prot', '80']):\n"
        "    try:\n        app.main(words)\n"
        "    except SystemExit as stop:\n        print('stopped', stop.code)\n"
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=400)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("stopped")] == ["stopped 0", "stopped 2"], done.stderr
    loaded = set(lines[-1].split())
    assert "gan_space" in loaded and not loaded & {"torch", "gradio", "diffusers", "numpy", "PIL"}


def test_garbage_is_not_collected_while_the_app_is_built_and_what_stays_is_set_apart():
    frozen = gc.get_freeze_count()
    try:
        with garbage_collection_paused():
            assert not gc.isenabled()
            kept = [[] for _ in range(1000)]
        assert gc.isenabled() and gc.get_freeze_count() > frozen + len(kept)
        gc.unfreeze()
        with pytest.raises(ValueError), garbage_collection_paused():
            raise ValueError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
