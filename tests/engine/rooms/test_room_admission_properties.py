"""Laws of coming and going, checked against a simple model: bans, invitations, direct rooms.

The turns are those of a real actor over a store, alone or several commands at once, with lost commits and restarts.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, precondition, rule
from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AcceptInvitation,
    AddMember,
    BanMember,
    CreateInvitation,
    DeleteRoom,
    JoinRoom,
    Posted,
    PostMessage,
    RemoveMember,
    RestoreMember,
    RevokeInvitation,
    RoomCommand,
    SetMemberRole,
    UnbanMember,
    UpdateRoom,
)
from chinwag.engine.model.errors import Banned, EngineError, NotAMember, NotFound, StoreUnavailable
from chinwag.engine.model.events import Event, MemberAdded, MemberRemoved, MessagePosted, RoomJoined, RoomLeft
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.store import InsertMember, InsertRoom
from chinwag.engine.model.values import Ban, Invitation, Member, Record, Role, Room, RoomKind, direct_key
from chinwag.engine.testing import make_user
from tests.engine.rooms.machines import ROOM, USERS, ActorMachine, wait
from tests.examples import examples

USER = st.sampled_from(USERS)


class Code(Record):
    """An invitation as the model knows it. `place` counts bans and invitations in the order they were made."""

    digest: bytes
    maker: UserId
    maker_role: Role
    place: int
    left: int


class AdmissionMachine(ActorMachine):
    """A group, who is in it, who is kept out of it, and the codes that lead into it."""

    codes = Bundle("codes")

    @initialize(private=st.booleans())
    def open_room(self, private: bool) -> None:
        room = Room(
            id=ROOM, kind=RoomKind.GROUP, name="r", description="", created_by=USERS[0], created_us=0, private=private
        )
        owner = Member(user_id=USERS[0], username="u1", role=Role.OWNER, joined_us=0)
        self.roles: dict[UserId, Role] = {USERS[0]: Role.OWNER}
        self.bans: dict[UserId, int] = {}
        self.living: dict[bytes, Code] = {}
        self.private = private
        self.places = 0
        self.open_store([InsertRoom(room=room), InsertMember(room_id=ROOM, member=owner)])

    # --- the model ---

    def place(self) -> int:
        self.places += 1
        return self.places

    def role(self, user: UserId) -> Role | None:
        return self.roles.get(user)

    def may_invite(self, user: UserId) -> bool:
        role = self.role(user)
        return role is not None and (role >= Role.MODERATOR or not self.private)

    def let_in(self, user: UserId, role: Role = Role.MEMBER) -> None:
        self.roles[user] = role
        self.bans.pop(user, None)

    def take_out(self, user: UserId, *, ban: bool) -> None:
        gone = self.roles.pop(user)
        if ban:
            self.bans[user] = self.place()
        if gone is Role.OWNER and self.roles:
            [heir] = [each.user_id for each in self.state.members if each.role is Role.OWNER]
            assert self.roles[heir] is max(self.roles.values())
            self.roles[heir] = Role.OWNER
        self.end_codes()

    def end_codes(self) -> None:
        """A code ends in the moment in which its maker may not make it any more."""
        self.living = {digest: code for digest, code in self.living.items() if self.may_invite(code.maker)}

    def opens_for(self, digest: bytes, user: UserId) -> type[EngineError] | None:
        code = self.living.get(digest)
        if code is None or not code.left:
            return NotFound
        if user not in self.bans:
            return None
        by_moderator = min(code.maker_role, self.roles[code.maker]) >= Role.MODERATOR
        return None if by_moderator and code.place > self.bans[user] else Banned

    # --- what may happen ---

    @rule(user=USER)
    def join(self, user: UserId) -> None:
        [outcome] = self.turn(JoinRoom(user=make_user(user, f"u{user}")))
        if user in self.roles or (not self.private and user not in self.bans):
            assert isinstance(outcome, Member)
            self.roles.setdefault(user, Role.MEMBER)
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=USER, user=USER, role=st.sampled_from([Role.MEMBER, Role.MODERATOR, Role.ADMIN]))
    def add(self, caller: UserId, user: UserId, role: Role) -> None:
        [outcome] = self.turn(AddMember(caller=caller, user=make_user(user, f"u{user}"), role=role))
        if (self.role(caller) or Role.MEMBER) >= Role.ADMIN and user not in self.roles:
            assert isinstance(outcome, Member)
            self.let_in(user, role)
        else:
            assert isinstance(outcome, EngineError)

    @rule(target=codes, maker=USER, uses=st.integers(1, 3))
    def invite(self, maker: UserId, uses: int) -> object:
        digest = b"%d" % self.places
        [outcome] = self.turn(CreateInvitation(caller=maker, digest=digest, max_uses=uses, lifetime_us=10**15))
        if not self.may_invite(maker):
            assert isinstance(outcome, EngineError)
            return multiple()
        assert isinstance(outcome, Invitation)
        code = Code(digest=digest, maker=maker, maker_role=self.roles[maker], place=self.place(), left=uses)
        self.living[digest] = code
        return digest

    @rule(digest=codes, user=USER)
    def accept(self, digest: bytes, user: UserId) -> None:
        [outcome] = self.turn(AcceptInvitation(user=make_user(user, f"u{user}"), digest=digest))
        self.expect_acceptance(digest, user, outcome)

    def expect_acceptance(self, digest: bytes, user: UserId, outcome: object) -> None:
        if user in self.roles:
            assert isinstance(outcome, Member)
            return
        refusal = self.opens_for(digest, user)
        if refusal is not None:
            assert type(outcome) is refusal
            return
        assert isinstance(outcome, Member)
        self.let_in(user)
        code = self.living[digest]
        self.living[digest] = replace(code, left=code.left - 1)

    @precondition(lambda self: self.bans and self.living)
    @rule(pick_user=st.integers(0, 3), pick_code=st.integers(0, 99))
    def somebody_banned_accepts(self, pick_user: int, pick_code: int) -> None:
        banned, living = sorted(self.bans), sorted(self.living)
        self.accept(living[pick_code % len(living)], banned[pick_user % len(banned)])

    @precondition(lambda self: len(self.roles) > 1 and Role.OWNER in self.roles.values())
    @rule(pick=st.integers(0, 3), role=st.sampled_from([Role.MEMBER, Role.MODERATOR]))
    def the_owner_gives_a_role(self, pick: int, role: Role) -> None:
        [owner] = [user for user, held in self.roles.items() if held is Role.OWNER]
        others = sorted(self.roles.keys() - {owner})
        self.give_role(owner, others[pick % len(others)], role)

    @rule(digest=codes, caller=USER)
    def revoke(self, digest: bytes, caller: UserId) -> None:
        invitation = wait(self.store.invitation, digest)
        if invitation is None:
            assert digest not in self.living  # it had ended, and is forgotten
            return
        [outcome] = self.turn(RevokeInvitation(caller=caller, invitation=invitation))
        role = self.role(caller)
        if role is not None and (role >= Role.MODERATOR or caller == invitation.created_by):
            assert outcome is None
            self.living.pop(digest, None)
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=USER, user=USER)
    def leave_or_remove(self, caller: UserId, user: UserId) -> None:
        [outcome] = self.turn(RemoveMember(caller=caller, user_id=user))
        self.expect_removal(caller, user, outcome)

    def expect_removal(self, caller: UserId, user: UserId, outcome: object) -> None:
        role, other = self.role(caller), self.role(user)
        may = role is not None and (
            user == caller or role >= Role.ADMIN or (role is Role.MODERATOR and other is Role.MEMBER)
        )
        if may and other is not None:
            assert outcome is None
            self.take_out(user, ban=user != caller)
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=USER, user=USER)
    def ban(self, caller: UserId, user: UserId) -> None:
        [outcome] = self.turn(BanMember(caller=caller, user=make_user(user, f"u{user}")))
        role, other = self.role(caller), self.role(user)
        if role is None or role < Role.MODERATOR or user == caller or (other is not None and other >= role):
            assert isinstance(outcome, EngineError)
            return
        assert isinstance(outcome, Ban)
        if other is None:
            self.bans[user] = self.place()
        else:
            self.take_out(user, ban=True)

    @rule(caller=USER, user=USER)
    def unban(self, caller: UserId, user: UserId) -> None:
        [outcome] = self.turn(UnbanMember(caller=caller, user_id=user))
        if (self.role(caller) or Role.MEMBER) >= Role.MODERATOR and user in self.bans:
            assert outcome is None
            del self.bans[user]
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=USER, user=USER, role=st.sampled_from(Role))
    def give_role(self, caller: UserId, user: UserId, role: Role) -> None:
        [outcome] = self.turn(SetMemberRole(caller=caller, user_id=user, role=role))
        if self.role(caller) is Role.OWNER and user in self.roles and user != caller:
            assert isinstance(outcome, Member)
            if role is Role.OWNER:
                self.roles[caller] = Role.MODERATOR
            self.roles[user] = role
            self.end_codes()
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=USER, private=st.booleans())
    def open_or_close(self, caller: UserId, private: bool) -> None:
        [outcome] = self.turn(UpdateRoom(caller=caller, private=private))
        if (self.role(caller) or Role.MEMBER) >= Role.MODERATOR:
            assert isinstance(outcome, Room)
            self.private = private
            self.end_codes()
        else:
            assert isinstance(outcome, EngineError)

    @rule(caller=USER, removed=USER, digest=codes, user=USER)
    def remove_and_accept_in_one_turn(self, caller: UserId, removed: UserId, digest: bytes, user: UserId) -> None:
        accept = AcceptInvitation(user=make_user(user, f"u{user}"), digest=digest)
        first, second = self.turn(RemoveMember(caller=caller, user_id=removed), accept)
        self.expect_removal(caller, removed, first)
        self.expect_acceptance(digest, user, second)

    @rule(caller=USER, user=USER)
    def lose_a_commit(self, caller: UserId, user: UserId) -> None:
        """A turn is applied and its writes are lost: it never happened."""
        self.store.fail_next_commits(1, StoreUnavailable("full"))
        commands: list[RoomCommand] = [
            RemoveMember(caller=caller, user_id=user),
            BanMember(caller=caller, user=make_user(user, f"u{user}")),
            UnbanMember(caller=caller, user_id=user),
            JoinRoom(user=make_user(user, f"u{user}")),
            AddMember(caller=caller, user=make_user(user, f"u{user}"), role=Role.MEMBER),
        ]
        self.turn(*commands)
        self.store._failures.clear()

    @rule()
    def restart(self) -> None:
        """The actor is passivated and starts again: nothing changes."""
        self.load()

    # --- what always holds ---

    @invariant()
    def the_room_is_as_modelled(self) -> None:
        assert {member.user_id: member.role for member in self.state.members} == self.roles
        assert {member.user_id: member.role for member in self.store._tables.members_of(ROOM)} == self.roles

    @invariant()
    def bans_are_as_modelled_and_no_member_has_one(self) -> None:
        assert {user for _, user in self.store._tables.bans} == set(self.bans)
        assert not self.bans.keys() & self.roles.keys()

    @invariant()
    def living_codes_are_as_modelled(self) -> None:
        good = {each.digest for each in self.store._tables.invitations.values() if each.is_good(10)}
        assert good == {code.digest for code in self.living.values() if code.left}

    @invariant()
    def nothing_is_kept_in_memory_for_it(self) -> None:
        assert not (self.state._bans or self.state._invitations or self.state._absent)


PAIR = USERS[:2]
EITHER = st.sampled_from(PAIR)


class PairMachine(ActorMachine):
    """A direct room: who is in it, what both have heard, and what is unread."""

    @initialize(role=st.sampled_from(Role))
    def open_room(self, role: Role) -> None:
        room = Room(
            id=ROOM,
            kind=RoomKind.DIRECT,
            name="",
            description="",
            created_by=PAIR[0],
            created_us=0,
            direct_key=direct_key(*PAIR),
        )
        members = [Member(user_id=user, username=f"u{user}", role=Role.MEMBER, joined_us=0) for user in PAIR]
        members[0] = replace(members[0], role=role)  # as an older release stored it
        self.there = set(PAIR)
        self.seen = set(PAIR)
        self.unread = dict.fromkeys(PAIR, 0)
        self.posted = 0
        self.heard: dict[UserId, list[int]] = {user: [] for user in PAIR}
        self.expected: dict[UserId, list[int]] = {user: [] for user in PAIR}
        self.open_store([InsertRoom(room=room), *(InsertMember(room_id=ROOM, member=each) for each in members)])

    def see(self, event: Event) -> None:
        """As the fan-out: a message is heard by whoever has joined by then, and has not left."""
        match event:
            case RoomJoined():
                self.seen.add(event.user_id)
            case MemberRemoved():
                self.seen.discard(event.user_id)
            case MessagePosted(message=message):
                for user in self.seen:
                    self.heard[user].append(message.seq)
            case _:
                assert isinstance(event, MemberAdded | RoomLeft)

    def expect_post(self, author: UserId, outcome: object) -> None:
        if author not in PAIR:
            assert isinstance(outcome, NotAMember)
            return
        assert isinstance(outcome, Posted)
        self.posted += 1
        assert outcome.message.seq == self.posted
        for user in PAIR:
            if user not in self.there:
                self.unread[user] = 0
            self.unread[user] += user != author
            self.expected[user].append(self.posted)
        self.there = set(PAIR)

    def expect_leaving(self, leaver: UserId, outcome: object) -> None:
        if leaver in self.there:
            assert not outcome
            self.there.remove(leaver)
        else:
            assert isinstance(outcome, NotAMember)

    @rule(author=USER)
    def post(self, author: UserId) -> None:
        [outcome] = self.turn(PostMessage(author=author, text="x"))
        self.expect_post(author, outcome)

    @rule(leaver=EITHER, by_deleting=st.booleans())
    def leave(self, leaver: UserId, by_deleting: bool) -> None:
        command = DeleteRoom(caller=leaver) if by_deleting else RemoveMember(caller=leaver, user_id=leaver)
        [outcome] = self.turn(command)
        self.expect_leaving(leaver, outcome)

    @rule(steps=st.lists(st.tuples(EITHER, st.booleans()), min_size=2, max_size=6))
    def leave_and_post_in_one_turn(self, steps: list[tuple[UserId, bool]]) -> None:
        outcomes = self.turn(
            *(
                PostMessage(author=user, text="x") if posts else RemoveMember(caller=user, user_id=user)
                for user, posts in steps
            )
        )
        for (user, posts), outcome in zip(steps, outcomes, strict=True):
            if posts:
                self.expect_post(user, outcome)
            else:
                self.expect_leaving(user, outcome)

    @rule()
    def open_it(self) -> None:
        self.turn(*(RestoreMember(user=make_user(user, f"u{user}")) for user in PAIR))
        for user in set(PAIR) - self.there:
            self.unread[user] = 0
        self.there = set(PAIR)

    @rule(author=EITHER)
    def lose_a_commit(self, author: UserId) -> None:
        self.store.fail_next_commits(1, StoreUnavailable("full"))
        self.turn(PostMessage(author=author, text="lost"), RemoveMember(caller=author, user_id=author))
        self.store._failures.clear()

    @rule()
    def restart(self) -> None:
        """The actor is passivated and starts again: nothing changes."""
        self.load()

    @invariant()
    def the_room_is_as_modelled(self) -> None:
        assert {member.user_id for member in self.state.members} == self.there == self.seen
        assert {member.role for member in self.state.members} <= {Role.MEMBER}
        assert {member.user_id for member in self.store._tables.members_of(ROOM)} == self.there
        assert self.state.incomplete == (len(self.there) < len(PAIR))

    @invariant()
    def every_message_is_heard_once_by_both(self) -> None:
        assert self.heard == self.expected

    @invariant()
    def what_is_unread_began_with_the_return(self) -> None:
        for user in self.there:
            overviews = wait(lambda user=user: self.store.overviews(user, kind=None, name_contains="", skip=0, limit=9))
            assert overviews.rooms[0].unread == self.unread[user]


TestAdmissions = AdmissionMachine.TestCase
TestAdmissions.settings = settings(max_examples=examples(80), stateful_step_count=40, deadline=None)
TestPair = PairMachine.TestCase
TestPair.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
