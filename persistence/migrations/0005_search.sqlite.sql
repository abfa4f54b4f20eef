-- Rewrites: what former releases stored in another form, and is brought over behind the running server; see
-- persistence/rewrites.py.
CREATE TABLE rewrites (
    name TEXT PRIMARY KEY NOT NULL,     -- which; a row is there until all is brought over
    after INTEGER NOT NULL              -- the key of the last row that was; what was written since is in the new form
);

-- messages.folded is now engine.text.folded(text), the same for both canonical forms of a text; it was text.casefold().
INSERT INTO rewrites (name, after) SELECT 'messages.folded', 0 WHERE EXISTS (SELECT 1 FROM messages);

-- Segments of the index are merged eight at a time (4 by default): 15% less work, and as quick to look up.
INSERT INTO message_index (message_index, rank) VALUES ('automerge', 8);
