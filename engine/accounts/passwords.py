"""Passwords: argon2id in threads of low priority, a bounded number at once."""

from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chinwag.engine.workers.low_priority import LowPriorityThreads, cores

MOST_AT_ONCE = 2
"""More hashes at once would take memory and cores, and log few more people in: each is done in some 25 ms."""


class Passwords(Protocol):
    """Hashes and verifies. Both take long on purpose; who may have it done, and when, is decided in `tries`."""

    async def hash(self, password: str) -> str:
        """What to store of a password. Two hashes of one differ."""
        ...

    async def verify(self, hashed: str, password: str) -> bool:
        """Whether `hashed` was made of this password; False too for what is no hash."""
        ...


class Argon2Passwords:
    """argon2id with the memory-hard minimum that OWASP recommends (19 MiB, 2 passes, 1 lane).

    At most `at_once` hashes run, each in a thread of its own: one where there is a single core, which the event loop
    needs as well.
    """

    def __init__(self, *, at_once: int | None = None) -> None:
        """`at_once` None: as many as there are cores, and two at most."""
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = LowPriorityThreads(at_once or min(MOST_AT_ONCE, cores()), name="chinwag-password")

    async def hash(self, password: str) -> str:
        """The hash to store, with its parameters and salt."""
        return await self._threads.run(self._hasher.hash, password)

    async def verify(self, hashed: str, password: str) -> bool:
        """Whether the password is the one that was hashed."""
        return await self._threads.run(self._verify, hashed, password)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False
