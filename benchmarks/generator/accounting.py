"""Who got what: the generator's books on one room.

All members of a room should get the same messages in the same order, mostly in the same bytes. So the first one to get
a message has it parsed, its number checked, and its bytes noted down in the room's record; everybody else's bytes are
compared with the record, which costs next to nothing. Where they differ (a ping in between, another wording for
another member, or a fault), that member's frames are looked at one by one.

Promises: every connection's every message is checked; each message that was sent counts for each connection as
delivered once, or as lost, duplicated or out of order.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from chinwag.benchmarks.generator.frames import NUMBER, TEXT, server_frame

_TRIM_BYTES = 4 * 1024 * 1024
"""A record longer than this forgets what everybody has."""


@dataclass(slots=True)
class Faults:
    """What went wrong, in messages; `foreign` are messages that were never sent."""

    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    foreign: int = 0

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicated or self.reordered or self.foreign)

    def add(self, other: "Faults") -> None:
        """Add another account to this one."""
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.reordered += other.reordered
        self.foreign += other.foreign

    def __str__(self) -> str:
        if not self:
            return "none lost, none twice, all in order"
        return f"{self.lost} lost, {self.duplicated} twice, {self.reordered} out of order, {self.foreign} never sent"


@dataclass(slots=True)
class Member:
    """One connection's place in its room.

    `level` is the number that should come next. While `missing` is empty, all below it arrived once and in order.
    """

    room: "RoomBooks"
    level: int = 0
    position: int = 0
    """The byte of the record that should come next; -1 where the record does not reach."""
    rest: bytes = b""
    """The beginning of a frame that the record does not have."""
    missing: set[int] = field(default_factory=set)
    duplicated: int = 0
    reordered: int = 0
    foreign: int = 0

    def take(self, number: int, sent: int) -> None:
        """Note down one message."""
        if number == self.level and number < sent:
            self.level = number + 1
        elif number >= sent:
            self.foreign += 1
        elif number > self.level:
            self.missing.update(range(self.level, number))
            self.level = number + 1
        elif number in self.missing:
            self.missing.remove(number)
            self.reordered += 1
        else:
            self.duplicated += 1

    def faults(self, sent: int) -> Faults:
        """The account of this connection, when `sent` messages were sent and no more will come."""
        lost = len(self.missing) + sent - self.level
        return Faults(lost=lost, duplicated=self.duplicated, reordered=self.reordered, foreign=self.foreign)


class RoomBooks:
    """One room's record, and how far its members are. Who reads calls `feed`."""

    __slots__ = ("_at", "_base", "_data", "_end", "_ends", "complete", "members", "on_other", "sent")

    def __init__(self, on_other: Callable[[Member, int, bytes], None]) -> None:
        """`on_other(member, opcode, payload)` is told of every frame that is not a numbered message."""
        self.members: list[Member] = []
        self.sent = 0
        """How many messages were sent: numbers from 0 on."""
        self.complete = 0
        """Messages below this number were delivered to all members (or are known to be lost)."""
        self.on_other = on_other
        self._data = bytearray()
        self._base = 0  # position of the record's first byte that is still kept
        self._end = 0  # position behind its last
        self._ends: list[int] = []  # position behind each message
        self._at = [0]  # how many members are at each level

    def join(self) -> Member:
        """One more member, before anything is sent."""
        member = Member(self)
        self.members.append(member)
        self._at[0] += 1
        return member

    def faults(self) -> Faults:
        """All members' accounts together."""
        total = Faults()
        for member in self.members:
            total.add(member.faults(self.sent))
        return total

    def delivered(self) -> int:
        """Single deliveries so far."""
        return sum(member.level - len(member.missing) for member in self.members)

    def feed(self, member: Member, data: memoryview) -> bool:
        """Take what one member's socket gave. Returns whether `complete` rose."""
        if member.rest:
            data = memoryview(member.rest + data)
            member.rest = b""
        position = member.position
        if position < 0:
            return self._read(member, bytes(data))
        # What everybody else got too, whole: the common case, and the only one that has to be fast.
        if self._data.startswith(data, position - self._base):
            position += len(data)
            member.position = position
            level = len(self._ends) if position == self._end else bisect_right(self._ends, position)
            if level == member.level:
                return False
            old, member.level = member.level, level
            return self._moved(old, level)
        known = min(len(data), self._end - position)
        if self._data.startswith(data[:known], position - self._base):
            fresh = bytes(data[known:])  # from here on the record has nothing: a frame begins
            return self._read(member, fresh, len(self._ends))
        start = self._ends[member.level - 1] if member.level else 0
        return self._read(member, bytes(self._data[start - self._base : position - self._base]) + data)

    def _read(self, member: Member, data: bytes, level: int | None = None) -> bool:
        """Frame by frame, from the beginning of one. `level`: how far the bytes before have brought the member."""
        old = member.level
        if level is not None:
            member.level = level
        start = self._take_in_order(member, data)
        while (found := server_frame(data, start)) is not None:
            opcode, begin, end = found
            match = NUMBER.search(data, begin, end) if opcode == TEXT else None
            if match is None:
                self.on_other(member, opcode, data[begin:end])
            else:
                number = int(match[1])
                member.take(number, self.sent)
                if number == len(self._ends) and member.level == number + 1:
                    self._note(data[start:end])
            start = end
        member.rest = data[start:]
        count = len(self._ends)
        if member.level > count:
            member.position = -1
        elif member.level == count:
            member.position = self._end
        else:
            member.position = self._ends[member.level - 1] if member.level else 0
            if member.position < self._base:  # already forgotten: only a member that lost something is behind so far
                member.position = -1
            elif member.rest:  # it may be a beginning that the record knows
                rest, member.rest = member.rest, b""
                if self._data.startswith(rest, member.position - self._base):
                    member.position += len(rest)
                else:
                    member.rest = rest
        return member.level != old and self._moved(old, member.level)

    def _take_in_order(self, member: Member, data: bytes) -> int:
        """Add whole frames to the record at once, when they are exactly what should come; returns where they end.

        One pass over the lengths and one search for all numbers: a tenth of the cost of frame by frame.
        """
        count = len(self._ends)
        if member.level != count:
            return 0
        ends: list[int] = []
        add = ends.append
        start, size = 0, len(data)
        while size - start > 4 and data[start] == 0x81:
            length = data[start + 1]
            if length < 126:
                stop = start + 2 + length
            elif length == 126:
                stop = start + 4 + (data[start + 2] << 8 | data[start + 3])
            else:
                break
            if stop > size:
                break
            add(stop)
            start = stop
        stop_number = count + len(ends)
        if not ends or stop_number > self.sent:
            return 0
        found = NUMBER.findall(data, 0, start)
        if list(map(int, found)) != list(range(count, stop_number)):
            return 0
        base = self._end
        self._ends += [base + end for end in ends] if base else ends
        self._data += data[:start]
        self._end = base + start
        self._at += [0] * (stop_number + 1 - len(self._at))
        member.level = stop_number
        return start

    def _note(self, frame: bytes) -> None:
        self._data += frame
        self._end += len(frame)
        self._ends.append(self._end)

    def _moved(self, old: int, level: int) -> bool:
        at = self._at
        if level >= len(at):
            at += [0] * (level + 1 - len(at))
        at[old] -= 1
        at[level] += 1
        if at[old] or old != self.complete:
            return False
        lowest = old
        while not at[lowest]:
            lowest += 1
        self.complete = lowest
        if len(self._data) > _TRIM_BYTES:
            self._trim(lowest)
        return True

    def _trim(self, lowest: int) -> None:
        """Forget the record before the member that is furthest behind."""
        keep = self._ends[lowest - 1] if 0 < lowest <= len(self._ends) else self._base
        if keep > self._base:
            del self._data[: keep - self._base]
            self._base = keep
