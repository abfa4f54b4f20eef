"""Summaries by a real server process: with what it has of its own, with a language model, and with one that is away."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from tests.e2e.processes import LIMIT_S, Server, serving
from tests.forks import environment

PASSWORD = "Correct-horse-1"
TALK = (
    "We should plan the release for Friday.",
    "The release notes need a section about the new search.",
    "Lunch?",
    "The installer was broken in the last release, so it has to be tested before this one.",
)


class Model(BaseHTTPRequestHandler):
    """An endpoint that counts the messages it is sent, for who has the key."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = json.loads(asked["messages"][1]["content"])["messages"]
        allowed = self.headers["authorization"] == "Bearer sk-secret" and asked["model"] == "small"
        content = json.dumps(
            {"summary": f"{len(said)} messages", "keywords": ["count"], "sentiment": 0, "language": "en"}
        )
        body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def model_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{endpoint.server_address[1]}/v1"
        endpoint.shutdown()
        thread.join()


def summary(server: Server, **asked: str) -> httpx2.Response:
    """What the owner of a room with `TALK` in it gets who asks for a summary."""
    with httpx2.Client(base_url=server.url, timeout=LIMIT_S) as api:
        ann = {"username": "annie", "email": "ann@example.com", "password": PASSWORD, "display_name": "Ann"}
        token = api.post("/auth/register", json=ann).json()["data"]["access_token"]
        api.headers["authorization"] = f"Bearer {token}"
        made = api.post("/chatrooms", json={"name": "tea", "is_private": True}).json()
        room = f"/chatrooms/{made['data']['chatroom']['id']}"
        for text in TALK:
            content = {"encrypted_data": text, "iv": "", "key_version": 0}
            assert api.post(f"{room}/messages", json={"content": content, "message_type": "text"}).is_success
        answer = api.post(f"{room}/summary", json=asked)
        if answer.is_success:
            found = api.get(f"{room}/summary", params={"summary_type": "manual"}).json()
            assert found["data"] == answer.json()["data"]
        return answer


def test_without_a_language_model_it_is_made_of_key_sentences(tmp_path: Path) -> None:
    with serving(tmp_path / "data", fronts=("chatrooms",)) as server:
        made = summary(server, custom_prompt="What about the installer?").json()["data"]["summary"]
    assert f"Ann: {TALK[3]}" in made["summary_text"].splitlines()
    assert made["message_count"] == len(TALK)
    assert made["language"] == "en"
    assert "release" in made["keywords"]


def test_a_language_model_is_asked_with_its_key(tmp_path: Path, model_url: str) -> None:
    options = ("--llm-url", model_url, "--llm-model", "small")
    with serving(
        tmp_path / "data", *options, env=environment(CHINWAG_LLM_KEY="sk-secret"), fronts=("chatrooms",)
    ) as server:
        made = summary(server).json()["data"]["summary"]
        assert "sk-secret" not in server.log
    assert (made["summary_text"], made["keywords"]) == ("4 messages", ["count"])


def test_a_language_model_that_is_away_or_refuses_is_told_and_nothing_else_suffers(
    tmp_path: Path, model_url: str
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    for number, url in enumerate((nobody, model_url)):
        options = ("--llm-url", url, "--llm-model", "small")
        with serving(tmp_path / str(number), *options, fronts=("chatrooms",)) as server:
            assert summary(server).status_code == 503
            assert httpx2.get(f"{server.url}/healthz", timeout=LIMIT_S).status_code == 200
