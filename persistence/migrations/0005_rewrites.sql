-- What former releases stored in another form, and is brought over behind the running server: persistence/rewrites.py.
CREATE TABLE rewrites (
    name TEXT PRIMARY KEY NOT NULL,     -- which; a row is there until all is brought over
    after BIGINT NOT NULL               -- the key of the last row that was; what was written since is new
);

-- messages.folded is now engine.text.folded(text), of both canonical forms of a text the same; it was text.casefold().
INSERT INTO rewrites (name, after) SELECT 'messages.folded', 0 WHERE EXISTS (SELECT 1 FROM messages);
