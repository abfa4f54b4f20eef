"""Uploaded files. Their bytes are somewhere else."""

_FILE = "id, owner_id, room_id, name, mime_type, size_bytes, digest, blob, thumbnail, created_us, cleaned"

# Index: primary key
FILE = f"SELECT {_FILE} FROM files WHERE id = $1"

# Index: files_by_room
FILES_OF_ROOM = f"SELECT {_FILE} FROM files WHERE room_id = $1"

# Index: avatars_by_owner
AVATARS_OF_USER = f"SELECT {_FILE} FROM files WHERE owner_id = $1 AND room_id IS NULL"

# Index: none
INSERT_FILE = f"INSERT INTO files ({_FILE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"

# Index: primary key
REPLACE_FILE = """\
UPDATE files SET name = $3, mime_type = $4, size_bytes = $5, digest = $6, blob = $7, thumbnail = $8, cleaned = $9
WHERE id = $1 AND blob = $2"""

# Index: primary key
DELETE_FILE = "DELETE FROM files WHERE id = $1"

# Index: files_by_room
DELETE_FILES = "DELETE FROM files WHERE room_id = $1"

# Those of a JSON array ($1) of blobs that a file names.
# Index: files_by_blob, files_by_thumbnail
# Scan: the list of names, twice
NAMED_BLOBS = """
SELECT f.blob FROM json_each($1) AS j CROSS JOIN files AS f ON f.blob = j.value
UNION ALL SELECT f.thumbnail FROM json_each($1) AS j CROSS JOIN files AS f ON f.thumbnail = j.value
"""
