"""No test reaches the real Hub or the caches and tokens of who runs it: all talk to a small Hub on this machine.

Libraries read these variables when they are imported, so they are set before any test is. Every process of pytest-xdist
has a Hub and caches of its own.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from pathlib import Path

import pytest

from tests.hub_server import HubServer

_HUB = HubServer()
_HOME = tempfile.TemporaryDirectory(prefix="gan-space-tests-")
atexit.register(_HOME.cleanup)

# The processes share the cores; the networks here are too small for more threads to pay.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ |= {
    "HF_ENDPOINT": _HUB.url,
    "HF_HOME": _HOME.name,
    "HF_HUB_DISABLE_XET": "1",  # uploads would go through xet's own server otherwise
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "GRADIO_TEMP_DIR": f"{_HOME.name}/gradio",
}
for _name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE"):
    os.environ.pop(_name, None)


@pytest.fixture
def hub() -> HubServer:
    """An empty Hub that works."""
    _HUB.reset()
    return _HUB


@pytest.fixture(scope="session")
def aligner():
    """The network inside the package, in evaluation mode."""
    import gan_space
    from gan_space.models.aligner import Aligner

    return Aligner.from_pretrained(Path(gan_space.__file__).parent / "assets" / "default" / "aligner").eval()


@pytest.fixture(scope="session")
def landmarker():
    """The network inside the package, in evaluation mode."""
    import gan_space
    from gan_space.models.landmarker import Landmarker

    return Landmarker.from_pretrained(Path(gan_space.__file__).parent / "assets" / "default" / "landmarker").eval()


@pytest.fixture(scope="session")
def person():
    """The pipeline with all that the package holds; who wants another one takes `from_pipe` of it."""
    from gan_space.pipelines.personalization import PersonalizationPipeline

    return PersonalizationPipeline.from_pretrained()


@pytest.hookimpl(trylast=True)  # after the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: at the end, no process then waits for the other's last one."""
    order: dict[Path, int] = {}
    for item in items:
        rank = 0 if item.get_closest_marker("browser") else 1 if item.get_closest_marker("slow") else 2
        order[item.path] = min(order.get(item.path, 2), rank)
    items.sort(key=lambda item: order[item.path])  # stable: files stay together
