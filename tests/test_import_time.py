"""What `import gan_space` may load. Modules are counted, not seconds: they are what costs, and they do not vary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent

HEAVY = {"accelerate", "datasets", "diffusers", "gradio", "numpy", "pandas", "PIL", "scipy", "torch", "transformers"}
NOT_FOR_MODELS = {"accelerate", "datasets", "gradio", "pandas", "scipy", "torchvision"}


def modules_loaded_by(statement: str) -> set[str]:
    """Top-level packages in sys.modules of a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=400)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_alone_loads_nothing_heavy():
    loaded = modules_loaded_by("import gan_space; gan_space.__version__; dir(gan_space)")
    assert "gan_space" in loaded
    assert loaded.isdisjoint(HEAVY), sorted(loaded & HEAVY)


def test_the_errors_load_nothing_heavy():
    assert modules_loaded_by("import gan_space.errors").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "statement", ["from gan_space import StyleTransferPipeline", "import gan_space.cli.app", "import app"]
)
@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_threads_that_wait_sleep_unless_somebody_wants_otherwise(statement, chosen):
    """torch's threads read that when it is imported: what is said afterwards comes too late."""
    code = f"""{statement}
import os, sys
names = list(sys.modules)
assert "torch" not in names or names.index("gan_space") < names.index("torch")
print(os.environ["OMP_WAIT_POLICY"])"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": chosen} if chosen else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.strip() == (chosen or "PASSIVE"), done.stderr


# diffusers loads accelerate by itself wherever it is installed; on a machine for the app alone it is not.
WITHOUT_ACCELERATE = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "accelerate" else find_spec(name, *rest)
"""


def test_a_network_does_not_load_the_app_or_the_trainer():
    loaded = modules_loaded_by(f"{WITHOUT_ACCELERATE}from gan_space import Discriminator, Generator")
    assert {"torch", "diffusers"} <= loaded
    assert loaded.isdisjoint(NOT_FOR_MODELS), sorted(loaded & NOT_FOR_MODELS)


def test_a_module_that_is_loaded_is_seen():
    assert {"PIL", "numpy"} <= modules_loaded_by("import PIL.Image, numpy")
