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
SELECT row, id, text, folded
FROM messages
WHERE row > $1 AND row <= $2 AND octet_length(text) > length(text) AND folded IS NOT ''
ORDER BY row
"""

# Index: primary key
SET_FOLDED = "UPDATE messages SET folded = $2 WHERE row = $1"
