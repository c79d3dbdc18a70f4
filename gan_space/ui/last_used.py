"""What the page's many threads share: a few things each, those that were used last."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LastUsed(Generic[K, V]):
    """Keeps what was used last, for any number of threads at once.

    Args:
        most: how many stay.
        let_go: called with what had to go, as soon as nobody works with it any more, see `using`.
    """

    def __init__(self, most: int, let_go: Callable[[V], None] = lambda value: None):
        self.most = most
        self._let_go = let_go
        self._values: OrderedDict[K, V] = OrderedDict()
        self._uses: Counter[int] = Counter()  # by the id of a value that somebody works with
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

    @contextmanager
    def using(self, key: K, make: Callable[[], V]) -> Iterator[V]:
        """Work with what is kept, else with what `make` returns: it is not let go of before the block ends."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
                self._uses[id(value)] += 1
        if value is None:
            value = self._put(key, make(), replace=False, used=True)[0]
        try:
            yield value
        finally:
            with self._lock:
                self._uses[id(value)] -= 1
                unused = not self._uses[id(value)]
                if unused:
                    del self._uses[id(value)]
                gone = unused and self._values.get(key) is not value
            if gone:
                self._let_go(value)

    def put(self, key: K, value: V) -> list[K]:
        """Keep a value, in place of the one that was there; returns the keys of those that had to go."""
        return self._put(key, value, replace=True)[1]

    def _put(self, key: K, value: V, *, replace: bool, used: bool = False) -> tuple[V, list[K]]:
        with self._lock:
            before = self._values.get(key)
            if replace or before is None:
                self._values[key] = value
            value = self._values[key]
            self._values.move_to_end(key)
            if used:
                self._uses[id(value)] += 1
            gone = [self._values.popitem(last=False) for _ in range(len(self._values) - self.most)]
            replaced = [] if before is None or before is value else [before]
            idle = [one for one in (*replaced, *(one for _, one in gone)) if not self._uses[id(one)]]
        for one in idle:
            self._let_go(one)
        return value, [key for key, _ in gone]

    def pop(self, key: K) -> V | None:
        """Let go of one, and return it; None where nothing is kept."""
        with self._lock:
            value = self._values.pop(key, None)
            idle = value is not None and not self._uses[id(value)]
        if idle:
            self._let_go(value)
        return value

    def drop(self, unwanted: Callable[[K], bool]) -> None:
        """Let go of all whose key is unwanted."""
        with self._lock:
            keys = list(self._values)
        for key in [key for key in keys if unwanted(key)]:
            self.pop(key)

    def __len__(self) -> int:
        return len(self._values)
