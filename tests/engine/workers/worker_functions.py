"""What a worker process is given to call in tests: good, hostile and unlucky functions."""

import os
import signal
import sys
import time
from pathlib import Path

from chinwag.engine.workers.protocol import CallRefused


def echo(call: bytes) -> bytes:
    """The call, and who answers it."""
    return call + b" " + str(os.getpid()).encode()


def act(call: bytes) -> bytes:
    """Do what the call says."""
    match call.decode().split():
        case ["refuse", *reason]:
            raise CallRefused(" ".join(reason))
        case ["crash"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        case ["raise"]:
            raise RuntimeError("a bug")
        case ["leave"]:
            os._exit(0)
        case ["eat", size]:
            return str(len(bytearray(int(size)))).encode()
        case ["compute"]:
            while True:
                pass
        case ["sleep"]:
            time.sleep(3600)
        case ["print", *words]:
            os.write(1, " ".join(words).encode() + b"\n")  # as a C library does, whatever Python's streams are
            print("and to stderr", file=sys.stderr, flush=True)
        case ["environment"]:
            return repr(dict(os.environ)).encode()
        case ["write", path]:
            Path(path).write_text("x")
        case _:
            raise CallRefused("no such thing")
    return b"done"
