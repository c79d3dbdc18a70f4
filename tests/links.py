"""Where links cannot be made, tests of links are passed over: Windows allows them to few."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest


def _can_be_made() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            (Path(folder) / "link").symlink_to(folder)
        except (OSError, NotImplementedError):
            return False
        return True


needs_links = pytest.mark.skipif(not _can_be_made(), reason="links cannot be made here")
