"""Messages of a room."""

MESSAGE_COLUMNS = """
m.id, m.room_id, m.seq, m.author_id, u.username, m.text, m.created_us, m.attachments, m.key, m.edited_us, m.deleted_us,
m.extras, u.display_name, u.avatar_url
""".strip()
MESSAGES = f"SELECT {MESSAGE_COLUMNS} FROM messages AS m LEFT JOIN users AS u ON u.id = m.author_id"
_KEYED = f"SELECT {MESSAGE_COLUMNS}, m.digest FROM messages AS m LEFT JOIN users AS u ON u.id = m.author_id"

# Index: messages_by_id
MESSAGE = f"{MESSAGES} WHERE m.id = $2 AND m.room_id = $1"

# A living message whose room is not known, for one who is in it ($2).
# Index: messages_by_id, members_by_room
FIND = f"""
{MESSAGES}
JOIN members AS mm ON mm.room_id = m.room_id AND mm.user_id = $2
WHERE m.id = $1 AND m.deleted_us IS NULL
"""

# Index: messages_by_key
KEYED_MESSAGE = f"{_KEYED} WHERE m.room_id = $1 AND m.author_id = $2 AND m.key = $3"

# Index: messages_by_key
ID_OF_KEYED = "SELECT id FROM messages WHERE room_id = $1 AND author_id = $2 AND key = $3"

# Of a room that exists: 0 before its first message.
# Index: primary key, messages_by_seq
LAST_SEQ_IN_ROOM = """
SELECT coalesce((SELECT m.seq FROM messages AS m WHERE m.room_id = r.id ORDER BY m.seq DESC LIMIT 1), 0)
FROM rooms AS r
WHERE r.id = $1
"""

# Index: messages_by_id
# Scan: reads one entry, the last of the index
LAST_ID = "SELECT coalesce((SELECT id FROM messages ORDER BY id DESC LIMIT 1), 0)"

# Index: messages_by_seq
LAST_SEQ = "SELECT seq FROM messages WHERE room_id = $1 ORDER BY seq DESC LIMIT 1"

# The newest, tombstones too: what a room actor starts from.
# Index: messages_by_seq
RECENT = f"{_KEYED} WHERE m.room_id = $1 ORDER BY m.seq DESC LIMIT $2"

# A number to skip is what the fronts are asked for; it costs a walk over what is skipped.
# Index: messages_by_seq
HISTORY = f"{MESSAGES} WHERE m.room_id = $1 AND m.deleted_us IS NULL ORDER BY m.seq DESC LIMIT $2 OFFSET $3"

# When a room's message with a sequence was made, or the next one after it.
# Index: messages_by_seq
CREATED_FROM_SEQ = "SELECT created_us FROM messages WHERE room_id = $1 AND seq >= $2 ORDER BY seq LIMIT 1"

# A part of the history: after $2 and up to $3, both sequences.
# Index: messages_by_seq
HISTORY_BETWEEN = f"""
{MESSAGES}
WHERE m.room_id = $1 AND m.seq > $2 AND m.seq <= $3 AND m.deleted_us IS NULL
ORDER BY m.seq DESC
LIMIT $4
OFFSET $5
"""

# How many tombstones there are in such a part. In the index alone.
# Index: messages_deleted
TOMBSTONES_BETWEEN = """
SELECT count(*) FROM messages WHERE room_id = $1 AND seq > $2 AND seq <= $3 AND deleted_us IS NOT NULL
"""

# Whether such a part has a message that the server cannot read: sealed, and without a text. A part of few messages
# without a text is all that is looked at.
# Index: messages_textless
OPAQUE_BETWEEN = """
SELECT 1 FROM messages
WHERE room_id = $1 AND seq > $2 AND seq <= $3 AND text = '' AND extras IS NOT NULL AND extras LIKE '%"sealed":{%'
LIMIT 1
"""

# How many living messages of others than a user ($3) come after a sequence ($2), counted up to $4. What the room says
# itself is not among them: 3 is `MessageKind.SYSTEM`, and `kind` comes first in `extras` where it is there.
# Index: messages_by_seq
# Scan: counts what the inner query finds
UNREAD = """
SELECT count(*)
FROM (
    SELECT 1
    FROM messages
    WHERE room_id = $1 AND seq > $2 AND author_id <> $3 AND deleted_us IS NULL
    AND (extras IS NULL OR extras NOT LIKE '{"kind":3%')
    LIMIT $4
) AS unread
"""

# When the room's last message was made, be it a tombstone.
# Index: messages_by_seq
LAST_CREATED = "SELECT created_us FROM messages WHERE room_id = $1 ORDER BY seq DESC LIMIT 1"

# Index: messages_by_id
SEQ_OF_LIVING = "SELECT seq FROM messages WHERE id = $2 AND room_id = $1 AND deleted_us IS NULL"

# Index: messages_by_seq
BEFORE = f"{MESSAGES} WHERE m.room_id = $1 AND m.seq < $2 AND m.deleted_us IS NULL ORDER BY m.seq DESC LIMIT $3"

# Index: messages_by_seq
FROM = f"{MESSAGES} WHERE m.room_id = $1 AND m.seq >= $2 AND m.deleted_us IS NULL ORDER BY m.seq LIMIT $3"

# Where a position ($1, a message's id) is, in the order of commit; only for one who is in that room ($2).
# Index: messages_by_id, members_by_room
POSITION = """
SELECT m.row
FROM messages AS m
JOIN members AS mm ON mm.room_id = m.room_id AND mm.user_id = $2
WHERE m.id = $1
"""

# Where in the order of commit the newest message up to an id is, in whose room it may be.
# Index: messages_by_id
POSITION_OF_MOMENT = "SELECT row FROM messages WHERE id <= $1 ORDER BY id DESC LIMIT 1"

# Where in the order of commit a room's message with a sequence is, or the next one after it. In the index alone, since
# its entries end in the row.
# Index: messages_by_seq
ROW_FROM_SEQ = "SELECT row FROM messages WHERE room_id = $1 AND seq >= $2 ORDER BY seq LIMIT 1"

# Index: none
INSERT_MESSAGE = """
INSERT INTO messages (
    row, id, room_id, seq, author_id, key, digest, text, folded, attachments, created_us, edited_us, deleted_us,
    extras
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

# Index: messages_by_id
UPDATE_MESSAGE = """
UPDATE messages SET text = $3, folded = $4, extras = $5, edited_us = $6
WHERE id = $2 AND room_id = $1 AND deleted_us IS NULL
"""

# Index: messages_by_id
SET_EXTRAS = "UPDATE messages SET extras = $3 WHERE id = $2 AND room_id = $1 AND deleted_us IS NULL"

# Index: messages_by_id
DELETE_MESSAGE = """
UPDATE messages SET text = '', folded = NULL, attachments = NULL, extras = NULL, deleted_us = $3
WHERE id = $2 AND room_id = $1 AND deleted_us IS NULL
"""

# The end of the table is one step away.
# Index: none
LAST_ROW = "SELECT coalesce(max(row), 0) FROM messages"
