"""The SQL, by area, as named constants.

Every query lists its columns, binds its parameters as `$1`, `$2`, … and breaks ties in its ORDER BY. The comment above
it says what it uses: `Index:` names the indexes that its plan searches by ("primary key" for a table's own), `Scan:`
says why it may walk something from end to end, `Sort:` why it sorts. A test reads these comments and asks SQLite for
the plan.
"""

import functools
import re


@functools.cache
def sqlite_text(query: str) -> str:
    """A query as SQLite takes it: `?1` for `$1`."""
    return re.sub(r"\$(\d+)", r"?\1", query)
