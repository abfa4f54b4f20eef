-- Messages that are committed and not in their table yet: see persistence/journal.py. (PostgreSQL has no need of it.)
CREATE TABLE journal (
    number INTEGER PRIMARY KEY NOT NULL,    -- the order of commit
    messages BLOB NOT NULL,                 -- MessagePack: an array of rows of the table messages, each an array
    quarantined INTEGER NOT NULL DEFAULT 0  -- 1: damaged, or refused by the table, and kept for whoever looks into it
);
