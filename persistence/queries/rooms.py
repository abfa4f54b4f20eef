"""Rooms and their members."""

ROOM_COLUMNS = """
r.id, r.kind, r.name, r.description, r.created_by, r.created_us, r.direct_key, r.private, r.max_members,
r.auto_summary, r.summary_threshold, r.custody, r.announces, r.updated_us
""".strip()
_MEMBER = """
m.user_id, u.username, m.role, m.joined_us, m.delivered_seq, m.read_seq, m.read_us, u.display_name, u.avatar_url
""".strip()

# Index: primary key
ROOM = f"SELECT {ROOM_COLUMNS} FROM rooms AS r WHERE r.id = $1"

# How a viewer ($2) stands to a room ($1): the member's columns are NULL for a stranger.
# Index: primary key, members_by_room
ACCESS = f"""
SELECT {ROOM_COLUMNS}, {_MEMBER}
FROM rooms AS r
LEFT JOIN members AS m ON m.room_id = r.id AND m.user_id = $2
LEFT JOIN users AS u ON u.id = m.user_id
WHERE r.id = $1
"""

# Index: rooms_by_direct_key
ROOM_BY_DIRECT_KEY = f"SELECT {ROOM_COLUMNS} FROM rooms AS r WHERE r.direct_key = $1"

# Open groups of one name; lower() knows ASCII alone in SQLite.
# Index: open_rooms_by_name
OPEN_NAMED = f"""
SELECT {ROOM_COLUMNS}
FROM rooms AS r
WHERE lower(r.name) = lower($1) AND r.private = 0 AND r.kind = 1
ORDER BY r.id
LIMIT $2
"""

# A room was last active when its last message was made, or else when it was: ids rise with time, and never tie.
# Index: members_by_user, primary key, messages_by_seq
# Sort: over the viewer's rooms alone
ROOMS_OF = f"""
SELECT {ROOM_COLUMNS}
FROM members AS m
JOIN rooms AS r ON r.id = m.room_id
WHERE m.user_id = $1
ORDER BY coalesce((SELECT x.id FROM messages AS x WHERE x.room_id = r.id ORDER BY x.seq DESC LIMIT 1), r.id) DESC
"""

# Index: members_by_user
ROOM_IDS_OF = "SELECT room_id FROM members WHERE user_id = $1"

# Index: members_by_room, primary key
# Sort: over one room's members, all of which are wanted
MEMBERS = f"""
SELECT {_MEMBER}
FROM members AS m
LEFT JOIN users AS u ON u.id = m.user_id
WHERE m.room_id = $1
ORDER BY m.joined_us, m.user_id
"""

# Index: members_by_room
# Sort: over one room's members, all of which are wanted
MEMBER_IDS = "SELECT user_id FROM members WHERE room_id = $1 ORDER BY joined_us, user_id"

# Everybody who shares a room with a user, without the user.
# Index: members_by_user, members_by_room
# Sort: who shares several rooms is wanted once
PEERS_OF = """
SELECT DISTINCT x.user_id
FROM members AS m
JOIN members AS x ON x.room_id = m.room_id
WHERE m.user_id = $1 AND x.user_id <> $1
"""

# Index: members_by_delivered
DELIVERED_FLOOR = """
SELECT delivered_seq, user_id FROM members WHERE room_id = $1 ORDER BY delivered_seq, user_id LIMIT 2
"""

# Index: members_by_read
READ_FLOOR = "SELECT read_seq, user_id FROM members WHERE room_id = $1 ORDER BY read_seq, user_id LIMIT 2"

# Index: none
INSERT_ROOM = """
INSERT INTO rooms (
    id, kind, name, description, created_by, created_us, direct_key, private, max_members,
    auto_summary, summary_threshold, custody, announces, updated_us
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

# Index: primary key
UPDATE_ROOM = """
UPDATE rooms
SET name = $2, description = $3, private = $4, max_members = $5, auto_summary = $6, summary_threshold = $7,
    custody = $8, announces = $9, updated_us = $10
WHERE id = $1
"""

# Index: members_by_room
DELETE_MEMBERS = "DELETE FROM members WHERE room_id = $1"

# Index: messages_by_seq
DELETE_MESSAGES = "DELETE FROM messages WHERE room_id = $1"

# Index: primary key
DELETE_ROOM = "DELETE FROM rooms WHERE id = $1"

# Keeps the highest id that goes with a room ($1), so that it is not given again.
# Index: messages_by_seq, invitations_by_room, bans_by_room, files_by_room, summaries_by_room
# Scan: six values, each the last of its index
REMEMBER_HIGHEST_ID = """
INSERT INTO remains (name, value)
SELECT 'highest_id', max(highest)
FROM (
    SELECT $1 AS highest
    UNION ALL SELECT (SELECT m.id FROM messages AS m WHERE m.room_id = $1 ORDER BY m.seq DESC LIMIT 1)
    UNION ALL SELECT (SELECT i.id FROM invitations AS i WHERE i.room_id = $1 ORDER BY i.id DESC LIMIT 1)
    UNION ALL SELECT (SELECT b.id FROM bans AS b WHERE b.room_id = $1 ORDER BY b.id DESC LIMIT 1)
    UNION ALL SELECT (SELECT f.id FROM files AS f WHERE f.room_id = $1 ORDER BY f.id DESC LIMIT 1)
    UNION ALL SELECT (SELECT s.id FROM summaries AS s WHERE s.room_id = $1 ORDER BY s.id DESC LIMIT 1)
) AS parts
WHERE highest IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE remains.value < excluded.value
"""

# The same for one id that goes.
# Index: none
REMEMBER_ID = """
INSERT INTO remains (name, value)
VALUES ('highest_id', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE remains.value < excluded.value
"""

# Index: none
INSERT_MEMBER = """
INSERT INTO members (room_id, user_id, role, joined_us, delivered_seq, read_seq, read_us)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

# Index: members_by_room
DELETE_MEMBER = "DELETE FROM members WHERE room_id = $1 AND user_id = $2"

# Index: members_by_room
SET_ROLE = "UPDATE members SET role = $3 WHERE room_id = $1 AND user_id = $2"

# Watermarks only rise. The time ($5) is that of a rise of `read_seq`; NULL leaves what is stored.
# Index: members_by_room
SET_WATERMARKS = """
UPDATE members
SET delivered_seq = CASE WHEN delivered_seq < $3 THEN $3 ELSE delivered_seq END,
    read_seq = CASE WHEN read_seq < $4 THEN $4 ELSE read_seq END,
    read_us = CASE WHEN read_seq < $4 THEN coalesce($5, read_us) ELSE read_us END
WHERE room_id = $1 AND user_id = $2
"""
