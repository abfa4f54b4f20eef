"""Search in SQLite: `instr` over a room's messages, and `message_index` to name the few that are worth comparing.

Compared are bytes of UTF-8, in which a text contains another just when its bytes do. That takes a third of the time of
comparing characters. An index entry's rowid is a room's number and a message's sequence, `number << 32 | seq`; see the
migration.

Lists of rooms are a JSON array `$1` of arrays `[room id, after, up to]`: sequences, or index entries. The queries that
find messages return `messages.row`, the order of commit, and nothing else: `FOUND` reads those that are kept.
"""

from chinwag.persistence.queries.messages import MESSAGE_COLUMNS

CONTAINS = "instr(CAST(coalesce(m.folded, lower(m.text)) AS BLOB), $2) > 0"

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
SELECT m.row
FROM messages AS m
WHERE m.room_id = $1 AND m.seq > $3 AND m.seq <= $4 AND m.deleted_us IS NULL AND {CONTAINS}
ORDER BY m.seq DESC
LIMIT $5
"""

# Parts of several rooms, of messages above a row ($3).
# Index: messages_by_seq
# Scan: the list of rooms
IN_ROOMS = f"""
SELECT m.row
FROM json_each($1) AS j
CROSS JOIN messages AS m ON m.room_id = j.value ->> 0 AND m.seq > j.value ->> 1 AND m.seq <= j.value ->> 2
WHERE m.row > $3 AND m.deleted_us IS NULL AND {CONTAINS}
"""

# All rooms of a viewer ($1) whose rooms hold a good part of all messages.
# Index: members_by_room
# Scan: newest first until there are enough
IN_ALL = f"""
SELECT m.row
FROM messages AS m
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

# The entries of a trigram ($5) in a room ($1), above $3 and up to $4, that do contain what is looked for.
# Index: VIRTUAL TABLE INDEX, messages_by_seq
ENTRIES_IN_ROOM = f"""
SELECT m.row
FROM message_index AS f
CROSS JOIN messages AS m ON m.room_id = $1 AND m.seq = f.rowid & 4294967295
WHERE f.message_index MATCH $5 AND f.rowid > $3 AND f.rowid <= $4
AND m.deleted_us IS NULL
AND {CONTAINS}
"""

# The same for all rooms of a viewer ($1).
# Index: VIRTUAL TABLE INDEX, primary key, members_by_room, messages_by_seq
ENTRIES = f"""
SELECT m.row
FROM message_index AS f
CROSS JOIN search_rooms AS r ON r.number = f.rowid >> 32
CROSS JOIN members AS mm ON mm.room_id = r.room_id AND mm.user_id = $1
CROSS JOIN messages AS m ON m.room_id = r.room_id AND m.seq = f.rowid & 4294967295
WHERE f.message_index MATCH $3 AND m.deleted_us IS NULL AND {CONTAINS}
"""

# Messages whose entries are stale, in parts of the index.
# Index: primary key, messages_by_seq
# Scan: the list of rooms
STALE = f"""
SELECT m.row
FROM json_each($1) AS j
CROSS JOIN search_stale AS s ON s.entry > j.value ->> 1 AND s.entry <= j.value ->> 2
CROSS JOIN messages AS m ON m.room_id = j.value ->> 0 AND m.seq = s.entry & 4294967295
WHERE m.deleted_us IS NULL AND {CONTAINS}
"""

# Messages by their rows, a JSON array, newest first; with what their text is compared by.
# Index: primary key
# Scan: the list of rows
# Sort: over these
FOUND = f"""
SELECT {MESSAGE_COLUMNS}, m.folded
FROM json_each($1) AS j
CROSS JOIN messages AS m ON m.row = j.value
LEFT JOIN users AS u ON u.id = m.author_id
ORDER BY m.row DESC
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

# The rooms of the messages above a row ($1) and up to $2, as one JSON array of [room id, number, after, up to]: those
# that have something to be indexed, and those without a number that enter the index with their message $3.
# Scan: the rooms that were found
# Index: primary key, search_rooms_by_room
# Sort: by room, and then by number, for FTS5 writes a segment whenever entries fall
NEXT_PARTS = """
SELECT json_group_array(json_array(p.room_id, p.number, p.after, p.last) ORDER BY p.number IS NULL, p.number, p.room_id)
FROM (
    SELECT m.room_id AS room_id, r.number AS number, coalesce(r.indexed_seq, 0) AS after, max(m.seq) AS last
    FROM messages AS m
    LEFT JOIN search_rooms AS r ON r.room_id = m.room_id
    WHERE m.row > $1 AND m.row <= $2
    GROUP BY m.room_id
) AS p
WHERE p.last > p.after AND (p.number IS NOT NULL OR p.last >= $3)
"""

# The rooms of such an array ($1) that have no number, in its order.
# Index: none
# Scan: the list of rooms
# Sort: it is in that order, as far as SQLite does not know
ADD_ROOMS = """
INSERT INTO search_rooms (room_id, indexed_seq)
SELECT j.value ->> 0, 0 FROM json_each($1) AS j WHERE j.value ->> 1 IS NULL ORDER BY j.key
"""

# The messages of such an array, in its order.
# Index: search_rooms_by_room, messages_by_seq
# Scan: the list of rooms
INDEX_MESSAGES = """
INSERT INTO message_index (rowid, folded)
SELECT r.number << 32 | m.seq, coalesce(m.folded, lower(m.text))
FROM json_each($1) AS j
CROSS JOIN search_rooms AS r ON r.room_id = j.value ->> 0
CROSS JOIN messages AS m ON m.room_id = j.value ->> 0 AND m.seq > j.value ->> 2 AND m.seq <= j.value ->> 3
WHERE m.deleted_us IS NULL
"""

# By the same array.
# Index: search_rooms_by_room
# Scan: the list of rooms
SET_INDEXED_SEQS = """
UPDATE search_rooms SET indexed_seq = j.value ->> 3 FROM json_each($1) AS j WHERE room_id = j.value ->> 0
"""

# Index: none
# Scan: one row
SET_INDEXED_ROW = "UPDATE search_state SET indexed_row = $1"
