"""Who holds a room's keys, and how its members come by them.

In *server custody* the server makes a key with the room and a new version whenever a member goes, keeps all versions
sealed with its master key, seals them for the members' public keys, and reads what members encrypt with them. In
*client custody* members seal keys for one another and the server stores texts that it cannot open.

Versions start at 1 and rise by one. Those of server custody are assigned by the room's actor, in the same commit as the
member's removal that caused it: a removed member's key never outlives the membership, whenever the process dies. Those
of client custody are assigned here, under a lock per room. See docs/encryption.md for what all this protects against.
"""

import weakref
from collections.abc import Awaitable, Callable, Mapping

import structlog
import trio
from msgspec.structs import replace

from chinwag.engine.encryption.room_crypto import (
    MasterKey,
    PublicKey,
    WrongMasterKey,
    decrypt,
    make_key,
)
from chinwag.engine.model.access import require_author, require_member, with_equal_roles
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commands import BanMember, RemoveMember, RoomCommand
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.errors import (
    CannotDecrypt,
    Conflict,
    Invalid,
    KeysUnavailable,
    NotAMember,
    NotFound,
    Overloaded,
    Rule,
)
from chinwag.engine.model.events import Event, MemberKeyReplaced, RoomKeyChanged
from chinwag.engine.model.ids import RoomId, UserId
from chinwag.engine.model.keys import HeldKey, KeyRing, encrypted_characters
from chinwag.engine.model.limits import MOST_TEXT_CHARACTERS
from chinwag.engine.model.store import InsertKeyVersion, InsertRoomKey, PutMemberKey, Store, Write, WriteRejected
from chinwag.engine.model.values import KeyCustody, Member, MemberKey, Record, Role, Room, RoomKey, Sealed

CACHED_KEYS = 4096
"""Versions of room keys that are kept open in memory; opening one again costs a read."""
MOST_SEALED_CHARACTERS = 4096
"""A key sealed by RSA of 8192 bits has 1,368 characters in Base64."""
MOST_KEYS_AT_ONCE = 1000
ROTATION_ATTEMPTS = 8
"""Removals of one room wait for each other, so that the version a new key was made for is taken only when somebody gave
up waiting for theirs."""
MOST_IV_CHARACTERS = 64
"""12 bytes have 16 in Base64; other ciphers of client custody may need a few more."""
MOST_VERSION = 2**31 - 1

log = structlog.get_logger("chinwag.engine")


class Content(Record):
    """What a client sent, as the engine takes it: the text that the server can read, and the original where it differs.

    `text` is "" for what the server cannot read; `sealed` is None for plain text that nothing needs to be kept of.
    """

    text: str
    sealed: Sealed | None


async def check_master_key(store: Store, master: MasterKey | None) -> None:
    """Look whether the store's room keys were sealed with this master key, by the latest of them.

    Raises `WrongMasterKey` when they were not, `StoreUnavailable`.
    """
    latest = None if master is None else await store.latest_room_key()
    if master is not None and latest is not None:
        master.open(latest)


class RoomKeys:
    """The keys of all rooms. Hangs on the engine as `engine.keys`."""

    def __init__(self, *, store: Store, commits: Commits, master: MasterKey | None, clock: Clock) -> None:
        """Without a `master` key there is client custody alone."""
        self._store = store
        self._master = master
        self._commits = commits
        self._clock = clock
        self._open: dict[tuple[RoomId, int], bytes] = {}
        self._locks: weakref.WeakValueDictionary[RoomId, trio.Lock] = weakref.WeakValueDictionary()

    def for_new_room(self, room: Room) -> tuple[Write, ...]:
        """What to commit together with a new room: its first key, in server custody. Raises `Invalid("custody")`
        when the engine has no master key."""
        if room.custody is not KeyCustody.SERVER:
            return ()
        if self._master is None:
            raise Invalid("custody", "this server holds no keys: it was started without a master key")
        return (InsertRoomKey(key=_new_version(self._master, room.id, 1, room.created_us)),)

    # --- messages ---

    async def content_of(
        self, room_id: RoomId, author: UserId, sealed: Sealed, *, most_characters: int = MOST_TEXT_CHARACTERS
    ) -> Content:
        """What a client sent as encrypted content. Costs no read when it is plain text (`key_version` 0), or nothing.

        Whether the version is still in use is the room's to say, when it takes the message. Raises `CannotDecrypt` when
        the room is in server custody and the content is not encrypted with its key as docs/encryption.md says;
        `Invalid("text")` for a text of more than `most_characters`; `NotFound("room")`, `NotAMember` before any of
        these but for plain text, where the room checks it; `KeysUnavailable`.
        """
        _check_kept(sealed)
        if not sealed.data:  # nothing was encrypted: a file without a caption
            return Content(text="", sealed=None)
        if sealed.key_version == 0:
            return Content(text=_bounded(sealed.data, most_characters), sealed=sealed if sealed.iv else None)
        room = require_author(await self._store.access(room_id, author), author)
        if len(sealed.data) > encrypted_characters(4 * most_characters):  # no character needs more bytes than 4
            raise _too_long(most_characters)
        if room.custody is KeyCustody.CLIENT:
            return Content(text="", sealed=sealed)
        text = decrypt(await self._key(room_id, sealed.key_version), sealed)
        return Content(text=_bounded(text, most_characters), sealed=sealed)

    # --- keys for members ---

    async def for_member(self, room_id: RoomId, viewer: UserId, *, above: int = 0) -> KeyRing:
        """The viewer's keys of a room, of the versions above `above`.

        Raises `NotFound("room")`, `NotAMember`; in server custody `Conflict("public_key")` when the viewer's profile
        has no public key, and `KeysUnavailable`.
        """
        # Read before it is asked who may have them: what was made when the viewer left must not be among them.
        versions = await self._store.room_keys(room_id)
        room = require_member(await self._store.access(room_id, viewer))
        if room.custody is KeyCustody.CLIENT:
            newest = (await self._store.key_version(room_id)).version
            stored = await self._store.member_keys(room_id, viewer)
            held = [
                HeldKey(version=each.version, sealed=each.sealed, sealed_by=each.sealed_by, created_us=each.created_us)
                for each in stored
                if each.version > above
            ]
            return KeyRing(custody=room.custody, newest=newest, keys=tuple(held))
        user = await self._store.user(viewer)
        if user is None or user.public_key is None:
            raise Conflict("public_key", "your profile has no public key to seal the room's keys for")
        public_key = PublicKey(user.public_key)
        held = []
        for each in versions:
            if each.version > above:
                held.append(
                    HeldKey(
                        version=each.version,
                        sealed=public_key.seal(self._opened(each)),
                        sealed_by=None,
                        created_us=each.created_us,
                    )
                )
                await trio.lowlevel.checkpoint()  # a room whose members come and go has many
        return KeyRing(custody=room.custody, newest=versions[-1].version if versions else 0, keys=tuple(held))

    async def public_keys(self, room_id: RoomId, viewer: UserId) -> dict[UserId, str | None]:
        """The public key of each member of a room, None for who has none: what keys are sealed with, in client custody.

        Raises `NotFound("room")`, `NotAMember`.
        """
        found = await self._store.members(room_id, viewer)
        require_member(found.access)
        users = {user.id: user for user in await self._store.users([each.user_id for each in found.members])}
        return {each.user_id: users[each.user_id].public_key for each in found.members}

    async def put_member_keys(
        self, room_id: RoomId, caller: UserId, version: int, sealed: Mapping[UserId, str]
    ) -> None:
        """Store a version of the room's key as the caller sealed it for each of these members, all or none (client
        custody). One above the newest version makes it the newest, and tells the room (`RoomKeyChanged`).

        Of two members who make the same version at once, one wins: a member's key of a version is replaced only by who
        sealed it, by that member, by who introduced the version, by an ADMIN, or when who sealed it has left; and what
        a member sealed for themselves by nobody else. The member is told of it (`MemberKeyReplaced`). Raises
        `Conflict("key")` else; `Conflict("custody")` in server custody; `Invalid("version")` for one that does not
        follow the newest, `Invalid("sealed")`, `NotFound("member")`, `NotFound("room")`, `NotAMember`.
        """
        async with self._lock(room_id):
            snapshot = await self._store.room_snapshot(room_id, recent=0)
            if snapshot is None:
                raise NotFound("room")
            members = {each.user_id: each for each in with_equal_roles(snapshot.room, snapshot.members)}
            if caller not in members:
                raise NotAMember
            if snapshot.room.custody is not KeyCustody.CLIENT:
                raise Conflict("custody", "the server makes and seals this room's keys")
            newest = snapshot.key.version
            if not 1 <= version <= newest + 1:
                raise Invalid("version", f"must be from 1 to {newest + 1}: the newest is {newest}")
            _check_sealed(sealed)
            if not sealed.keys() <= members.keys():
                raise NotFound("member")
            events: list[Event] = []
            writes: list[Write] = []
            if version > newest:
                events.append(RoomKeyChanged(room_id=room_id, version=version))
                writes.append(InsertKeyVersion(room_id=room_id, version=version, made_by=caller))
            else:
                replaced = await self._replaced(room_id, members[caller], version, sealed, members)
                events += [MemberKeyReplaced(room_id=room_id, user_id=each, version=version) for each in replaced]
            now = self._clock()
            writes += [
                PutMemberKey(
                    key=MemberKey(
                        room_id=room_id,
                        version=version,
                        user_id=user_id,
                        sealed=text,
                        sealed_by=caller,
                        created_us=now,
                    )
                )
                for user_id, text in sealed.items()
            ]
            with trio.CancelScope(shield=True):  # what comes after the lock has to see it, also when the caller is gone
                try:
                    await self._commits.commit(writes, events)
                except WriteRejected:
                    raise NotFound("room") from None  # it was deleted at this very moment

    # --- rotation ---

    async def take_out(
        self,
        room_id: RoomId,
        command: RemoveMember | BanMember,
        ask: Callable[[RoomId, RoomCommand], Awaitable[object]],
    ) -> object:
        """`ask` a room to do what ends a membership; in server custody, with the key that it is to have afterwards.

        The room refuses a key of the wrong version by `Conflict("room_key")`: then another is made. Returns the room's
        answer. Raises what `ask` raises, `KeysUnavailable`, and `Overloaded` when the version keeps changing.
        """
        room = (await self._store.access(room_id, command.caller)).room
        if room is None or room.custody is KeyCustody.CLIENT:
            return await ask(room_id, command)
        async with self._lock(room_id):
            for _ in range(ROTATION_ATTEMPTS):
                try:
                    return await ask(room_id, replace(command, next_key=await self._next_key(room_id)))
                except Conflict as clash:
                    if clash.what != "room_key":
                        raise
        raise Overloaded("the room's key keeps changing")

    # --- pieces ---

    async def _next_key(self, room_id: RoomId) -> RoomKey:
        versions = await self._store.room_keys(room_id)
        if versions:
            self._opened(versions[-1])  # a new version under another master key than the old ones helps nobody
        newest = versions[-1].version if versions else 0
        return _new_version(self._needed_master(), room_id, newest + 1, self._clock())

    async def _key(self, room_id: RoomId, version: int) -> bytes:
        """One version of a room's key. Raises `CannotDecrypt` when there is none such, `KeysUnavailable`."""
        key = self._open.pop((room_id, version), None)
        if key is None:
            versions = await self._store.room_keys(room_id)
            found = next((each for each in versions if each.version == version), None)
            if found is None:
                newest = versions[-1].version if versions else 0
                raise CannotDecrypt(f"the room's key has no version {version}: the newest is {newest}")
            key = self._opened(found)
        while len(self._open) >= CACHED_KEYS:
            del self._open[next(iter(self._open))]
        self._open[room_id, version] = key  # at the end: the one used longest ago is first
        return key

    def _opened(self, key: RoomKey) -> bytes:
        try:
            return self._needed_master().open(key)
        except WrongMasterKey:
            log.error("room key does not open: is the master key another one?", room=key.room_id, version=key.version)
            raise KeysUnavailable("the server cannot open this room's keys") from None

    def _needed_master(self) -> MasterKey:
        if self._master is None:
            log.error("there are rooms in server custody, and no master key was given")
            raise KeysUnavailable("the server cannot open this room's keys")
        return self._master

    def _lock(self, room_id: RoomId) -> trio.Lock:
        return self._locks.setdefault(room_id, trio.Lock())

    async def _replaced(
        self,
        room_id: RoomId,
        caller: Member,
        version: int,
        sealed: Mapping[UserId, str],
        members: Mapping[UserId, Member],
    ) -> list[UserId]:
        """Whose keys of an older version these would replace, but for the caller's own.

        Raises `Conflict("key")` for one that the caller may not replace.
        """
        trusted = caller.role >= Role.ADMIN or caller.user_id == await self._store.key_maker(room_id, version)
        replaced: list[UserId] = []
        for user_id in sealed:
            if user_id == caller.user_id:
                continue
            stored = await self._store.member_keys(room_id, user_id)
            key = next((each for each in stored if each.version == version), None)
            if key is None:
                continue
            mine = key.sealed_by == caller.user_id or key.sealed_by not in members
            if not (mine or (trusted and key.sealed_by != user_id)):
                raise Conflict("key", f"user {user_id} has version {version} already, from another member")
            if key.sealed != sealed[user_id]:
                replaced.append(user_id)
        return replaced


def _new_version(master: MasterKey, room_id: RoomId, version: int, created_us: int) -> RoomKey:
    sealed = master.seal(room_id, version, make_key())
    return RoomKey(room_id=room_id, version=version, sealed=sealed, created_us=created_us)


def _check_sealed(sealed: Mapping[UserId, str]) -> None:
    if not 1 <= len(sealed) <= MOST_KEYS_AT_ONCE:
        raise Invalid("sealed", f"must be for 1 to {MOST_KEYS_AT_ONCE} members")
    for text in sealed.values():
        if not 1 <= len(text) <= MOST_SEALED_CHARACTERS or not text.isascii() or not text.isprintable():
            raise Invalid("sealed", f"must be 1 to {MOST_SEALED_CHARACTERS} printable ASCII characters, such as Base64")


def _check_kept(sealed: Sealed) -> None:
    """Refuse what is not content at all, whoever holds the key. (What cannot be stored, the engine refuses.)"""
    if not 0 <= sealed.key_version <= MOST_VERSION:
        raise Invalid("key_version", f"must be from 0 to {MOST_VERSION}")
    if len(sealed.iv) > MOST_IV_CHARACTERS:
        raise Invalid("iv", f"has more than {MOST_IV_CHARACTERS} characters")


def _bounded(text: str, most_characters: int) -> str:
    if len(text) > most_characters:
        raise _too_long(most_characters)
    return text


def _too_long(most_characters: int) -> Invalid:
    return Invalid("text", f"has more than {most_characters} characters", rule=Rule.LENGTH)
