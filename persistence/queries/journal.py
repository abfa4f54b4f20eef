"""The journal of messages that are not in their table yet."""

# Index: none
INSERT_ENTRY = "INSERT INTO journal (messages) VALUES ($1)"

# Everything that is there, once at the start.
# Index: none
# Scan: all of it is wanted
ENTRIES = "SELECT number, messages FROM journal WHERE quarantined = 0 ORDER BY number"

# Index: primary key
QUARANTINE = "UPDATE journal SET quarantined = 1 WHERE number = $1"

# Index: none
INSERT_QUARANTINED = "INSERT INTO journal (messages, quarantined) VALUES ($1, 1)"

# Index: none
# Scan: it is emptied as a whole
DELETE_FLUSHED = "DELETE FROM journal WHERE quarantined = 0"
