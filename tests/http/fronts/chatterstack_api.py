"""What the tests of ChatterStack's endpoints share."""

from tests.http.service_api import Answer

NOBODY = "4096"
"""The wire form of an id that nobody has."""
REGISTRATION = {"username": "ann", "email": "Ann@Example.org", "password": "secret"}
ATTACHMENT = {"url": "https://example.org/a.png", "mime_type": "image/png", "size_bytes": 123}


def refused(answer: Answer, status: int, error: str | None = None) -> None:
    """The answer has this status and exactly the error shape."""
    assert answer.status == status, answer.body
    assert answer.error if error is None else answer.error == error
