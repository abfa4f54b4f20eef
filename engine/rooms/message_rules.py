"""The rules about messages: posting, changing, deleting, reacting, receipts."""

from msgspec.structs import replace

from chinwag.engine.model.commands import (
    AddReaction,
    AdvanceReceipts,
    DeleteMessage,
    EditMessage,
    Posted,
    PostMessage,
    RemoveReaction,
)
from chinwag.engine.model.emojis import emoji_of, reaction_of
from chinwag.engine.model.errors import CannotDecrypt, Conflict, Invalid, LimitReached, NotFound, NotTheAuthor
from chinwag.engine.model.events import MessageDeleted, MessageEdited, MessagePosted, ReactionAdded, ReactionRemoved
from chinwag.engine.model.ids import MessageId
from chinwag.engine.model.store import DeleteMessage as DeleteMessageRow
from chinwag.engine.model.store import InsertMessage, SetReactions, SetWatermarks, UpdateMessage
from chinwag.engine.model.values import KeyCustody, Member, Message, MessageKind, Reaction, Role, Sealed
from chinwag.engine.rooms.direct_rules import PairRules
from chinwag.engine.rooms.memory import Outcome

KEY_GRACE_US = 60_000_000
"""How long after a rotation a room still takes content under the version before: what was under way, or written by who
has not heard of it yet."""
MOST_REACTIONS = 500
"""On one message, of all users: they are read and sent together with it."""
MOST_EMOJI = 50
"""Different ones on one message."""

_SYSTEM = MessageKind.SYSTEM  # in Python 3.11 to look a member up in its class takes 0.2 µs


class MessageRules(PairRules):
    """A part of `RoomState`."""

    def _post(self, command: PostMessage, now_us: int) -> Outcome:
        author = self._members.get(command.author) or self._absent_author(command.author)
        if command.key is not None:
            first = self._keys.get((command.author, command.key))
            if first is not None:
                return self._repeat(command, *first)
        if command.sealed is not None:
            self._check_key(command.sealed, now_us)
        if command.reply_to is not None:
            self._living_message(command.reply_to)
        if command.kind is _SYSTEM:
            raise Invalid("kind", "system messages are written by the room itself")
        before = self._before_message(author, now_us) if self.incomplete or self._typing else None
        self._last_seq += 1
        message = Message(
            id=MessageId(self._new_id(now_us)),
            room_id=self.room.id,
            seq=self._last_seq,
            author_id=command.author,
            author_name=author.username,
            text=command.text,
            created_us=self._next_time(now_us),
            attachments=command.attachments,
            key=command.key,
            kind=command.kind,
            reply_to=command.reply_to,
            sealed=command.sealed,
            author_display_name=author.display_name,
            author_avatar_url=author.avatar_url,
        )
        self._remember(message, command.digest)
        outcome = Outcome(
            answer=Posted(message=message, receipts=self._receipts),
            events=(MessagePosted(room_id=self.room.id, message=message, room_kind=self.room.kind),),
            writes=(InsertMessage(message=message, digest=command.digest),),
        )
        return outcome if before is None else before.then(outcome)

    def _before_message(self, author: Member, now_us: int) -> Outcome:
        """What a message does besides being there: it brings back who has left a direct room, and ends typing."""
        returned = self._bring_back(now_us)
        return replace(returned, events=returned.events + self._end_typing(author))

    def _repeat(self, command: PostMessage, message_id: MessageId, digest: bytes | None) -> Outcome:
        if digest != command.digest:
            raise Conflict("idempotency_key", "this idempotency key was used for another message")
        message = self._message(message_id)
        return Outcome(answer=Posted(message=message, receipts=self._receipts, is_retry=True))

    def _edit(self, command: EditMessage, now_us: int) -> Outcome:
        self._member(command.caller)
        message = self._living_message(command.message_id)
        if message.author_id != command.caller:
            raise NotTheAuthor("only the author may edit a message")
        if message.kind is _SYSTEM:
            raise NotTheAuthor("a system message stays as it is")
        if command.sealed is not None:
            self._check_key(command.sealed, now_us)
        edited = replace(
            message,
            text=command.text,
            sealed=command.sealed,
            # Strictly later than the creation, so that readers can tell an edited message by its times alone.
            edited_us=max(now_us, message.created_us + 1),
        )
        self._put_back(edited)
        status = self._receipts.status_of(edited)
        return Outcome(
            answer=Posted(message=edited, receipts=self._receipts),
            events=(MessageEdited(room_id=self.room.id, message=edited, status=status),),
            writes=(UpdateMessage(message=edited),),
        )

    def _delete(self, command: DeleteMessage, now_us: int) -> Outcome:
        caller = self._member(command.caller)
        message = self._living_message(command.message_id)
        own = message.author_id == command.caller and message.kind is not _SYSTEM
        if not own and caller.role < Role.MODERATOR:
            raise NotTheAuthor("only the author or a moderator may delete a message")
        self._put_back(
            replace(
                message,
                text="",
                attachments=(),
                kind=MessageKind.TEXT,
                reply_to=None,
                sealed=None,
                reactions=(),
                deleted_us=now_us,
            )
        )
        return Outcome(
            events=(
                MessageDeleted(
                    room_id=self.room.id, message_id=message.id, author_id=message.author_id, seq=message.seq
                ),
            ),
            writes=(DeleteMessageRow(room_id=self.room.id, message_id=message.id, deleted_us=now_us),),
        )

    def _check_key(self, sealed: Sealed, now_us: int) -> None:
        """In server custody content is encrypted with the newest key; with the one before it for a moment longer."""
        newest = self._key.version
        if self.room.custody is KeyCustody.CLIENT or sealed.key_version in (0, newest):
            return
        if sealed.key_version != newest - 1 or now_us - self._key.changed_us > KEY_GRACE_US:
            raise CannotDecrypt(f"the room's key is version {newest}, not {sealed.key_version}")

    def _add_reaction(self, command: AddReaction, now_us: int) -> Outcome:
        member = self._member(command.caller)
        listed = emoji_of(command.emoji)
        if listed is None:
            raise Invalid("emoji", "must be one emoji")
        message = self._living_message(command.message_id)
        if reaction_of(message.reactions, command.caller, listed) is not None:
            return Outcome(answer=Posted(message=message, receipts=self._receipts))
        if len(message.reactions) >= MOST_REACTIONS:
            raise LimitReached("reactions", f"a message takes at most {MOST_REACTIONS} reactions")
        emoji = {each.emoji for each in message.reactions}
        if listed not in emoji and len(emoji) >= MOST_EMOJI:
            raise LimitReached("reactions", f"a message takes at most {MOST_EMOJI} different emoji")
        reaction = Reaction(user_id=member.user_id, username=member.username, emoji=listed, created_us=now_us)
        reacted = replace(message, reactions=(*message.reactions, reaction))
        self._put_back(reacted)
        return Outcome(
            answer=Posted(message=reacted, receipts=self._receipts),
            events=(ReactionAdded(room_id=self.room.id, message_id=message.id, reaction=reaction),),
            writes=(SetReactions(message=reacted),),
        )

    def _remove_reaction(self, command: RemoveReaction) -> Outcome:
        self._member(command.caller)
        message = self._living_message(command.message_id)
        reaction = reaction_of(message.reactions, command.caller, command.emoji)
        if reaction is None:
            raise NotFound("reaction")
        left = replace(message, reactions=tuple(each for each in message.reactions if each is not reaction))
        self._put_back(left)
        return Outcome(
            answer=Posted(message=left, receipts=self._receipts),
            events=(
                ReactionRemoved(
                    room_id=self.room.id, message_id=message.id, user_id=command.caller, emoji=reaction.emoji
                ),
            ),
            writes=(SetReactions(message=left),),
        )

    def _advance_receipts(self, command: AdvanceReceipts, now_us: int) -> Outcome:
        member = self._member(command.caller)
        seq = self._message(command.message_id).seq  # also of one that was deleted: it has its place
        delivered = max(member.delivered_seq, seq)
        read = max(member.read_seq, seq) if command.read else member.read_seq
        if (delivered, read) == (member.delivered_seq, member.read_seq):
            return Outcome()
        read_us = now_us if read > member.read_seq else None
        self._members[member.user_id] = replace(
            member,
            delivered_seq=delivered,
            read_seq=read,
            read_us=member.read_us if read_us is None else read_us,
        )
        write = SetWatermarks(
            room_id=self.room.id, user_id=member.user_id, delivered_seq=delivered, read_seq=read, read_us=read_us
        )
        before = self._receipts
        held_back = member.delivered_seq <= max(
            before.delivered.lowest, before.delivered.second
        ) or member.read_seq <= max(
            before.read.lowest, before.read.second
        )  # who was not among the last two of a floor cannot move it
        return Outcome(events=self._status_events() if held_back else (), writes=(write,))
