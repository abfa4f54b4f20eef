"""What a measurement cost on both sides: processor time within the block, peak memory at its end."""

import resource
from types import TracebackType
from typing import Any, Self

from chinwag.benchmarks.compare.contestants import Site
from chinwag.benchmarks.report.results import Result


class Meter:
    """A context manager around exactly what is measured; `result` afterwards makes a `Result` with its readings."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._client_s = 0.0
        self._server_s: float | None = None
        self._peak_bytes: int | None = None

    def __enter__(self) -> Self:
        before = self._site.usage
        self._server_s = None if before is None else -before.cpu_s
        self._client_s = -_own_cpu_s()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client_s += _own_cpu_s()
        after = self._site.usage
        if after is not None and self._server_s is not None:
            self._server_s += after.cpu_s
            self._peak_bytes = after.peak_bytes

    def result(self, **fields: Any) -> Result:
        """A result with these fields and what was metered."""
        process = self._site.process
        return Result(
            server=self._site.name,
            server_cpu_s=self._server_s,
            server_peak_bytes=self._peak_bytes,
            client_cpu_s=self._client_s,
            start_s=None if process is None else process.start_s,
            **fields,
        )


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
