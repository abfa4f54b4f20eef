"""The journal of messages that are not in their table yet."""

# Index: none
INSERT_ENTRY = "INSERT INTO journal (messages) VALUES ($1)"

# Everything that is there, once at the start.
# Index: none
# Scan: all of it is wanted
ENTRIES = "SELECT number, messages FROM journal WHERE set_aside = 0 ORDER BY number"

# Index: primary key
SET_ASIDE = "UPDATE journal SET set_aside = 1 WHERE number = $1"

# Index: none
INSERT_ASIDE = "INSERT INTO journal (messages, set_aside) VALUES ($1, 1)"

# Index: none
# Scan: it is emptied as a whole
EMPTY = "DELETE FROM journal WHERE set_aside = 0"
