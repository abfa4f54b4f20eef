"""Search in SQLite: LIKE over a room's messages, and `message_index` to name the few that are worth comparing.

LIKE ignores the case of A to Z by itself, which is why `folded` may be NULL where folding does no more than that. An
index entry's rowid is a room's number and a message's sequence, `number << 32 | seq`; see the migration.

Lists of rooms are a JSON array `$1` of arrays `[room id, after, up to]`: sequences, or index entries. The queries that
return messages add `messages.row`, the order of commit, as their last column.
"""

from chinwag.persistence.queries.messages import MESSAGE_COLUMNS

CONTAINS = "coalesce(m.folded, m.text) LIKE $2 ESCAPE '\\'"
CONTAINS_LONG = "instr(coalesce(m.folded, lower(m.text)), $2) > 0"
"""The same for patterns over SQLite's limit for LIKE. It takes twice as long."""

_COLUMNS = f"{MESSAGE_COLUMNS}, m.row"
_FOUND = f"SELECT {_COLUMNS} FROM messages AS m LEFT JOIN users AS u ON u.id = m.author_id"
_REACH = """
SELECT mm.room_id, x.seq, x.row, r.number, coalesce(r.indexed_seq, 0)
FROM members AS mm
CROSS JOIN messages AS x
LEFT JOIN search_rooms AS r ON r.room_id = mm.room_id
WHERE x.room_id = mm.room_id
AND x.seq = (SELECT y.seq FROM messages AS y WHERE y.room_id = mm.room_id ORDER BY y.seq DESC LIMIT 1)
"""

# What the viewer ($1) may see: rooms, with the last sequence and row of each, and its part of the index.
# Index: members_by_user, messages_by_seq, search_rooms_by_room
# Sort: the viewer's rooms, the one with the newest message first
REACH = f"{_REACH} AND mm.user_id = $1 ORDER BY x.row DESC"

# The same for one room ($2).
# Index: members_by_room, messages_by_seq, search_rooms_by_room
REACH_IN_ROOM = f"{_REACH} AND mm.user_id = $1 AND mm.room_id = $2"

# A part of a room, newest first until there are enough.
# Index: messages_by_seq
IN_ROOM = f"""
{_FOUND}
WHERE m.room_id = $1 AND m.seq > $3 AND m.seq <= $4 AND m.deleted_us IS NULL AND {CONTAINS}
ORDER BY m.seq DESC
LIMIT $5
"""

# Parts of several rooms, of messages above a row ($3). The users are joined to what is kept, for many may be found.
# Index: messages_by_seq, primary key
# Scan: the list of rooms
# Sort: what was found there
IN_ROOMS = f"""
SELECT {_COLUMNS}
FROM (
    SELECT m.row AS row
    FROM json_each($1) AS j
    CROSS JOIN messages AS m ON m.room_id = j.value ->> 0 AND m.seq > j.value ->> 1 AND m.seq <= j.value ->> 2
    WHERE m.row > $3 AND m.deleted_us IS NULL AND {CONTAINS}
    ORDER BY m.row DESC
    LIMIT $4
) AS best
CROSS JOIN messages AS m ON m.row = best.row
LEFT JOIN users AS u ON u.id = m.author_id
"""

# All rooms of a viewer ($1) whose rooms hold a good part of all messages.
# Index: members_by_room
# Scan: newest first until there are enough
IN_ALL = f"""
{_FOUND}
WHERE m.deleted_us IS NULL
AND {CONTAINS}
AND EXISTS (SELECT 1 FROM members AS mm WHERE mm.room_id = m.room_id AND mm.user_id = $1)
ORDER BY m.row DESC
LIMIT $3
"""

# Whether a trigram ($1, quoted) has more than $4 entries above $2 and up to $3. It walks no further than that many,
# because it is one trigram: for a phrase, FTS5 would walk on until it found one, in whatever room. Upwards, because
# FTS5 takes ten times as long to begin at the end of a range.
# Index: VIRTUAL TABLE INDEX
MORE_ENTRIES = """
SELECT f.rowid
FROM message_index AS f
WHERE f.message_index MATCH $1 AND f.rowid > $2 AND f.rowid <= $3
ORDER BY f.rowid
LIMIT 1 OFFSET $4
"""

# The entries of a trigram ($6) in a room ($1), above $3 and up to $4, that do contain what is looked for.
# Index: VIRTUAL TABLE INDEX, messages_by_seq
# Sort: what was found there
ENTRIES_IN_ROOM = f"""
SELECT {_COLUMNS}
FROM message_index AS f
CROSS JOIN messages AS m ON m.room_id = $1 AND m.seq = f.rowid & 4294967295
LEFT JOIN users AS u ON u.id = m.author_id
WHERE f.message_index MATCH $6 AND f.rowid > $3 AND f.rowid <= $4
AND m.deleted_us IS NULL
AND {CONTAINS}
ORDER BY m.row DESC
LIMIT $5
"""

# The same for all rooms of a viewer ($1).
# Index: VIRTUAL TABLE INDEX, primary key, members_by_room, messages_by_seq
# Sort: what was found there
ENTRIES = f"""
SELECT {_COLUMNS}
FROM message_index AS f
CROSS JOIN search_rooms AS r ON r.number = f.rowid >> 32
CROSS JOIN members AS mm ON mm.room_id = r.room_id AND mm.user_id = $1
CROSS JOIN messages AS m ON m.room_id = r.room_id AND m.seq = f.rowid & 4294967295
LEFT JOIN users AS u ON u.id = m.author_id
WHERE f.message_index MATCH $4 AND m.deleted_us IS NULL AND {CONTAINS}
ORDER BY m.row DESC
LIMIT $3
"""

# Messages whose entries are stale, in parts of the index.
# Index: primary key, messages_by_seq
# Scan: the list of rooms
# Sort: what was found there
STALE = f"""
SELECT {_COLUMNS}
FROM json_each($1) AS j
CROSS JOIN search_stale AS s ON s.entry > j.value ->> 1 AND s.entry <= j.value ->> 2
CROSS JOIN messages AS m ON m.room_id = j.value ->> 0 AND m.seq = s.entry & 4294967295
LEFT JOIN users AS u ON u.id = m.author_id
WHERE m.deleted_us IS NULL AND {CONTAINS}
ORDER BY m.row DESC
LIMIT $3
"""

# --- writing ------------------------------------------------------------------------------------------------------

# Index: none
# Scan: one row
INDEXED_ROW = "SELECT indexed_row FROM search_state"

# A message ($1) whose entry in the index, if it has one, is wrong from now on.
# Index: messages_by_id, search_rooms_by_room
MARK_STALE = """
INSERT INTO search_stale (entry)
SELECT r.number << 32 | m.seq
FROM messages AS m
CROSS JOIN search_rooms AS r ON r.room_id = m.room_id AND m.seq <= r.indexed_seq
WHERE m.id = $1
ON CONFLICT (entry) DO NOTHING
"""

# The same for all messages of a room ($1).
# Index: search_rooms_by_room, messages_by_seq
MARK_ROOM_STALE = """
INSERT INTO search_stale (entry)
SELECT r.number << 32 | m.seq
FROM search_rooms AS r
CROSS JOIN messages AS m ON m.room_id = r.room_id AND m.seq <= r.indexed_seq
WHERE r.room_id = $1
ON CONFLICT (entry) DO NOTHING
"""

# Index: none
# Scan: counts the stale entries, which are few, when the store is opened
STALE_COUNT = "SELECT count(*) FROM search_stale"

# The last of the next $1 stale entries.
# Index: none
# Scan: over at most $1 rows
STALE_BOUND = "SELECT max(entry) FROM (SELECT entry FROM search_stale ORDER BY entry LIMIT $1) AS next"

# Index: primary key
DROP_STALE_ENTRIES = "DELETE FROM message_index WHERE rowid IN (SELECT entry FROM search_stale WHERE entry <= $1)"

# Index: primary key, messages_by_seq
INDEX_STALE = """
INSERT INTO message_index (rowid, folded)
SELECT s.entry, coalesce(m.folded, lower(m.text))
FROM search_stale AS s
CROSS JOIN search_rooms AS r ON r.number = s.entry >> 32
CROSS JOIN messages AS m ON m.room_id = r.room_id AND m.seq = s.entry & 4294967295
WHERE s.entry <= $1 AND m.deleted_us IS NULL
ORDER BY s.entry
"""

# Index: primary key
FORGET_STALE = "DELETE FROM search_stale WHERE entry <= $1"

# The next messages for the indexer, above the row $1 and up to $2, with their room's part of the index.
# Index: primary key, search_rooms_by_room
NEXT_MESSAGES = """
SELECT m.row, m.room_id, m.seq, r.number, r.indexed_seq
FROM messages AS m
LEFT JOIN search_rooms AS r ON r.room_id = m.room_id
WHERE m.row > $1 AND m.row <= $2
ORDER BY m.row
"""

# Index: none
ADD_ROOM = "INSERT INTO search_rooms (room_id, indexed_seq) VALUES ($1, 0) RETURNING number"

# Messages of rooms, in the order of the list: a JSON array of [number, room id, after, up to].
# Index: messages_by_seq
# Scan: the list of rooms
INDEX_MESSAGES = """
INSERT INTO message_index (rowid, folded)
SELECT (j.value ->> 0) << 32 | m.seq, coalesce(m.folded, lower(m.text))
FROM json_each($1) AS j
CROSS JOIN messages AS m ON m.room_id = j.value ->> 1 AND m.seq > j.value ->> 2 AND m.seq <= j.value ->> 3
WHERE m.deleted_us IS NULL
"""

# By the same list.
# Index: primary key
# Scan: the list of rooms
SET_INDEXED_SEQS = """
UPDATE search_rooms SET indexed_seq = j.value ->> 3 FROM json_each($1) AS j WHERE number = j.value ->> 0
"""

# Index: none
# Scan: one row
SET_INDEXED_ROW = "UPDATE search_state SET indexed_row = $1"
