"""Many at once: the last places of an invitation and of a chatroom, and one message sent twenty times."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio_websocket import ConnectionRejected

from tests.e2e.chatrooms import Chatrooms, Guest, chatrooms_of, code_of
from tests.e2e.client import Json
from tests.e2e.processes import LIMIT_S, Server

pytestmark = pytest.mark.listeners("lane", reason="who comes first is decided behind the listener")

CROWD = 50


@pytest.fixture(scope="module")
def crowd(every_front: Server) -> list[Guest]:
    async def register() -> list[Guest]:
        async with chatrooms_of(every_front) as chatrooms:
            return await chatrooms.guests(*["guest"] * CROWD)

    return trio.run(register)


async def at_once(people: list[Guest], ask: Callable[[Guest], Awaitable[str]]) -> Counter[str]:
    """What they were answered, all having asked at the same time."""
    answers: Counter[str] = Counter()
    ready = trio.Event()

    async def one(person: Guest) -> None:
        await ready.wait()
        answers[await ask(person)] += 1

    async with trio.open_nursery() as nursery:
        for person in people:
            nursery.start_soon(one, person)
        ready.set()
    return answers


def joining(chatrooms: Chatrooms, *paths: str) -> Callable[[Guest], Awaitable[str]]:
    """Joins by the first path, the next person by the next."""
    turns = iter(range(CROWD * 10))

    async def join(person: Guest) -> str:
        answer = await chatrooms.ask("POST", paths[next(turns) % len(paths)], as_=person)
        return "joined" if answer.status_code == 200 else f"{answer.status_code} {code_of(answer)}"

    return join


async def invitation(chatrooms: Chatrooms, owner: Guest, room: str, max_uses: int) -> Json:
    made: Json = (await chatrooms.do("POST", f"/chatrooms/{room}/invite", owner, {"max_uses": max_uses}))["invitation"]
    return made


async def members(chatrooms: Chatrooms, owner: Guest, room: str) -> set[str]:
    """The ids of all members, in agreement with the count that the chatroom states."""
    shown = await chatrooms.get(f"/chatrooms/{room}", owner)
    found = {member["user_id"] for member in shown["members"]}
    assert len(found) == len(shown["members"]) == shown["chatroom"]["member_count"]
    [listed] = (await chatrooms.get("/chatrooms", owner))["chatrooms"]
    assert listed["member_count"] == len(found)
    return found


async def announced(chatrooms: Chatrooms, owner: Guest, room: str) -> list[str]:
    """Of whom the chatroom said that they joined."""
    return [each["user_id"] for each in await chatrooms.history(owner, room) if each["message_type"] == "system"]


async def test_an_invitation_for_seven_lets_seven_of_fifty_in(chatrooms: Chatrooms, crowd: list[Guest]) -> None:
    owner = await chatrooms.guest("owner")
    room = await chatrooms.room(owner, is_private=True)
    code = (await invitation(chatrooms, owner, room, 7))["invite_code"]
    path = f"/chatrooms/join/{code}"
    assert await at_once(crowd, joining(chatrooms, path)) == {"joined": 7, "404 CHATROOM_INVITE_INVALID": CROWD - 7}
    inside = await members(chatrooms, owner, room)
    assert inside < {person.id for person in (owner, *crowd)} and len(inside) == 1 + 7
    assert sorted([owner.id, *await announced(chatrooms, owner, room)]) == sorted(inside)
    for person in crowd[:20]:  # who is in sees the chatroom, who is not does not
        status = (await chatrooms.ask("GET", f"/chatrooms/{room}", as_=person)).status_code
        assert status == (200 if person.id in inside else 403)


async def test_the_last_places_of_a_chatroom_are_taken_once_whichever_way_people_join(
    chatrooms: Chatrooms, crowd: list[Guest]
) -> None:
    owner = await chatrooms.guest("owner")
    room = await chatrooms.room(owner, max_members=10)
    invited = await invitation(chatrooms, owner, room, CROWD)
    paths = (f"/chatrooms/join/{invited['invite_code']}", f"/chatrooms/{room}/join")
    assert await at_once(crowd, joining(chatrooms, *paths)) == {"joined": 9, "409 CHATROOM_FULL": CROWD - 9}
    inside = await members(chatrooms, owner, room)
    assert len(inside) == 10
    assert sorted([owner.id, *await announced(chatrooms, owner, room)]) == sorted(inside)
    preview = await chatrooms.get(f"/chatrooms/join/{invited['invite_code']}", owner)
    by_invitation = CROWD - preview["uses_left"]
    assert 0 <= by_invitation <= 9  # who found it full used nothing up
    # One leaves, and of all that are outside one gets the place.
    leaver = next(person for person in crowd if person.id in inside)
    await chatrooms.do("POST", f"/chatrooms/{room}/leave", leaver)
    outside = [person for person in crowd if person.id not in inside]
    answers = await at_once(outside, joining(chatrooms, *paths))
    assert answers == {"joined": 1, "409 CHATROOM_FULL": len(outside) - 1}
    assert len(await members(chatrooms, owner, room)) == 10


async def test_joining_twice_at_once_is_joining_once(chatrooms: Chatrooms) -> None:
    owner, guest = await chatrooms.guests("owner", "guest")
    room = await chatrooms.room(owner)
    code = (await invitation(chatrooms, owner, room, 5))["invite_code"]
    paths = (f"/chatrooms/join/{code}", f"/chatrooms/{room}/join")
    answers = await at_once([guest] * 20, joining(chatrooms, *paths))
    assert sum(answers.values()) == 20 and all(answer.split()[0] in ("joined", "409") for answer in answers), answers
    assert await members(chatrooms, owner, room) == {owner.id, guest.id}
    assert await announced(chatrooms, owner, room) == [guest.id]
    uses_left = (await chatrooms.get(f"/chatrooms/join/{code}", owner))["uses_left"]
    assert uses_left in (4, 5)


async def test_one_message_sent_twenty_times_at_once_is_posted_once(chatrooms: Chatrooms) -> None:
    owner, other = await chatrooms.guests("owner", "other")
    room = await chatrooms.room(owner, other)

    async def post(person: Guest) -> str:
        return str((await chatrooms.post(person, room, "once", client_id="k"))["id"])

    async with chatrooms.socket(other, room) as socket:
        answers = await at_once([owner] * 20, post)
        assert list(answers.values()) == [20]
        [received] = await socket.messages(1)
        assert set(answers) == {received["id"]}
        assert await socket.fence() == []
    texts = [each for each in await chatrooms.history(owner, room) if each["message_type"] == "text"]
    assert texts == [received]


async def test_of_fifty_who_edit_delete_and_react_at_once_each_gets_a_clear_answer(
    chatrooms: Chatrooms, crowd: list[Guest]
) -> None:
    owner = crowd[0]
    room = await chatrooms.room(owner, *crowd[1:20])
    message = await chatrooms.post(owner, room, "now")
    here = f"/chatrooms/{room}/messages/{message['id']}"

    async def react(person: Guest) -> str:
        answer = await chatrooms.ask("POST", f"{here}/reactions", as_=person, json={"emoji": "👍"})
        return f"{answer.status_code}"

    assert await at_once(crowd[:20] * 2, react) == {"201": 40}
    reactions = (await chatrooms.get(here, owner))["message"]["reactions"]
    assert sorted(each["user_id"] for each in reactions) == sorted(person.id for person in crowd[:20])

    async def delete(person: Guest) -> str:
        answer = await chatrooms.ask("DELETE", here, as_=person)
        return "deleted" if answer.status_code == 200 else code_of(answer)

    answers = await at_once([owner] * 10 + crowd[1:11], delete)
    assert answers["deleted"] == 1
    assert set(answers) <= {"deleted", "MESSAGE_NOT_FOUND", "MESSAGE_DELETE_DENIED"}
    assert (await chatrooms.ask("GET", here, as_=owner)).status_code == 404


async def test_of_a_dozen_sockets_at_once_five_are_let_in(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann)
    outcomes: Counter[str] = Counter()
    all_told = trio.Event()

    def told(outcome: str) -> None:
        outcomes[outcome] += 1
        if outcomes.total() == 12:
            all_told.set()

    async def connect(_: Guest) -> None:
        try:
            async with chatrooms.socket(ann, room) as socket:
                assert await socket.fence() == []
                told("let in")
                await all_told.wait()
        except* ConnectionRejected as group:
            [refusal] = group.exceptions
            assert isinstance(refusal, ConnectionRejected)
            told(f"{refusal.status_code}")

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(connect, ann)
    assert outcomes == {"let in": 5, "429": 7}
    async with chatrooms.socket(ann, room) as socket:  # and afterwards there is room again
        assert await socket.fence() == []
