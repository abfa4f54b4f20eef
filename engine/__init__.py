"""The chat engine: rooms and sessions as actors over a store. Knows no HTTP and no SQL; embed it with `open_engine`."""

from chinwag.engine.connections import Connected
from chinwag.engine.engine import Engine, EngineConfig, open_engine, post_command
from chinwag.engine.errors import EngineError
from chinwag.engine.fanout import WireFormat
from chinwag.engine.ids import FamilyId, MessageId, RoomId, UserId
from chinwag.engine.resume import Replay
from chinwag.engine.session import Session, SessionLimits
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
