"""Requests made up from each front's own OpenAPI document, by two people: no answer is a 5xx, none is undocumented.

The requests are those of schemathesis, right and wrong ones, bounded in number and the same in every run. In most
of them ids are of things that exist, so that they get further than "not found".
"""

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from chinwag.http.registry import FRONTS
from tests.e2e.processes import Server, serving

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: make test-services does that")

pytestmark = pytest.mark.services

PASSWORD = "correct-horse"
EXAMPLES = 40
"""Requests to each operation in each mode."""
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a failure is reported as it was found: shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that nobody can ask too often. Its log must show no traceback at the end."""
    with serving(tmp_path_factory.mktemp("schemathesis") / "data", "--rate-limits", "off", fronts=()) as running:
        yield running


class Known:
    """Two people and what is theirs, in one front's ids, by the names that parameters and fields have."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self.tokens: list[str] = []
        self.ids: dict[str, list[str]] = {}

    def post(self, path: str, body: Mapping[str, Any], by: int | None = None) -> Any:
        """What the front answers to one of the two, or to nobody."""
        headers = {} if by is None else {"authorization": f"Bearer {self.tokens[by]}"}
        answer = self._client.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        found = answer.json()
        return found.get("data", found)

    def register(self, front: str, path: str, **more: str) -> list[Any]:
        """Make the two; what the front answers."""
        return [
            self.post(path, {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **more})
            for name in (f"{front}-ann", f"{front}-bob")
        ]


def _chatterstack_people(known: Known) -> None:
    made = known.register("chatterstack", "/v1/auth/register")
    known.ids |= {"user_id": [each["id"] for each in made]}
    for each in made:
        opened = known.post("/v1/auth/login", {"email": each["email"], "password": PASSWORD})
        known.tokens.append(opened["access_token"])


def _chatterstack_things(known: Known) -> None:
    room = known.post("/v1/rooms", {"name": "tea", "member_ids": known.ids["user_id"]}, 0)["id"]
    message = known.post(f"/v1/rooms/{room}/messages", {"content": "hello"}, 0)["id"]
    known.ids |= {"room_id": [room], "message_id": [message]}


def _chatrooms_people(known: Known) -> None:
    made = known.register("chatrooms", "/auth/register", display_name="Somebody")
    known.ids |= {"user_id": [each["user"]["id"] for each in made]}
    known.tokens = [each["access_token"] for each in made]


def _chatrooms_things(known: Known) -> None:
    room = known.post("/chatrooms", {"name": "tea", "is_private": False}, 0)["chatroom"]["id"]
    known.post(f"/chatrooms/{room}/join", {}, 1)
    text = {"content": {"encrypted_data": "hello"}}
    message = known.post(f"/chatrooms/{room}/messages", text, 0)["message"]["id"]
    code = known.post(f"/chatrooms/{room}/invite", {}, 0)["invitation"]["invite_code"]
    known.ids |= {"chatroom_id": [room], "message_id": [message], "invite_code": [code]}


def _messenger_people(known: Known) -> None:
    made = known.register("messenger", "/api/auth/register")
    users = [each["user"]["id"] for each in made]
    known.ids |= {"userId": users, "user_id": users}
    known.tokens = [each["access_token"] for each in made]


def _messenger_things(known: Known) -> None:
    other = known.ids["user_id"][1]
    group = known.post("/api/groups", {"name": "tea"}, 0)["group"]["id"]
    known.post(f"/api/groups/{group}/members", {"user_id": other}, 0)
    conversation = known.post("/api/conversations", {"user_id": other}, 0)["conversation"]["id"]
    known.ids |= {"id": [group, conversation]}


PREPARE = {
    "chatterstack": (_chatterstack_people, _chatterstack_things),
    "chatrooms": (_chatrooms_people, _chatrooms_things),
    "messenger": (_messenger_people, _messenger_things),
}


@pytest.mark.parametrize("front", [front.name for front in FRONTS])
def test_no_request_gets_a_5xx_or_an_answer_that_is_not_in_the_document(front: str, server: Server) -> None:
    people, things = PREPARE[front]
    api = schemathesis.openapi.from_url(f"{server.url}/{front}/openapi.json")
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
    ]
    problems: list[str] = []
    with httpx2.Client(base_url=f"{server.url}/{front}") as client:
        known = Known(client)
        people(known)
        for found in api.get_all_operations():
            operation = found.ok()
            if operation.path.endswith("/auth/logout"):
                continue  # it would end what all that follows is asked with; tests/http has its answers
            for mode in schemathesis.GenerationMode:
                things(known)
                try:
                    _try(operation, mode, known, things, checks)
                except Unsatisfiable:  # where nothing is taken, nothing can be wrong
                    assert mode.is_negative, f"{operation.path}: nothing can be right"
                except (AssertionError, BaseExceptionGroup) as failure:
                    problems.append(f"{operation.method.upper()} {operation.path} ({mode.value}): {_words(failure)}")
    assert not problems, "\n\n".join(problems)


def _try(operation: Any, mode: Any, known: Known, things: Callable[[Known], None], checks: list[Any]) -> None:
    @seed(1)
    @bounded
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        for given_ids in (case.path_parameters, case.query, case.body):
            if not isinstance(given_ids, dict):
                continue
            for name in given_ids.keys() & known.ids.keys():
                if (known_id := data.draw(st.sampled_from([*known.ids[name] * 2, None]))) is not None:
                    given_ids[name] = known_id
        token = data.draw(st.sampled_from([*known.tokens * 4, None]))
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        response = case.call(headers=headers)
        if response.status_code == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            return  # HTTP's own answer to a query that is longer than any head may be: no front has read it
        case.validate_response(response, checks=checks)
        if case.method == "DELETE" and response.status_code < 300:
            things(known)  # the next request is to find something again

    ask()


def _words(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return "\n".join(_words(each) for each in failure.exceptions)
    return str(failure)[:2000]
