"""Who is kept out of which room."""

_BANS = """
SELECT b.id, b.room_id, b.user_id, b.banned_by, b.created_us, u.username, u.display_name, u.avatar_url
FROM bans AS b
LEFT JOIN users AS u ON u.id = b.user_id
""".strip()

# Index: bans_by_user, primary key
BAN = f"{_BANS} WHERE b.room_id = $1 AND b.user_id = $2"

# Index: bans_by_room, primary key
BANS = f"{_BANS} WHERE b.room_id = $1 ORDER BY b.id DESC LIMIT $2 OFFSET $3"

# Index: bans_by_room
COUNT_BANS = "SELECT count(*) FROM bans WHERE room_id = $1"

# Index: none
PUT_BAN = """
INSERT INTO bans (id, room_id, user_id, banned_by, created_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (room_id, user_id) DO UPDATE
SET id = excluded.id, banned_by = excluded.banned_by, created_us = excluded.created_us
"""

# Index: bans_by_user
DELETE_BAN = "DELETE FROM bans WHERE room_id = $1 AND user_id = $2"

# Index: bans_by_room
DELETE_BANS = "DELETE FROM bans WHERE room_id = $1"
