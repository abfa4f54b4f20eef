"""Logging: structlog for our own events, and the standard library's records of others in the same form, to stderr.

So are Python's warnings, and exceptions that nobody could catch: nothing else writes to stderr.
"""

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TextIO, cast

import orjson
import structlog
from structlog.typing import Processor

from chinwag.http.settings import LogFormat, LogLevel

log = structlog.get_logger("chinwag")


class _Stderr:
    """stderr without a buffer. A full disk or a closed pipe behind it costs the line, never what was being done."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


ACCEPTING: Final = "trio.serve_listeners"
"""Trio's logger for connections that cannot be accepted, with a traceback for each attempt, ten times a second."""


class _OncePerSecond(logging.Filter):
    """Lets a record pass each second, without its traceback; the next one says how many there were beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._next_at = 0.0
        self._unsaid = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next_at:
            self._unsaid += 1
            return False
        record.exc_info = record.exc_text = None
        if self._unsaid:
            record.msg = f"{record.msg} ({self._unsaid} more like this)"
        self._next_at, self._unsaid = now + 1, 0
        return True


def configure_logging(log_format: LogFormat, level: LogLevel) -> None:
    """Set up logging for the process. "text" is for people (in colour on a terminal), "json" has an object per line.

    Of other libraries only warnings are shown, with `level` "debug" also what they tell of. Their own debugging never
    is: hpack's has every header of every request, and the tokens in them.
    """
    stderr = cast("TextIO", _Stderr())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending = _json() if log_format == "json" else _text()
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *ending])
    )
    logging.getLogger(ACCEPTING).filters[:] = [_OncePerSecond()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if number <= logging.DEBUG else max(number, logging.WARNING))
    warnings.formatwarning = _one_line
    logging.captureWarnings(True)
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_of_thread


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    del line  # the source is no news
    return f"{category.__name__}: {' '.join(str(message).split())} ({filename}:{lineno})"


def _log_unraisable(raised: "sys.UnraisableHookArgs") -> None:
    """An exception in a destructor, for one."""
    where = raised.err_msg or "exception ignored"
    log.error(where, at=repr(raised.object), exc_info=raised.exc_value)


def _log_of_thread(raised: threading.ExceptHookArgs) -> None:
    thread = None if raised.thread is None else raised.thread.name
    log.error("thread ended by an error", thread=thread, exc_info=raised.exc_value)


def _json() -> Sequence[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json_text)]


def _json_text(event: object, default: Callable[[object], object] | None = None) -> str:
    return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()


def _text() -> Sequence[Processor]:
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]
