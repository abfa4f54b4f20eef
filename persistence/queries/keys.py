"""Versions of rooms' keys: the server's own, and those that members seal for each other."""

# Index: room_keys_by_room
ROOM_KEYS = "SELECT room_id, version, sealed, created_us FROM room_keys WHERE room_id = $1 ORDER BY version"

# Index: room_keys_by_room
NEWEST_ROOM_KEY = "SELECT version, created_us FROM room_keys WHERE room_id = $1 ORDER BY version DESC LIMIT 1"

# Index: room_keys_by_room
# Scan: ends at the first row.
LATEST_ROOM_KEY = """
SELECT room_id, version, sealed, created_us
FROM room_keys
ORDER BY room_id DESC, version DESC
LIMIT 1
"""

# Index: none
INSERT_ROOM_KEY = "INSERT INTO room_keys (room_id, version, sealed, created_us) VALUES ($1, $2, $3, $4)"

# Index: room_keys_by_room
DELETE_ROOM_KEYS = "DELETE FROM room_keys WHERE room_id = $1"

# Index: member_keys_by_user
MEMBER_KEYS = """
SELECT room_id, version, user_id, sealed, sealed_by, created_us
FROM member_keys
WHERE room_id = $1 AND user_id = $2
ORDER BY version
"""

# Index: member_keys_by_version
NEWEST_MEMBER_KEY = "SELECT version, 0 FROM member_keys WHERE room_id = $1 ORDER BY version DESC LIMIT 1"

# Index: key_versions_by_room
KEY_MAKER = "SELECT made_by FROM key_versions WHERE room_id = $1 AND version = $2"

# Index: none
INSERT_KEY_VERSION = "INSERT INTO key_versions (room_id, version, made_by) VALUES ($1, $2, $3)"

# Index: key_versions_by_room
DELETE_KEY_VERSIONS = "DELETE FROM key_versions WHERE room_id = $1"

# Index: none
PUT_MEMBER_KEY = """
INSERT INTO member_keys (room_id, version, user_id, sealed, sealed_by, created_us)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (room_id, user_id, version) DO UPDATE
SET sealed = excluded.sealed, sealed_by = excluded.sealed_by, created_us = excluded.created_us
"""

# Index: member_keys_by_version
DELETE_MEMBER_KEYS = "DELETE FROM member_keys WHERE room_id = $1"
