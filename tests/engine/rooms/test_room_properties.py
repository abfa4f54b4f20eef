"""Laws of a room, checked against a simple model under random commands, turns, crashes and restarts.

The turns are those of a real actor, one after the other: what is unknown is recalled, writes are committed together or
lost together. Rows live in a `MemoryStore`, so what a reload sees is what a store makes of the writes.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AddMember,
    AdvanceReceipts,
    DeleteMessage,
    EditMessage,
    Posted,
    PostMessage,
    RemoveMember,
)
from chinwag.engine.model.errors import EngineError, Forbidden, RoleNeeded, StoreUnavailable
from chinwag.engine.model.events import (
    Event,
    MemberAdded,
    MemberRemoved,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    RoleChanged,
    StatusAdvanced,
)
from chinwag.engine.model.ids import IdSource, MessageId, UserId
from chinwag.engine.model.store import InsertMember, InsertRoom, RoomSnapshot, WriteRejected
from chinwag.engine.model.values import Member, Message, Role, Room, RoomKind, Status, ViewedMessage
from chinwag.engine.rooms.state import RoomState
from chinwag.engine.testing import make_user
from tests.engine.rooms.machines import ROOM, USERS, WINDOW, ActorMachine, wait
from tests.examples import examples


class RoomMachine(ActorMachine):
    """A room under test, a model of it, and a client's picture of it that is made of events alone."""

    ids = Bundle("ids")

    @initialize()
    def open_room(self) -> None:
        room = Room(id=ROOM, kind=RoomKind.GROUP, name="r", description="", created_by=USERS[0], created_us=0)
        ann = Member(user_id=USERS[0], username="u1", role=Role.OWNER, joined_us=0)
        self.model_members: dict[UserId, Role] = {USERS[0]: Role.OWNER}
        self.model_messages: dict[MessageId, tuple[UserId, str | None]] = {}
        self.model_keys: dict[tuple[UserId, str], tuple[MessageId, str]] = {}
        self.model_read: dict[UserId, int] = {USERS[0]: 0}
        self.seen_members: dict[UserId, Role] = {USERS[0]: Role.OWNER}
        self.seen_messages: dict[int, Message] = {}
        self.seen_status: dict[MessageId, Status] = {}
        self.open_store([InsertRoom(room=room), InsertMember(room_id=ROOM, member=ann)])

    def see(self, event: Event) -> None:
        """What a client that hears everything makes of it."""
        match event:
            case MessagePosted(message=message):
                assert message.seq == len(self.seen_messages) + 1, "sequences have no holes and come in order"
                assert all(message.id > each.id for each in self.seen_messages.values()), "ids rise"
                self.seen_messages[message.seq] = message
            case MessageEdited(message=message):
                assert self.seen_messages[message.seq].id == message.id
                self.seen_messages[message.seq] = message
            case MessageDeleted():
                self.seen_messages[event.seq] = replace(self.seen_messages[event.seq], deleted_us=1)
            case MemberAdded(member=member):
                self.seen_members[member.user_id] = member.role
            case MemberRemoved():
                del self.seen_members[event.user_id]
            case RoleChanged():
                self.seen_members[event.user_id] = event.role
            case StatusAdvanced():
                self.seen_status[event.message_id] = event.status
            case _:
                pass

    # --- what may happen ---

    @rule(target=ids, author=st.sampled_from(USERS), text=st.text(max_size=3), key=st.sampled_from([None, *"abc"]))
    def post(self, author: UserId, text: str, key: str | None) -> object:
        [outcome] = self.turn(PostMessage(author=author, text=text, key=key, digest=text.encode("utf-8", "replace")))
        return self.expect_post(author, text, key, outcome)

    @rule(
        target=ids,
        author=st.sampled_from(USERS),
        sends=st.lists(st.tuples(st.text(max_size=1), st.sampled_from([None, *"abc"])), min_size=2, max_size=8),
    )
    def post_many_in_one_turn(self, author: UserId, sends: list[tuple[str, str | None]]) -> object:
        outcomes = self.turn(
            *(PostMessage(author=author, text=text, key=key, digest=text.encode()) for text, key in sends)
        )
        made = [
            self.expect_post(author, text, key, outcome) for (text, key), outcome in zip(sends, outcomes, strict=True)
        ]
        return multiple(*(each for each in made if isinstance(each, int)))

    def expect_post(self, author: UserId, text: str, key: str | None, outcome: object) -> object:
        if author not in self.model_members:
            assert isinstance(outcome, Forbidden)
            return multiple()
        first = self.model_keys.get((author, key)) if key is not None else None
        if first is not None and first[1] != text:
            assert getattr(outcome, "what", None) == "idempotency_key"
            return multiple()
        assert isinstance(outcome, Posted)
        if first is not None:
            assert outcome.is_retry
            assert outcome.message.id == first[0], "a retry answers with the first message"
            return multiple()
        message = outcome.message
        assert (message.text, message.author_id, message.key) == (text, author, key)
        self.model_messages[message.id] = (author, text)
        if key is not None:
            self.model_keys[author, key] = (message.id, text)
        return message.id

    @rule(caller=st.sampled_from(USERS), message_id=ids, text=st.text(max_size=3))
    def edit(self, caller: UserId, message_id: MessageId, text: str) -> None:
        [outcome] = self.turn(EditMessage(caller=caller, message_id=message_id, text=text))
        author, old = self.model_messages[message_id]
        if caller in self.model_members and author == caller and old is not None:
            assert isinstance(outcome, Posted)
            self.model_messages[message_id] = (author, text)
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=st.sampled_from(USERS), message_id=ids)
    def delete(self, caller: UserId, message_id: MessageId) -> None:
        [outcome] = self.turn(DeleteMessage(caller=caller, message_id=message_id))
        author, old = self.model_messages[message_id]
        role = self.model_members.get(caller)
        if role is not None and old is not None and (author == caller or role >= Role.MODERATOR):
            assert outcome is None
            self.model_messages[message_id] = (author, None)
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=st.sampled_from(USERS), message_id=ids, read=st.booleans())
    def receive_or_read(self, caller: UserId, message_id: MessageId, read: bool) -> None:
        before = {member.user_id: member for member in self.state.members}
        [outcome] = self.turn(AdvanceReceipts(caller=caller, message_id=message_id, read=read))
        if caller not in self.model_members:
            assert isinstance(outcome, EngineError)
            return
        assert outcome is None
        seq = list(self.model_messages).index(message_id) + 1
        if read:
            self.model_read[caller] = max(self.model_read[caller], seq)
        for member in self.state.members:
            was = before[member.user_id]
            assert member.delivered_seq >= was.delivered_seq
            assert member.read_seq >= was.read_seq
            assert member.delivered_seq >= member.read_seq

    def statuses(self) -> dict[MessageId, Status]:
        """Of the messages whose authors are still there."""
        return {
            message.id: self.state.receipts.status_of(message)
            for message in self.state._recent.values()
            if message.author_id in self.model_members
        }

    @rule(user=st.sampled_from(USERS), caller=st.sampled_from(USERS), role=st.sampled_from(Role))
    def join(self, user: UserId, caller: UserId, role: Role) -> None:
        reads = sorted(self.model_read[each] for each in self.model_members)
        before = self.statuses()
        [outcome] = self.turn(AddMember(caller=caller, user=make_user(user, f"u{user}"), role=role))
        assert before == self.statuses(), "nobody's joining changes the status of a message"
        may = self.model_members.get(caller, Role.MEMBER) >= Role.ADMIN
        if may and role is not Role.OWNER and user not in self.model_members:
            assert isinstance(outcome, Member)
            self.model_members[user] = role
            self.model_read[user] = reads[1] if len(reads) > 1 else 0  # where all others have got to
        else:
            assert isinstance(outcome, EngineError)

    @precondition(lambda self: len(self.model_members) > 1)
    @rule(user=st.sampled_from(USERS), caller=st.sampled_from(USERS))
    def leave_or_remove(self, user: UserId, caller: UserId) -> None:
        [outcome] = self.turn(RemoveMember(caller=caller, user_id=user))
        role = self.model_members.get(caller)
        other = self.model_members.get(user)
        if role is None or other is None:
            assert isinstance(outcome, EngineError)
            return
        if user != caller and role < Role.ADMIN and (role < Role.MODERATOR or other > Role.MEMBER):
            assert isinstance(outcome, RoleNeeded)
            return
        del self.model_members[user]
        assert {member.user_id for member in self.state.members} == set(self.model_members)
        if Role.OWNER not in self.model_members.values():
            [heir] = [member for member in self.state.members if member.role is Role.OWNER]
            highest = max(self.model_members.values())
            equals = [each for each in self.state.members if self.model_members[each.user_id] is highest]
            assert heir in equals
            assert heir.joined_us == min(member.joined_us for member in equals)
            self.model_members[heir.user_id] = Role.OWNER

    @rule()
    def restart(self) -> None:
        """The actor is passivated and starts again: nothing changes."""
        before = picture(self.state)
        self.load()
        assert picture(self.state) == before, "a room reloaded from its store equals the live one"

    @rule(author=st.sampled_from(USERS), message_id=ids)
    def lose_a_commit(self, author: UserId, message_id: MessageId) -> None:
        """A turn is applied and its writes are lost: it never happened."""
        before = picture(self.state)
        commands = (
            PostMessage(author=author, text="lost", key="lost", digest=b""),
            AdvanceReceipts(caller=author, message_id=message_id, read=True),
            RemoveMember(caller=author, user_id=author),
        )
        commits = self.store.commits
        self.store.fail_next_commits(1, StoreUnavailable("full"))
        outcomes = self.turn(*commands)
        assert self.store.commits == commits
        assert all(isinstance(outcome, EngineError) for outcome in outcomes)
        if author not in self.model_members:  # nothing was to be written: the failure is still to come
            self.store._failures.clear()
        assert picture(self.state) == before

    @rule(target=ids, author=st.sampled_from(USERS), texts=st.lists(st.text(max_size=1), min_size=2, max_size=5))
    def commit_one_by_one(self, author: UserId, texts: list[str]) -> object:
        """The store blames a write of the turn, and has nothing against any of them by itself."""
        self.store.fail_next_commits(1, WriteRejected("a damaged row"))
        outcomes = self.turn(*(PostMessage(author=author, text=text) for text in texts))
        self.store._failures.clear()
        made = [self.expect_post(author, text, None, outcome) for text, outcome in zip(texts, outcomes, strict=True)]
        return multiple(*(each for each in made if isinstance(each, int)))

    # --- what always holds ---

    @invariant()
    def members_are_as_modelled(self) -> None:
        assert {member.user_id: member.role for member in self.state.members} == self.model_members
        assert self.seen_members == self.model_members, "events applied to an old snapshot equal a fresh one"
        assert {member.user_id: member.read_seq for member in self.state.members} == {
            user: self.model_read[user] for user in self.model_members
        }

    @invariant()
    def no_message_is_lost_doubled_or_out_of_order(self) -> None:
        assert self.state.last_seq == len(self.model_messages)
        stored = self.store._tables.messages_of(ROOM)
        assert [each.message.seq for each in stored] == list(range(1, len(self.model_messages) + 1))
        assert [each.message.id for each in stored] == list(self.model_messages)
        texts = [None if each.message.deleted_us is not None else each.message.text for each in stored]
        assert texts == [text for _, text in self.model_messages.values()]
        seen = [self.seen_messages[seq] for seq in sorted(self.seen_messages)]
        assert [None if each.deleted_us is not None else each.text for each in seen] == texts

    @rule(
        viewer=st.sampled_from(USERS),
        skip=st.integers(0, WINDOW + 2) | st.just(1 << 70),
        limit=st.integers(1, WINDOW + 2) | st.just(1 << 70),
    )
    def look_at_a_page(self, viewer: UserId, skip: int, limit: int) -> None:
        """The room's own answer is the store's, whenever it has one."""
        stored = wait(lambda: self.store.history(ROOM, viewer, skip=skip, limit=limit))
        try:
            page = self.state.page(viewer, skip=skip, limit=limit)
        except Forbidden:
            assert stored.access.member is None
            return
        assert stored.access.member is not None
        assert stored.receipts is not None
        expected = [ViewedMessage(message=each, status=stored.receipts.status_of(each)) for each in stored.messages]
        if page is not None:
            assert page == expected
        living = [each for each in self.state._recent.values() if each.deleted_us is None]
        all_is_in_memory = len(self.model_messages) <= WINDOW
        assert (page is not None) == (all_is_in_memory or skip + limit <= len(living))

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.state._recent) <= WINDOW
        assert len(self.state._keys) <= WINDOW
        assert not self.state._recalled

    @invariant()
    def the_status_is_what_all_other_members_reached(self) -> None:
        members = self.state.members
        if len(members) == 1:
            self.seen_status.clear()  # alone, there is nobody a message could have got to
        for each in self.store._tables.messages_of(ROOM):
            message = each.message
            others = [member for member in members if member.user_id != message.author_id]
            expected = Status.SENT
            if others and all(member.delivered_seq >= message.seq for member in others):
                expected = Status.DELIVERED
            if others and all(member.read_seq >= message.seq for member in others):
                expected = Status.READ
            assert self.state.receipts.status_of(message) is expected
            # An author who left is told nothing more, and a newcomer may be one more who has not read it.
            mine = message.author_id in self.model_members and message.id in self.seen_status
            if mine and len(members) > 1 and message.deleted_us is None:
                assert self.seen_status[message.id] <= expected, "nobody was told more than is true"
        assert self.store._tables.receipts(ROOM) == self.state.receipts or ties(self.state)


def ties(state: RoomState) -> bool:
    """With equal watermarks, who counts as the one furthest behind is anybody's choice."""
    delivered = sorted(member.delivered_seq for member in state.members)
    read = sorted(member.read_seq for member in state.members)
    return len(delivered) > 1 and (delivered[0] == delivered[1] or read[0] == read[1])


def picture(state: RoomState) -> object:
    members = {member.user_id: member for member in state.members}
    return members, state.last_seq, dict(state._recent), dict(state._keys)


class StatusMachine(RuleBasedStateMachine):
    """Every rise of a status is announced, exactly once, to the author: three members, no comings and goings."""

    @initialize()
    def open_room(self) -> None:
        room = Room(id=ROOM, kind=RoomKind.GROUP, name="r", description="", created_by=USERS[0], created_us=0)
        members = tuple(Member(user_id=u, username=f"u{u}", role=Role.MEMBER, joined_us=u) for u in USERS[:3])
        snapshot = RoomSnapshot(room=room, members=members, last_seq=0, recent=())
        self.state = RoomState(snapshot, new_id=IdSource(clock=lambda: 0))
        self.messages: list[Message] = []
        self.told: dict[MessageId, Status] = {}

    @rule(author=st.sampled_from(USERS[:3]))
    def post(self, author: UserId) -> None:
        answer = self.state.handle(PostMessage(author=author, text=""), 0).answer
        assert isinstance(answer, Posted)
        self.messages.append(answer.message)
        self.told[answer.message.id] = Status.SENT

    @precondition(lambda self: self.messages)
    @rule(user=st.sampled_from(USERS[:3]), pick=st.integers(min_value=0), read=st.booleans())
    def mark(self, user: UserId, pick: int, read: bool) -> None:
        message = self.messages[pick % len(self.messages)]
        for event in self.state.handle(AdvanceReceipts(caller=user, message_id=message.id, read=read), 0).events:
            assert isinstance(event, StatusAdvanced)
            assert event.status > self.told[event.message_id]
            self.told[event.message_id] = event.status

    @invariant()
    def what_was_told_is_what_is(self) -> None:
        for message in getattr(self, "messages", ()):
            assert self.told[message.id] is self.state.receipts.status_of(message)


TestRoom = RoomMachine.TestCase
TestRoom.settings = settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
TestStatus = StatusMachine.TestCase
TestStatus.settings = settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
