"""What a worker process and whoever calls it have to agree on: see `workers.process` and `workers.main`.

A call is a length and so many bytes; an answer is an `Outcome`, a length, and so many bytes.
"""

import enum
import struct
from typing import Final

CALL: Final = struct.Struct(">Q")
"""A call's length, which stands before it."""
ANSWER: Final = struct.Struct(">BQ")
"""An answer's outcome and length, which stand before it."""


class Outcome(enum.IntEnum):
    """How a call went."""

    ANSWERED = 0
    """The answer is what the function returned."""
    REFUSED = 1
    """The answer is the text of a `CallRefused`, in UTF-8."""
    OUT_OF_MEMORY = 2
    """The function needed more than the process may have. The answer is empty."""


class CallRefused(Exception):
    """A function raises this for what it cannot do. Its text is for the caller."""
