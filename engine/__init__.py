"""The chat engine: rooms and sessions as actors over a store. Knows no HTTP and no SQL; embed it with `open_engine`.

What is exported is imported when it is first asked for: a worker process imports one module of the engine, and should
neither wait for the others nor hold them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chinwag.engine.accounts.log_ins import LogIn
    from chinwag.engine.connections.admission import Admission, Admitted
    from chinwag.engine.connections.close_reasons import CloseReason
    from chinwag.engine.connections.limits import SessionLimits
    from chinwag.engine.connections.session import Session
    from chinwag.engine.connections.transport import ConnectionLost, Transport
    from chinwag.engine.connections.wires import LINES, Carrier, Dialect, PersonalDialect, Wire
    from chinwag.engine.engine import Engine, EngineConfig, open_engine
    from chinwag.engine.life.jobs import Job, More
    from chinwag.engine.messages.messages import post_command
    from chinwag.engine.messages.resume import Replay
    from chinwag.engine.model.commits import Observer
    from chinwag.engine.model.errors import EngineError
    from chinwag.engine.model.ids import FamilyId, MessageId, RoomId, UserId

__all__ = [
    "LINES",
    "Admission",
    "Admitted",
    "Carrier",
    "CloseReason",
    "ConnectionLost",
    "Dialect",
    "Engine",
    "EngineConfig",
    "EngineError",
    "FamilyId",
    "Job",
    "LogIn",
    "MessageId",
    "More",
    "Observer",
    "PersonalDialect",
    "Replay",
    "RoomId",
    "Session",
    "SessionLimits",
    "Transport",
    "UserId",
    "Wire",
    "open_engine",
    "post_command",
]

_MODULES = {
    "accounts.log_ins": ("LogIn",),
    "connections.admission": ("Admission", "Admitted"),
    "connections.close_reasons": ("CloseReason",),
    "connections.limits": ("SessionLimits",),
    "connections.session": ("Session",),
    "connections.transport": ("ConnectionLost", "Transport"),
    "connections.wires": ("LINES", "Carrier", "Dialect", "PersonalDialect", "Wire"),
    "engine": ("Engine", "EngineConfig", "open_engine"),
    "life.jobs": ("Job", "More"),
    "messages.messages": ("post_command",),
    "messages.resume": ("Replay",),
    "model.commits": ("Observer",),
    "model.errors": ("EngineError",),
    "model.ids": ("FamilyId", "MessageId", "RoomId", "UserId"),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"chinwag.engine.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
