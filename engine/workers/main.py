"""The program of a worker process: answers calls of one function, one after the other, within limits.

    python -P -m chinwag.engine.workers.main MODULE:FUNCTION MEMORY_BYTES CPU_S

It is started and spoken to by `workers.process`: calls come on stdin, answers go to stdout (`workers.protocol`). It
ends when stdin does, or the function raises what it should not. Whatever libraries print goes to stderr.
"""

import importlib
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import BinaryIO

from chinwag.engine.workers.protocol import ANSWER, CALL, CallRefused, Outcome

if sys.platform != "win32":  # there the caller's deadline is the only limit
    import resource


def main() -> None:
    """Answer calls until there are no more."""
    name, memory_bytes, cpu_s = sys.argv[1:]
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server is told to stop; this process by the end of its input
    calls = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints must not come between two answers
    _confine(int(memory_bytes))
    module, _, attribute = name.partition(":")
    function: Callable[[bytes], bytes] = getattr(importlib.import_module(module), attribute)
    while (length := _read(calls, CALL.size)) is not None:
        call = _read(calls, CALL.unpack(length)[0])
        if call is None:
            return
        _allow_cpu(float(cpu_s))
        outcome, answer = _call(function, call)
        del call
        _write(answers, ANSWER.pack(outcome, len(answer)) + answer)


def _call(function: Callable[[bytes], bytes], call: bytes) -> tuple[Outcome, bytes]:
    try:
        return Outcome.ANSWERED, function(call)
    except CallRefused as refused:
        return Outcome.REFUSED, str(refused).encode()
    except MemoryError:
        return Outcome.OUT_OF_MEMORY, b""


def _confine(memory_bytes: int) -> None:
    """Limit what the process may have from now on, whoever is in control of it."""
    if sys.platform == "win32":
        return
    for limit, amount in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),  # pipes are no files
    ):
        resource.setrlimit(limit, (amount, amount))


def _allow_cpu(cpu_s: float) -> None:
    """Let the next call take so many seconds of processor time; beyond that the kernel ends this process."""
    if sys.platform == "win32":
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + cpu_s)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _read(source: BinaryIO, size: int) -> bytes | None:
    """So many bytes; None when there are no more."""
    data = source.read(size)
    return data if len(data) == size else None


def _write(target: BinaryIO, data: bytes) -> None:
    with memoryview(data) as rest:
        written = 0
        while written < len(rest):
            written += target.write(rest[written:]) or 0


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)  # whoever asked is gone
