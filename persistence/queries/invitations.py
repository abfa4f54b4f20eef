"""Invitations to rooms."""

_INVITATION = "id, room_id, digest, created_by, created_us, expires_us, max_uses, uses"

# Index: invitations_by_digest
INVITATION = f"SELECT {_INVITATION} FROM invitations WHERE digest = $1"

# Index: none
INSERT_INVITATION = f"INSERT INTO invitations ({_INVITATION}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"

# Of several that use it at once, no more than there are uses get a row.
# Index: invitations_by_digest
USE_INVITATION = "UPDATE invitations SET uses = uses + 1 WHERE digest = $1 AND uses < max_uses"

# Index: invitations_by_room
DELETE_INVITATIONS = "DELETE FROM invitations WHERE room_id = $1"
