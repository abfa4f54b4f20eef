-- Users, log-ins, rooms, members and messages.
--
-- Times are microseconds since 1970 UTC and end in _us. Booleans are 0 and 1. Ids are the engine's (53 bits), never made
-- here. Columns that end in _fold hold the case-folded form (Python's str.casefold), for what ignores case. This text is
-- PostgreSQL's; for SQLite BIGINT becomes INTEGER and BYTEA becomes BLOB when it is loaded.

CREATE TABLE users (
    id BIGINT PRIMARY KEY NOT NULL,
    username TEXT NOT NULL,             -- as the user writes it
    username_fold TEXT NOT NULL,
    email TEXT,                         -- as the user writes it; NULL: has none
    email_fold TEXT,
    password_hash TEXT NOT NULL,        -- Argon2, in its own encoding
    declared INTEGER,                   -- presence set by hand: 0 offline, 1 online; NULL: follows the connections
    created_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_by_username ON users (username_fold);
CREATE UNIQUE INDEX users_by_email ON users (email_fold);

-- One log-in: the refresh tokens that descend from it, and the access tokens issued beside them.
CREATE TABLE families (
    id BIGINT PRIMARY KEY NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL,
    revoked_us BIGINT                   -- log-out, or a spent refresh token that was used again; NULL: good
);
CREATE INDEX families_good ON families (user_id) WHERE revoked_us IS NULL;

CREATE TABLE refresh_tokens (
    digest BYTEA PRIMARY KEY NOT NULL,  -- SHA-256 of the secret, 32 bytes; the secret itself is never stored
    family_id BIGINT NOT NULL REFERENCES families (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    expires_us BIGINT NOT NULL,
    spent_us BIGINT                     -- when it was exchanged for its successor; NULL: not yet
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id, expires_us);

CREATE TABLE rooms (
    id BIGINT PRIMARY KEY NOT NULL,
    kind INTEGER NOT NULL,              -- 0 direct, 1 group
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_by BIGINT NOT NULL REFERENCES users (id),
    created_us BIGINT NOT NULL,
    direct_key TEXT                     -- "dm:LOWER:HIGHER", the two members' ids; NULL for a group
);
CREATE UNIQUE INDEX rooms_by_direct_key ON rooms (direct_key) WHERE direct_key IS NOT NULL;

CREATE TABLE members (
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    role INTEGER NOT NULL,              -- 0 member, 20 admin
    joined_us BIGINT NOT NULL,
    delivered_seq BIGINT NOT NULL,      -- all messages up to this sequence got to one of the member's devices
    read_seq BIGINT NOT NULL            -- all messages up to this sequence were read
);
CREATE UNIQUE INDEX members_by_room ON members (room_id, user_id);
CREATE INDEX members_by_user ON members (user_id, room_id);
-- The two smallest watermarks of a room are the first two entries of its part of these.
CREATE INDEX members_by_delivered ON members (room_id, delivered_seq, user_id);
CREATE INDEX members_by_read ON members (room_id, read_seq, user_id);

CREATE TABLE messages (
    row BIGINT PRIMARY KEY NOT NULL,    -- counts messages in the order of commit, never given twice: search's cursor
    id BIGINT NOT NULL,                 -- rises in the order of commit too
    room_id BIGINT NOT NULL REFERENCES rooms (id),
    seq BIGINT NOT NULL,                -- counts the room's messages from 1, without holes
    author_id BIGINT NOT NULL REFERENCES users (id),
    key TEXT,                           -- the author's idempotency key; NULL: none
    digest BYTEA,                       -- fingerprint of what was sent under the key
    text TEXT NOT NULL,                 -- '' in a tombstone
    folded TEXT,                        -- text.casefold(); NULL where that only puts A-Z into lower case
    attachments TEXT,                   -- JSON array of {"url", "mime_type", "size_bytes"}; NULL: none
    created_us BIGINT NOT NULL,
    edited_us BIGINT,                   -- last edit; NULL: never
    deleted_us BIGINT                   -- NULL: lives; else it is a tombstone
);
CREATE UNIQUE INDEX messages_by_id ON messages (id);
CREATE UNIQUE INDEX messages_by_seq ON messages (room_id, seq);
CREATE UNIQUE INDEX messages_by_key ON messages (room_id, author_id, key) WHERE key IS NOT NULL;

-- What the store remembers about rows that are gone.
CREATE TABLE remains (
    name TEXT PRIMARY KEY NOT NULL,     -- 'highest_id': the highest id among deleted rooms and messages
    value BIGINT NOT NULL
);
