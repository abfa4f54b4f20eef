"""The sweep of blobs that no row names: what a crash left between a file's bytes and its row, or after its row."""

from collections.abc import Collection
from typing import Final

import structlog

from chinwag.engine.files.blobs import Blobs
from chinwag.engine.life.jobs import Job, More
from chinwag.engine.model.clock import Clock
from chinwag.engine.model.commits import Commits
from chinwag.engine.model.store import Store
from chinwag.engine.model.store_jobs import SetCursor

log = structlog.get_logger("chinwag.engine")

NAME: Final = "blob_sweep"
LEAST_AGE_US: Final = 86_400 * 1_000_000
"""None is deleted that is younger, so that a mistake in restoring a backup can be noticed."""
AT_ONCE: Final = 500
EVERY_S: Final = 86_400.0
FIRST_S: Final = 3_600.0
"""After the start: who has put back the wrong database, or the wrong files, sees it before that."""


class BlobSweep:
    """Goes through all blobs by name, once a day. Its cursor is the last that it looked at, "" between two rounds."""

    def __init__(
        self,
        store: Store,
        commits: Commits,
        blobs: Blobs,
        *,
        under_way: Collection[str],
        clock: Clock,
        at_once: int = AT_ONCE,
    ) -> None:
        """`under_way` are, at any moment, the names that a row may be about to name. `at_once`: blobs of a step."""
        self._store = store
        self._commits = commits
        self._blobs = blobs
        self._under_way = under_way
        self._clock = clock
        self._at_once = at_once

    def job(self) -> Job:
        """The sweep as a job of the engine's."""
        return Job(NAME, self.step, every_s=EVERY_S, first_s=FIRST_S)

    async def step(self) -> More:
        """Look at the next blobs. Raises `StoreUnavailable`, and is then to be done again."""
        after = await self._store.cursor(NAME) or ""
        listed = await self._blobs.listing(after=after, limit=self._at_once)
        before_us = self._clock() - LEAST_AGE_US
        # What is not under way at this moment, and has no row at a later one, never gets one: a name is given once.
        old = [blob.name for blob in listed if blob.written_us < before_us and blob.name not in self._under_way]
        unnamed = set(old) - await self._store.named_blobs(old) if old else set()
        for name in sorted(unnamed):
            await self._blobs.delete(name)
        if unnamed:
            log.info("blobs without a file deleted", blobs=len(unnamed))
        more = len(listed) == self._at_once
        position = listed[-1].name if more else ""
        if position != after:
            await self._commits.commit([SetCursor(name=NAME, position=position)])
        return More.NOW if more else More.LATER
