"""The chat engine: rooms and sessions as actors over a store. Knows no HTTP and no SQL; embed it with `open_engine`.

What is exported is imported when it is first asked for: a worker process imports one module of the engine, and should
neither wait for the others nor hold them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chinwag.engine.connections import Connected
    from chinwag.engine.engine import Engine, EngineConfig, open_engine, post_command
    from chinwag.engine.errors import EngineError
    from chinwag.engine.fanout import WireFormat
    from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId
    from chinwag.engine.resume import Replay
    from chinwag.engine.session import Session
    from chinwag.engine.session_limits import SessionLimits
    from chinwag.engine.transport import CloseReason, ConnectionLost, Transport

__all__ = [
    "CloseReason",
    "Connected",
    "ConnectionLost",
    "Engine",
    "EngineConfig",
    "EngineError",
    "FamilyId",
    "MessageId",
    "Replay",
    "RoomId",
    "Session",
    "SessionLimits",
    "Transport",
    "UserId",
    "WireFormat",
    "open_engine",
    "post_command",
]

_MODULES = {
    "connections": ("Connected",),
    "engine": ("Engine", "EngineConfig", "open_engine", "post_command"),
    "errors": ("EngineError",),
    "fanout": ("WireFormat",),
    "ids": ("FamilyId", "MessageId", "RoomId", "UserId"),
    "resume": ("Replay",),
    "session": ("Session",),
    "session_limits": ("SessionLimits",),
    "transport": ("CloseReason", "ConnectionLost", "Transport"),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"chinwag.engine.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
