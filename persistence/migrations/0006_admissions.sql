-- Bans; what the maker of an invitation was; who introduced a version of a key in client custody.
CREATE TABLE bans (
    id BIGINT PRIMARY KEY NOT NULL,     -- invitations with a higher one were made after the ban
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    banned_by BIGINT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX bans_by_user ON bans (room_id, user_id);
CREATE INDEX bans_by_room ON bans (room_id, id);

-- From now on an invitation's expires_us is 0 when it was revoked, or its maker has lost the right to make it.
ALTER TABLE invitations ADD COLUMN maker_role INTEGER NOT NULL DEFAULT 0;   -- as members.role, when it was made
CREATE INDEX invitations_by_maker ON invitations (created_by, room_id, id);
CREATE INDEX invitations_by_end ON invitations (expires_us, id);

UPDATE invitations SET expires_us = 0
WHERE NOT EXISTS (
    SELECT 1
    FROM members AS m
    JOIN rooms AS r ON r.id = m.room_id
    JOIN users AS u ON u.id = m.user_id
    WHERE m.room_id = invitations.room_id
    AND m.user_id = invitations.created_by
    AND (m.role >= 10 OR r.private = 0)
    AND u.active = 1
);

CREATE TABLE key_versions (
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    version INTEGER NOT NULL,
    made_by BIGINT NOT NULL REFERENCES users (id)
);
CREATE UNIQUE INDEX key_versions_by_room ON key_versions (room_id, version);

-- Of older versions: who sealed the first of their keys that is still there.
INSERT INTO key_versions (room_id, version, made_by)
SELECT room_id, version, sealed_by
FROM (
    SELECT room_id, version, sealed_by,
        row_number() OVER (PARTITION BY room_id, version ORDER BY created_us, sealed_by) AS place
    FROM member_keys
) AS keys
WHERE place = 1;
