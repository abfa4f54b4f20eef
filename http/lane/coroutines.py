"""Stepping coroutines by hand."""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def calling_before_it_waits(work: Coroutine[Any, Any, T], before: Callable[[], None]) -> Generator[Any, Any, T]:
    """Await `work`; if it has to wait, call `before` first. So answers that are ready never wait for one that is not.

    Steps the coroutine as `await` would: everything it yields goes to Trio, everything Trio sends goes to it.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    before()
    while True:
        try:
            step: Callable[[Any], Any] = work.send
            value: Any = yield waits_for
        except BaseException as error:  # noqa: BLE001 - all of it is the coroutine's, Cancelled too
            step, value = work.throw, error
        try:
            waits_for = step(value)
        except StopIteration as finished:
            late_result: T = finished.value
            return late_result
