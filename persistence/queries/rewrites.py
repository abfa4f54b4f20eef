"""What is brought to another form behind the running server."""

# Index: none
# Scan: the few that are not through, once at the start
UNFINISHED = "SELECT name, after FROM rewrites"

# Index: primary key
IS_UNFINISHED = "SELECT 1 FROM rewrites WHERE name = $1"

# Index: primary key
ADVANCE = "UPDATE rewrites SET after = $2 WHERE name = $1"

# Index: primary key
FINISH = "DELETE FROM rewrites WHERE name = $1"

# How many of the next $2 messages there are above a row ($1), and the last of them.
# Index: primary key
# Scan: over at most $2 rows
NEXT_MESSAGES = """
SELECT count(*), max(row) FROM (SELECT m.row FROM messages AS m WHERE m.row > $1 ORDER BY m.row LIMIT $2) AS next
"""

# Messages above a row ($1) and up to another ($2) that have letters beyond ASCII: more bytes than characters. Those of
# kind SYSTEM have '' as what is compared.
# Index: primary key
MESSAGES_TO_FOLD = """
SELECT row, text, folded
FROM messages
WHERE row > $1 AND row <= $2 AND octet_length(text) > length(text) AND folded IS NOT ''
ORDER BY row
"""

# Other folded texts for messages: a JSON array ($1) of [row, folded].
# Index: primary key
# Scan: the list of rows
SET_FOLDED = """
UPDATE messages SET folded = j.value ->> 1 FROM json_each($1) AS j WHERE messages.row = j.value ->> 0
"""

# The entries in the search index that these messages have are wrong from now on.
# Index: primary key, search_rooms_by_room
# Scan: the list of rows
MARK_FOLDED_STALE = """
INSERT INTO search_stale (entry)
SELECT r.number << 32 | m.seq
FROM json_each($1) AS j
CROSS JOIN messages AS m ON m.row = j.value ->> 0
CROSS JOIN search_rooms AS r ON r.room_id = m.room_id AND m.seq <= r.indexed_seq
WHERE true
ON CONFLICT (entry) DO NOTHING
"""
