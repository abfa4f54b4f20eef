-- Search in SQLite: a trigram index that follows behind the commits. (PostgreSQL has pg_trgm for this.)

-- Case-folded texts by messages.row, without a copy of them. case_sensitive: folding is done before, for every script.
CREATE VIRTUAL TABLE message_index USING fts5 (
    folded,
    content = '',
    contentless_delete = 1,
    tokenize = 'trigram case_sensitive 1'
);

-- One row. Messages above indexed_row are not in the index yet; those up to it are, unless they are stale.
CREATE TABLE search_state (
    indexed_row INTEGER NOT NULL        -- a messages.row; 0: nothing is indexed
);
INSERT INTO search_state (indexed_row) VALUES (0);

-- Messages up to indexed_row whose entry in the index is wrong since they were edited, deleted, or went with their room.
CREATE TABLE search_stale (
    row INTEGER PRIMARY KEY NOT NULL    -- a messages.row, perhaps of a message that is gone
);
