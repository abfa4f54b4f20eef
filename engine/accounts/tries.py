"""Tries to log in and to register: whose turn it is, and who has to wait because too many have failed.

A *source* is where a request comes from, in whatever words its front has for that; "" is unknown. Three lanes keep the
tries apart: registrations, log-ins to accounts that proved themselves from the same source before, and all other
log-ins. In all of them sources take turns; among what comes from one source known accounts take turns, and the rest
is served in order. Each lane does one thing at a time, since hashing takes nearly all of it: so each failure is counted
before the next try of its kind begins, and a crowd in one lane leaves the others a third of the hashing each.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import trio

from chinwag.engine.accounts.guesses import Failures, Guesses, GuessRules
from chinwag.engine.model.addresses import identifier_key
from chinwag.engine.model.errors import TooManyTries, Unauthenticated
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.values import User
from chinwag.engine.workers.lanes import FairLane

WAITING = 256
"""Places to wait in each lane: the last of them is served after some seven seconds."""
WAITING_OF_ACCOUNT = 16
"""Of one known account: nobody logs in so often at once."""


class Tries:
    """All tries of one engine."""

    def __init__(self, rules: GuessRules | None, *, clock: Callable[[], float] = trio.current_time) -> None:
        """Without rules nobody has to wait but for their turn. `clock` gives seconds, and never goes back."""
        self._limited = rules is not None
        self._clock = clock
        rules = rules or GuessRules()
        self._guesses = Guesses(rules)
        self._shared = Failures(rules, forget_s=rules.forget_s)
        self._registrations = Failures(rules, forget_s=rules.forget_source_s)
        self._key = secrets.token_bytes(16)
        self._known_lane = FairLane("known log-in", at_once=1, waiting=WAITING, waiting_per_key=WAITING_OF_ACCOUNT)
        self._other_lane = FairLane("log-in", at_once=1, waiting=WAITING, waiting_per_key=WAITING)
        self._registration_lane = FairLane("registration", at_once=1, waiting=WAITING, waiting_per_key=WAITING)
        self.failed = 0
        """Tries that were made, and failed."""

    @property
    def lanes(self) -> tuple[FairLane, ...]:
        """Those that there are, for whoever watches them."""
        return self._known_lane, self._other_lane, self._registration_lane

    @asynccontextmanager
    async def log_in(self, identifier: str, source: str) -> AsyncIterator[None]:
        """Look whether somebody is who they say within the block, once it is their turn. `Unauthenticated` raised in it
        is a failure, which counts; its end without an error a success.

        Raises `TooManyTries` and `Overloaded` before the block. Unknown identifiers count as accounts do.
        """
        account = self._account(identifier)
        self._insist(self._guesses.wait_s(account, source, self._clock()))
        known = self._guesses.knows(account, source)
        async with self._known_lane.turn(account, group=source) if known else self._other_lane.turn(source):
            self._insist(self._guesses.wait_s(account, source, self._clock()))  # others have failed meanwhile
            try:
                yield
            except Unauthenticated:
                self.failed += 1
                self._guesses.failed(account, source, self._clock())
                raise
            self._guesses.proved(account, source)

    @contextmanager
    def shared(self, user_ids: Sequence[UserId], source: str) -> Iterator[None]:
        """Within `log_in`, with the accounts that the identifier leads to. More than one are from former releases.

        Then failures count for each of them as well: or who has one of these accounts could guess at the other, since
        whenever they log in themselves the identifier's count begins anew. Raises `TooManyTries` before the block.
        """
        pairs = [(user_id, source) for user_id in user_ids] if len(user_ids) > 1 else []
        for pair in pairs:
            self._insist(self._shared.wait_s(pair, self._clock()))
        try:
            yield
        except Unauthenticated:
            for pair in pairs:
                self._shared.add(pair, self._clock())
            raise

    def proved(self, user: User, source: str) -> None:
        """Somebody proved from this source that they are this user: it is known from now on, by all their names."""
        for name in _names(user):
            self._guesses.proved(self._account(name), source)

    @asynccontextmanager
    async def registration(self, source: str) -> AsyncIterator[None]:
        """Do what a registration costs within the block, once it is the source's turn.

        Raises `TooManyTries` and `Overloaded` before it.
        """
        self._insist(self._registrations.wait_s(source, self._clock()))
        async with self._registration_lane.turn(source):
            self._insist(self._registrations.wait_s(source, self._clock()))
            yield

    def taken(self, source: str) -> None:
        """A registration was for a name or an address that somebody has: it may have been asked to learn just that."""
        self.failed += 1
        if source:
            self._registrations.add(source, self._clock())

    def _insist(self, wait_s: float) -> None:
        if wait_s > 0 and self._limited:
            raise TooManyTries(wait_s)

    def _account(self, identifier: str) -> bytes:
        """What an account is remembered by: of bounded length, whatever was typed, and no list of names."""
        return hashlib.blake2b(
            identifier_key(identifier).encode("utf-8", "replace"), digest_size=16, key=self._key
        ).digest()


def _names(user: User) -> Iterable[str]:
    """What a user may log in by."""
    return (user.username,) if user.email is None else (user.username, user.email)
