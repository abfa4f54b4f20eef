-- Profiles, roles and settings of rooms, invitations, files, summaries, keys, and what messages may have besides text.

ALTER TABLE users ADD COLUMN display_name TEXT;         -- NULL: has none, the username is shown
ALTER TABLE users ADD COLUMN avatar_url TEXT;
ALTER TABLE users ADD COLUMN public_key TEXT;           -- RSA, as PEM
ALTER TABLE users ADD COLUMN last_login_us BIGINT;
ALTER TABLE users ADD COLUMN active INTEGER NOT NULL DEFAULT 1;

ALTER TABLE rooms ADD COLUMN private INTEGER NOT NULL DEFAULT 1;
ALTER TABLE rooms ADD COLUMN max_members INTEGER;       -- NULL: no limit
ALTER TABLE rooms ADD COLUMN auto_summary INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN summary_threshold INTEGER NOT NULL DEFAULT 50;
ALTER TABLE rooms ADD COLUMN custody INTEGER NOT NULL DEFAULT 0;    -- 0 the members hold the keys, 1 the server
ALTER TABLE rooms ADD COLUMN announces INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN updated_us BIGINT;

ALTER TABLE members ADD COLUMN read_us BIGINT;          -- when read_seq was last raised
-- Roles are now 0 member, 10 moderator, 20 admin, 30 owner: a room belongs to who made it.
UPDATE members SET role = 30
WHERE role = 20 AND EXISTS (SELECT 1 FROM rooms AS r WHERE r.id = members.room_id AND r.created_by = members.user_id);
-- A group whose maker has left belongs to who would have inherited it: the highest role, the longest there.
UPDATE members SET role = 30
WHERE user_id = (
    SELECT x.user_id
    FROM members AS x
    WHERE x.room_id = members.room_id
    ORDER BY x.role DESC, x.joined_us, x.user_id
    LIMIT 1
)
AND role < 30
AND EXISTS (SELECT 1 FROM rooms AS r WHERE r.id = members.room_id AND r.kind = 1);

ALTER TABLE messages ADD COLUMN extras TEXT;    -- JSON object: kind, reply_to, sealed, reactions; NULL: none of these
CREATE INDEX messages_textless ON messages (room_id, seq) WHERE text = '' AND extras IS NOT NULL;
CREATE INDEX messages_deleted ON messages (room_id, seq) WHERE deleted_us IS NOT NULL;

CREATE TABLE invitations (
    id BIGINT PRIMARY KEY NOT NULL,
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    digest BYTEA NOT NULL,              -- SHA-256 of the code; the code itself is never stored
    created_by BIGINT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    max_uses INTEGER NOT NULL,
    uses INTEGER NOT NULL
);
CREATE UNIQUE INDEX invitations_by_digest ON invitations (digest);
CREATE INDEX invitations_by_room ON invitations (room_id, id);

CREATE TABLE files (
    id BIGINT PRIMARY KEY NOT NULL,
    owner_id BIGINT NOT NULL REFERENCES users (id),
    room_id BIGINT REFERENCES rooms (id),   -- NULL: an avatar
    name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    digest BYTEA NOT NULL,              -- SHA-256 of the bytes
    blob TEXT NOT NULL,                 -- their name in the blob store
    thumbnail TEXT,                     -- the name of a small picture; NULL: none
    created_us BIGINT NOT NULL
);
CREATE INDEX files_by_room ON files (room_id, id);

CREATE TABLE summaries (
    id BIGINT PRIMARY KEY NOT NULL,
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    text TEXT NOT NULL,
    automatic INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    left_out INTEGER NOT NULL,          -- messages of that time that the server cannot read
    first_us BIGINT NOT NULL,
    last_us BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    participants TEXT NOT NULL,         -- JSON array of user ids
    keywords TEXT NOT NULL,             -- JSON array of texts
    sentiment DOUBLE PRECISION NOT NULL,
    language TEXT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX summaries_by_room ON summaries (room_id, id);

CREATE TABLE room_keys (
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,              -- the key under the server's master key
    created_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX room_keys_by_room ON room_keys (room_id, version);

CREATE TABLE member_keys (
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    version INTEGER NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id),
    sealed TEXT NOT NULL,               -- the key as another member sealed it for this one
    sealed_by BIGINT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX member_keys_by_user ON member_keys (room_id, user_id, version);
CREATE INDEX member_keys_by_version ON member_keys (room_id, version);
