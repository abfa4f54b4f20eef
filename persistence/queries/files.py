"""Uploaded files. Their bytes are somewhere else."""

_FILE = "id, owner_id, room_id, name, mime_type, size_bytes, digest, blob, thumbnail, created_us"

# Index: primary key
FILE = f"SELECT {_FILE} FROM files WHERE id = $1"

# Index: files_by_room
FILES_OF_ROOM = f"SELECT {_FILE} FROM files WHERE room_id = $1"

# Index: none
INSERT_FILE = f"INSERT INTO files ({_FILE}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

# Index: files_by_room
DELETE_FILES = "DELETE FROM files WHERE room_id = $1"
