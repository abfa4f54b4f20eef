"""Changes of dictionaries that can be taken back: what makes a commit of `tables` all or nothing."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from chinwag.engine.model.store import DuplicateKey, WriteRejected

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class UndoableTables:
    """Every change of a dictionary goes through these methods, which note how to take it back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Take the block's changes back when it fails."""
        self._undo.clear()
        try:
            yield
        except BaseException:  # whatever it is, a half-done commit must not stay
            for undo in reversed(self._undo):
                undo()
            raise

    @contextmanager
    def _all_or_none_of_part(self) -> Iterator[None]:
        """The same for a part of such a block: what it did before stays."""
        before = len(self._undo)
        try:
            yield
        except BaseException:
            while len(self._undo) > before:
                self._undo.pop()()
            raise

    def _insert(self, table: dict[K, V], key: K, value: V, name: str) -> None:
        if key in table:
            raise DuplicateKey(name)
        self._put(table, key, value)

    def _put(self, table: dict[K, V], key: K, value: V) -> None:
        if key in table:
            old = table[key]
            self._undo.append(lambda: table.__setitem__(key, old))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def _remove(self, table: dict[K, V], key: K) -> None:
        old = self._existing(table, key)
        self._undo.append(lambda: table.__setitem__(key, old))
        del table[key]

    def _remove_all(self, table: dict[K, V], keys: Iterable[K]) -> None:
        for key in keys:
            self._remove(table, key)

    def _existing(self, table: dict[K, V], key: K) -> V:
        if key not in table:
            raise WriteRejected("the row is gone")
        return table[key]
