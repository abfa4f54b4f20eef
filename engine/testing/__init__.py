"""Test helpers that ship with the engine: for its own tests, and for those of whoever embeds it."""

from chinwag.engine.testing.memory_store import MemoryStore
from chinwag.engine.testing.values import (
    make_ban,
    make_file,
    make_invitation,
    make_member,
    make_message,
    make_room,
    make_summary,
    make_user,
)

__all__ = [
    "MemoryStore",
    "make_ban",
    "make_file",
    "make_invitation",
    "make_member",
    "make_message",
    "make_room",
    "make_summary",
    "make_user",
]
