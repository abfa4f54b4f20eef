"""What the tests of the room's rules share: a state of its own, and short ways to use it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import pytest

from chinwag.engine.model.commands import Posted, PostMessage, RoomCommand
from chinwag.engine.model.errors import EngineError
from chinwag.engine.model.events import Event, StatusAdvanced
from chinwag.engine.model.ids import IdSource, InvitationId, MessageId, RoomId, UserId
from chinwag.engine.model.store import RoomSnapshot
from chinwag.engine.model.values import Invitation, Member, Message, Role, Room, RoomKind, Status, direct_key
from chinwag.engine.rooms.memory import Outcome
from chinwag.engine.rooms.state import RoomState

ANN, BOB, CID, EVE = UserId(1), UserId(2), UserId(3), UserId(9)
ROOM = RoomId(100)
NOW = 1_000_000

E = TypeVar("E", bound=EngineError)


def state_of(
    members: Iterable[UserId] = (ANN, BOB),
    *,
    kind: RoomKind = RoomKind.GROUP,
    recent_messages: int = 200,
    roles: Mapping[UserId, Role] = MappingProxyType({ANN: Role.OWNER}),
    **settings: Any,
) -> RoomState:
    """A room that ANN made and owns; the others came in the order given. `settings` are those of `Room`. A direct one
    is ANN's and BOB's."""
    if kind is RoomKind.DIRECT:
        settings["direct_key"] = direct_key(ANN, BOB)
    room = Room(id=ROOM, kind=kind, name="tea", description="", created_by=ANN, created_us=0, **settings)
    return RoomState(
        RoomSnapshot(
            room=room,
            members=tuple(
                Member(user_id=each, username=f"u{each}", role=roles.get(each, Role.MEMBER), joined_us=at)
                for at, each in enumerate(members)
            ),
            last_seq=0,
            recent=(),
        ),
        new_id=IdSource(above=1, clock=lambda: 0),
        recent_messages=recent_messages,
    )


def post(state: RoomState, author: UserId = ANN, text: str = "hi", *, key: str | None = None) -> Message:
    answer = state.handle(PostMessage(author=author, text=text, key=key, digest=text.encode()), NOW).answer
    assert isinstance(answer, Posted)
    return answer.message


def view(state: RoomState) -> object:
    """All that a command may not change when it is refused."""
    recalled = dict(state._invitations), dict(state._bans), dict(state._absent)
    memory = dict(state._recent), dict(state._keys), dict(state._typing), recalled
    return state.room, state.deleted, state.members, state.last_seq, state._last_us, state.receipts, memory


def kinds(outcome: Outcome) -> list[type[Event]]:
    return [type(event) for event in outcome.events]


def statuses(outcome: Outcome) -> list[tuple[MessageId, Status]]:
    return [(event.message_id, event.status) for event in outcome.events if isinstance(event, StatusAdvanced)]


def message_of(outcome: Outcome) -> Message:
    """The message that a command was answered with."""
    assert isinstance(outcome.answer, Posted)
    return outcome.answer.message


def refused(state: RoomState, command: RoomCommand, error: type[E], now_us: int = NOW) -> E:
    """What a command is refused with, having changed nothing."""
    before = view(state)
    with pytest.raises(error) as refusal:
        state.handle(command, now_us)
    assert type(refusal.value) is error
    assert view(state) == before
    return refusal.value


CODE = b"d" * 32
"""The digest of an invitation's code."""


def emojis(count: int) -> list[str]:
    """So many different ones: faces."""
    return [chr(0x1F600 + n) for n in range(count)]


def invitation(
    *,
    max_uses: int = 1,
    uses: int = 0,
    expires_us: int = NOW + 1,
    room_id: RoomId = ROOM,
    created_by: UserId = ANN,
    maker_role: Role = Role.OWNER,
) -> Invitation:
    """An invitation, made before anything that the room's rules make."""
    return Invitation(
        id=InvitationId(1),
        room_id=room_id,
        digest=CODE,
        created_by=created_by,
        created_us=0,
        expires_us=expires_us,
        max_uses=max_uses,
        uses=uses,
        maker_role=maker_role,
    )
