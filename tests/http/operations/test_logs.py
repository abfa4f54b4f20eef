"""What logging writes, seen from outside: it is set up once per process, so each case has a process of its own."""

import json
import subprocess
import sys

SCRIPT = """
import logging, structlog
from chinwag.http.operations.logs import configure_logging
configure_logging({log_format!r}, {level!r})
log = structlog.get_logger("chinwag.test")
log.info("opened", room=5)
log.debug("detail")
logging.getLogger("library").warning("from a %s", "library")
logging.getLogger("library").info("chatter")
logging.getLogger("library").debug("authorization: Bearer secret")
try:
    raise RuntimeError("a bug")
except RuntimeError:
    log.exception("failed")
"""


ACCEPTING = """
import logging
from chinwag.http.operations.logs import configure_logging
configure_logging({log_format!r}, {level!r})
for number in range(5):
    try:
        raise OSError(24, "no descriptor")
    except OSError:
        logging.getLogger("trio.serve_listeners").error("cannot accept", exc_info=True)
"""


def logged(log_format: str, level: str, script: str = SCRIPT) -> str:
    script = script.format(log_format=log_format, level=level)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def test_json_has_an_object_per_line() -> None:
    records = [json.loads(line) for line in logged("json", "info").splitlines()]
    assert [record["event"] for record in records] == ["opened", "from a library", "failed"]
    assert [record["level"] for record in records] == ["info", "warning", "error"]
    assert all(record["timestamp"].endswith("Z") for record in records)
    assert records[0]["room"] == 5
    assert "RuntimeError: a bug" in records[2]["exception"]


WARNINGS = """
import threading, warnings
from chinwag.http.operations.logs import configure_logging
configure_logging("json", "info")
warnings.warn("a picture\\nof many pixels", RuntimeWarning)
class Breaks:
    def __del__(self): raise ValueError("in a destructor")
Breaks()
def fail(): raise ValueError("in a thread")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
"""


def test_warnings_and_errors_that_nobody_catches_go_through_the_log() -> None:
    done = subprocess.run([sys.executable, "-c", WARNINGS], capture_output=True, text=True, check=True)
    warning, destructor, thread = map(json.loads, done.stderr.splitlines())
    assert warning["event"].startswith("RuntimeWarning: a picture of many pixels (")
    assert warning["level"] == "warning"
    assert "ValueError: in a destructor" in destructor["exception"]
    assert "ValueError: in a thread" in thread["exception"]


def test_text_is_for_people() -> None:
    text = logged("text", "info")
    assert "opened" in text
    assert "room=5" in text
    assert "Traceback (most recent call last)" in text
    assert "\x1b" not in text


def test_the_level_is_the_least_that_is_logged() -> None:
    records = [json.loads(line)["event"] for line in logged("json", "error").splitlines()]
    assert records == ["failed"]
    records = [json.loads(line)["event"] for line in logged("json", "debug").splitlines()]
    assert records == ["opened", "detail", "from a library", "chatter", "failed"]


def test_connections_that_cannot_be_accepted_are_a_line_a_second() -> None:
    """Trio tries, and complains, ten times a second."""
    [record] = [json.loads(line) for line in logged("json", "info", ACCEPTING).splitlines()]
    assert record["event"] == "cannot accept"
    assert "exception" not in record
