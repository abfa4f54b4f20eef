"""Runs `chinwag` commands in forks of one process that has imported everything, in a tenth of a start's time.

    python -P fork_server.py FD    serve the Unix socket FD until its other end is closed

What is forked has started no event loop, no thread and no database, and has no open file but its own three: to all
but tests of the start itself a fork is as good as a new process. A request is one message: arguments, folder and
environment as JSON, and three descriptors: stdout, stderr, and a pipe for the exit code, in the form of `subprocess`.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any, Final

MAX_REQUEST_BYTES: Final = 100_000
DESCRIPTORS: Final = 3

_exit_pipes: dict[int, int] = {}
"""Where the end of each process is to be told."""


def import_everything() -> None:
    """What `chinwag serve` needs, with any option, and `chinwag bench`."""
    import chinwag.benchmarks.commands
    import chinwag.http.asgi.app
    import chinwag.http.asgi.hypercorn_adapter
    import chinwag.http.cli
    import chinwag.http.server  # noqa: F401


def next_command(requests: socket.socket) -> list[str]:
    """Fork for each request. Returns in the forks only, with arguments; everything else is then as was asked for."""
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, DESCRIPTORS)
        except ConnectionResetError:
            message = b""
        if not message:
            sys.exit()
        request = json.loads(message)
        assert threading.active_count() == 1, "a thread would not be there after the fork"
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it may end before its pipe is known
        pid = os.fork()
        if pid == 0:
            become(request, stdout=descriptors[0], stderr=descriptors[1])
            return list(request["arguments"])
        for each in descriptors[:2]:
            os.close(each)
        _exit_pipes[pid] = descriptors[2]
        requests.send(str(pid).encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def become(request: dict[str, Any], *, stdout: int, stderr: int) -> None:
    """Make this fork what a new process would be."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()


def tell_ends(_signal: int, _frame: FrameType | None) -> None:
    """Write the exit codes of those that have ended."""
    while _exit_pipes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        pipe = _exit_pipes.pop(pid)
        os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(pipe)


def main() -> None:
    """Serve; in a fork, be `chinwag`."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the tests decide: they close the socket
    signal.signal(signal.SIGCHLD, tell_ends)
    import_everything()
    sys.argv[1:] = next_command(requests)
    requests.detach()  # closed with all others

    from chinwag.http.cli import main as chinwag

    chinwag(prog_name="chinwag")


if __name__ == "__main__":
    main()
