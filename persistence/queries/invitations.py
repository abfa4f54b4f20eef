"""Invitations to rooms. One that has `expires_us` 0 was ended before its time."""

_INVITATION = "id, room_id, digest, created_by, created_us, expires_us, max_uses, uses, maker_role"
_GOOD = "room_id = $1 AND expires_us > $2 AND uses < max_uses"

# Index: invitations_by_digest
INVITATION = f"SELECT {_INVITATION} FROM invitations WHERE digest = $1"

# Index: primary key
INVITATION_TO = f"SELECT {_INVITATION} FROM invitations WHERE id = $2 AND room_id = $1"

# Those to a room that are good at a time ($2).
# Index: invitations_by_room
INVITATIONS = f"SELECT {_INVITATION} FROM invitations WHERE {_GOOD} ORDER BY id DESC LIMIT $3 OFFSET $4"

# Index: invitations_by_room
COUNT_INVITATIONS = f"SELECT count(*) FROM invitations WHERE {_GOOD}"

# The same of one maker ($3).
# Index: invitations_by_maker
INVITATIONS_OF = f"""
SELECT {_INVITATION} FROM invitations WHERE created_by = $3 AND {_GOOD} ORDER BY id DESC LIMIT $4 OFFSET $5
"""

# Index: invitations_by_maker
COUNT_INVITATIONS_OF = f"SELECT count(*) FROM invitations WHERE created_by = $3 AND {_GOOD}"

# Index: none
INSERT_INVITATION = f"INSERT INTO invitations ({_INVITATION}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"

# Of several that use it at once, no more than there are uses get a row.
# Index: invitations_by_digest
USE_INVITATION = "UPDATE invitations SET uses = uses + 1 WHERE digest = $1 AND uses < max_uses"

# Index: invitations_by_digest
END_INVITATION = "UPDATE invitations SET expires_us = 0 WHERE digest = $1"

# Index: invitations_by_maker
END_INVITATIONS_OF = "UPDATE invitations SET expires_us = 0 WHERE created_by = $1 AND room_id = $2 AND expires_us > 0"

# Index: invitations_by_maker
END_ALL_INVITATIONS_OF = "UPDATE invitations SET expires_us = 0 WHERE created_by = $1 AND expires_us > 0"

# Those to a room whose makers do not have at least this role ($2).
# Index: invitations_by_room, members_by_room
END_INVITATIONS_BELOW = """
UPDATE invitations SET expires_us = 0
WHERE room_id = $1 AND expires_us > 0 AND NOT EXISTS (
    SELECT 1 FROM members AS m WHERE m.room_id = $1 AND m.user_id = invitations.created_by AND m.role >= $2
)
"""

# The ids of some ($2) that had ended at a time ($1).
# Index: invitations_by_end
ENDED_INVITATIONS = "SELECT id FROM invitations WHERE expires_us <= $1 ORDER BY expires_us, id LIMIT $2"

# A JSON array ($1) of ids.
# Index: primary key
# Scan: the list of ids
FORGET_INVITATIONS = "DELETE FROM invitations WHERE id IN (SELECT j.value FROM json_each($1) AS j)"

# Index: invitations_by_room
DELETE_INVITATIONS = "DELETE FROM invitations WHERE room_id = $1"
