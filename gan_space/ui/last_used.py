"""What the page's many threads share: a few things each, those that were used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LastUsed(Generic[K, V]):
    """Keeps what was used last, for any number of threads at once.

    What has to go is only let go of, never changed: another thread may still work with it.

    Args:
        most: how many stay.
    """

    def __init__(self, most: int):
        self.most = most
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        """Return what is kept under this key, used now; None where nothing is."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """Return what is kept, else what `make` returns; nobody waits for it, and of two that made it one is kept."""
        value = self.get(key)
        return self._put(key, make(), replace=False)[0] if value is None else value

    def put(self, key: K, value: V) -> list[K]:
        """Keep a value, in place of the one that was there; returns the keys of those that had to go."""
        return self._put(key, value, replace=True)[1]

    def _put(self, key: K, value: V, *, replace: bool) -> tuple[V, list[K]]:
        with self._lock:
            if replace or key not in self._values:
                self._values[key] = value
            value = self._values[key]
            self._values.move_to_end(key)
            gone = [self._values.popitem(last=False)[0] for _ in range(len(self._values) - self.most)]
        return value, gone

    def pop(self, key: K) -> V | None:
        """Let go of one, and return it; None where nothing is kept."""
        with self._lock:
            return self._values.pop(key, None)

    def drop(self, unwanted: Callable[[K], bool]) -> None:
        """Let go of all whose key is unwanted."""
        with self._lock:
            keys = list(self._values)
        for key in [key for key in keys if unwanted(key)]:
            self.pop(key)

    def __len__(self) -> int:
        return len(self._values)
