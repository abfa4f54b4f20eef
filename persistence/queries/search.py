"""Search in SQLite: `message_index` up to a watermark, and LIKE for what it does not hold yet.

`$2` is what is looked for, case-folded: for the index a quoted phrase, for LIKE a pattern. LIKE ignores the case of A
to Z by itself, which is why `folded` may be NULL where folding does no more than that.
"""

from chinwag.persistence.queries.messages import MESSAGE_COLUMNS, MESSAGES

CONTAINS = "coalesce(m.folded, m.text) LIKE $2 ESCAPE '\\'"
CONTAINS_LONG = "instr(coalesce(m.folded, lower(m.text)), $2) > 0"
"""The same for patterns over SQLite's limit for LIKE. It takes twice as long."""

_MAY_SEE = "EXISTS (SELECT 1 FROM members AS mm WHERE mm.room_id = m.room_id AND mm.user_id = $1)"

# Index: none
# Scan: one row
INDEXED_ROW = "SELECT indexed_row FROM search_state"

# Newest first, in the order of commit, which is the order of ids. $3 is a room, NULL for all.
# Index: VIRTUAL TABLE INDEX, primary key, members_by_room
INDEXED = f"""
SELECT {MESSAGE_COLUMNS}
FROM message_index AS f
CROSS JOIN messages AS m ON m.row = f.rowid
LEFT JOIN users AS u ON u.id = m.author_id
WHERE f.message_index MATCH $2
AND ($3 IS NULL OR m.room_id = $3)
AND m.deleted_us IS NULL
AND f.rowid <= $4
AND NOT EXISTS (SELECT 1 FROM search_stale AS s WHERE s.row = f.rowid)
AND {_MAY_SEE}
ORDER BY f.rowid DESC
LIMIT $5
"""

# Index: primary key, members_by_room
TAIL = f"""
{MESSAGES}
WHERE m.row > $4
AND ($3 IS NULL OR m.room_id = $3)
AND m.deleted_us IS NULL
AND {CONTAINS}
AND {_MAY_SEE}
ORDER BY m.row DESC
LIMIT $5
"""

# Index: primary key, members_by_room
# Scan: over the stale rows, which are few
STALE = f"""
SELECT {MESSAGE_COLUMNS}
FROM search_stale AS s
CROSS JOIN messages AS m ON m.row = s.row
LEFT JOIN users AS u ON u.id = m.author_id
WHERE s.row <= $4
AND ($3 IS NULL OR m.room_id = $3)
AND m.deleted_us IS NULL
AND {CONTAINS}
AND {_MAY_SEE}
ORDER BY s.row DESC
LIMIT $5
"""

# Shorter than a trigram, one room: newest first until there are enough.
# Index: messages_by_seq, members_by_room
SHORT_IN_ROOM = f"""
{MESSAGES}
WHERE m.room_id = $3 AND m.deleted_us IS NULL AND {CONTAINS} AND {_MAY_SEE}
ORDER BY m.seq DESC
LIMIT $4
"""

# Shorter than a trigram, all rooms, when the viewer's hold a good part of all messages.
# Index: members_by_room
# Scan: newest first until there are enough; there is no index of one or two characters
SHORT_IN_ALL = f"""
{MESSAGES}
WHERE m.deleted_us IS NULL AND {CONTAINS} AND {_MAY_SEE}
ORDER BY m.row DESC
LIMIT $3
"""

# Shorter than a trigram, all rooms, when the viewer's hold few of all messages.
# Index: members_by_user, messages_by_seq
# Sort: over what was found there
SHORT_IN_OWN = f"""
SELECT {MESSAGE_COLUMNS}
FROM members AS mm
CROSS JOIN messages AS m ON m.room_id = mm.room_id
LEFT JOIN users AS u ON u.id = m.author_id
WHERE mm.user_id = $1 AND m.deleted_us IS NULL AND {CONTAINS}
ORDER BY m.row DESC
LIMIT $3
"""

# How many messages the viewer's rooms hold, tombstones too.
# Index: members_by_user, messages_by_seq
REACH = """
SELECT coalesce(sum((SELECT x.seq FROM messages AS x WHERE x.room_id = mm.room_id ORDER BY x.seq DESC LIMIT 1)), 0)
FROM members AS mm
WHERE mm.user_id = $1
"""

# --- writing ------------------------------------------------------------------------------------------------------

# A message ($1) whose entry in the index is wrong from now on.
# Index: messages_by_id
# Scan: one row
MARK_STALE = """
INSERT INTO search_stale (row)
SELECT m.row FROM messages AS m CROSS JOIN search_state AS s WHERE m.id = $1 AND m.row <= s.indexed_row
ON CONFLICT (row) DO NOTHING
"""

# The same for all messages of a room ($1).
# Index: messages_by_seq
# Scan: one row
MARK_ROOM_STALE = """
INSERT INTO search_stale (row)
SELECT m.row FROM messages AS m CROSS JOIN search_state AS s WHERE m.room_id = $1 AND m.row <= s.indexed_row
ON CONFLICT (row) DO NOTHING
"""

# Index: none
# Scan: counts the stale rows, which are few, when the store is opened
STALE_COUNT = "SELECT count(*) FROM search_stale"

# The last of the next $1 stale rows.
# Index: none
# Scan: over at most $1 rows
STALE_BOUND = "SELECT max(row) FROM (SELECT row FROM search_stale ORDER BY row LIMIT $1) AS next"

# Index: primary key
DROP_STALE_ENTRIES = "DELETE FROM message_index WHERE rowid IN (SELECT row FROM search_stale WHERE row <= $1)"

# Index: primary key
INDEX_STALE = """
INSERT INTO message_index (rowid, folded)
SELECT m.row, coalesce(m.folded, lower(m.text))
FROM search_stale AS s
CROSS JOIN messages AS m ON m.row = s.row
WHERE s.row <= $1 AND m.deleted_us IS NULL
ORDER BY s.row
"""

# Index: primary key
FORGET_STALE = "DELETE FROM search_stale WHERE row <= $1"

# Index: primary key
INDEX_TAIL = """
INSERT INTO message_index (rowid, folded)
SELECT m.row, coalesce(m.folded, lower(m.text))
FROM messages AS m
WHERE m.row > $1 AND m.row <= $2 AND m.deleted_us IS NULL
ORDER BY m.row
"""

# Index: none
# Scan: one row
SET_INDEXED_ROW = "UPDATE search_state SET indexed_row = $1"
