-- Messages that are committed and not in their table yet: see persistence/journal.py. (PostgreSQL has no need of it.)
CREATE TABLE journal (
    number INTEGER PRIMARY KEY NOT NULL,    -- the order of commit
    messages BLOB NOT NULL                  -- MessagePack: one array with the values of the messages' rows
);
