"""Passwords: argon2id in worker threads, a bounded number at once."""

from typing import Protocol

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chinwag.engine.errors import Overloaded


class Passwords(Protocol):
    """Hashes and verifies. Both take long on purpose, and wait for their turn."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, hashed: str, password: str) -> bool: ...


class Argon2Passwords:
    """argon2id with the memory-hard minimum that OWASP recommends (19 MiB, 2 passes, 1 lane).

    At most `at_once` hashes run, each in a thread of its own, and at most `waiting` more wait; beyond that the caller
    is `Overloaded`, since a log-in that waits for minutes serves nobody.
    """

    def __init__(self, *, at_once: int = 2, waiting: int = 256) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._limiter = trio.CapacityLimiter(at_once)
        self._waiting = waiting

    async def hash(self, password: str) -> str:
        """The hash to store, with its parameters and salt. Raises `Overloaded`."""
        self._admit()
        return await trio.to_thread.run_sync(self._hasher.hash, password, limiter=self._limiter)

    async def verify(self, hashed: str, password: str) -> bool:
        """Whether the password is the one that was hashed. Raises `Overloaded`."""
        self._admit()
        return await trio.to_thread.run_sync(self._verify, hashed, password, limiter=self._limiter)

    def _admit(self) -> None:
        if self._limiter.statistics().tasks_waiting >= self._waiting:
            raise Overloaded("too many log-ins at once")

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False
