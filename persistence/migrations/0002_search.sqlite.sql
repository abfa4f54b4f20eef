-- Search in SQLite: a trigram index that follows behind the commits. (PostgreSQL has pg_trgm for this.)

-- Case-folded texts, without a copy of them. case_sensitive: folding is done before, for every script. An entry's rowid
-- is search_rooms.number << 32 | messages.seq, so a room's entries are one range. It is only ever asked for one trigram
-- at a time; detail = column, which drops positions, saved 2% of the index, and detail = none cannot skip to a range.
CREATE VIRTUAL TABLE message_index USING fts5 (
    folded,
    content = '',
    contentless_delete = 1,
    tokenize = 'trigram case_sensitive 1'
);

-- The rooms that have entries in the index: those with more than a few messages.
CREATE TABLE search_rooms (
    number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,  -- never given twice: entries of a gone room may still be there
    room_id INTEGER NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    indexed_seq INTEGER NOT NULL        -- messages up to this sequence are in the index, unless they are stale
);
CREATE UNIQUE INDEX search_rooms_by_room ON search_rooms (room_id);

-- One row.
CREATE TABLE search_state (
    indexed_row INTEGER NOT NULL        -- a messages.row: up to it the indexer has seen all messages; 0: none
);
INSERT INTO search_state (indexed_row) VALUES (0);

-- Entries that are wrong since their message was edited, deleted, or went with its room.
CREATE TABLE search_stale (
    entry INTEGER PRIMARY KEY NOT NULL  -- a rowid of message_index
);
