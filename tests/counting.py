"""How often the slow ways to know a photo are gone."""

from __future__ import annotations

from collections import Counter

import pytest

from gan_space.faces.detect import HaarDetector
from gan_space.models.aligner import Aligner
from gan_space.models.encoder import Encoder


def count_calls(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Count from now on how often photos are searched, faces placed, and faces or whole photos encoded."""
    counted = Counter()

    def count(owner: type, method: str, name: str) -> None:
        plain = getattr(owner, method)

        def counting(self, *arguments, **options):
            counted[name] += 1
            return plain(self, *arguments, **options)

        monkeypatch.setattr(owner, method, counting)

    count(HaarDetector, "__call__", "detector")
    count(Aligner, "forward", "aligner")
    count(Encoder, "forward", "encoder")
    count(Encoder, "features", "features")
    return counted
