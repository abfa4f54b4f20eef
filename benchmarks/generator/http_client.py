"""A small HTTP/1.1 client for what happens before and after a measurement: one request at a time, kept alive."""

import http.client
import json
from typing import Any, Final
from urllib.parse import SplitResult

from chinwag.benchmarks.errors import BenchError

TIMEOUT_S: Final = 30.0


class HttpClient:
    """Talks to one server. `base` goes before every path."""

    def __init__(self, host: str, port: int, base: str = "", *, timeout_s: float = TIMEOUT_S) -> None:
        self._base = base
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def expect(self, method: str, path: str, body: object = None, *, token: str = "", status: int = 200) -> Any:
        """The answer's JSON. Raises BenchError for any other status, or when there is no answer."""
        answered, data = self._ask(method, path, body, token)
        if answered != status:
            raise BenchError(f"{method} {path} answered {answered}: {data[:200].decode('utf-8', 'replace')}")
        return json.loads(data) if data else None

    def ask(self, method: str, path: str) -> tuple[int, Any]:
        """Status and JSON of an answer; None for a body that is no JSON. Raises BenchError when there is no answer."""
        status, data = self._ask(method, path)
        try:
            return status, json.loads(data)
        except ValueError:
            return status, None

    def _ask(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = json.dumps(body).encode() if body is not None else None
        try:
            self._connection.request(method, self._base + path, content, headers)
            with self._connection.getresponse() as answer:
                return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"{method} {path}: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def address(target: SplitResult) -> tuple[str, int, str]:
    """Host, port and base path of a target's address."""
    if target.scheme != "http" or not target.hostname:
        raise BenchError("a target is an address such as http://127.0.0.1:8000 or http://127.0.0.1:8000/chatterstack")
    return target.hostname, target.port or 80, target.path.rstrip("/")
