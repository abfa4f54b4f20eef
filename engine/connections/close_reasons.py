"""Why the server ends a connection: stable codes in two groups, by what the client is to do next.

After a reason that says `reconnect`, the client comes back by itself, after a random moment, with the position that it
has. After any other, coming back in the same way ends in the same way: something has to change first (another token,
fewer connections, a client that keeps the protocol).
"""

import enum


class CloseReason(enum.Enum):
    """WebSocket close code, words for the client's log, and whether to reconnect. A code keeps its meaning for good:
    clients are written by it."""

    RESTART = (1012, "server is shutting down", True)
    INTERNAL_ERROR = (1011, "internal error", True)
    SLOW_CONSUMER = (4408, "slow consumer", True)
    PING_TIMEOUT = (4410, "no answer to pings", True)

    PROTOCOL_ERROR = (1002, "protocol error", False)
    INVALID_TEXT = (1007, "text is not valid UTF-8", False)
    TOO_BIG = (1009, "message too big", False)
    TOKEN_INVALID = (4401, "token expired or revoked", False)
    NOT_ALLOWED = (4403, "no longer allowed", False)
    TOO_MANY = (4409, "too many connections", False)
    FLOOD = (4429, "too many commands", False)

    def __init__(self, code: int, text: str, reconnect: bool) -> None:
        self.code = code
        self.text = text
        self.reconnect = reconnect
