"""The journal of messages that are not in their table yet."""

# Index: none
INSERT_ENTRY = "INSERT INTO journal (messages) VALUES ($1)"

# Everything that is there, once at the start.
# Index: none
# Scan: all of it is wanted
ENTRIES = "SELECT number, messages FROM journal ORDER BY number"

# Index: none
# Scan: it is emptied as a whole
EMPTY = "DELETE FROM journal"
