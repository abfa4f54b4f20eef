-- Where jobs go on, and what the sweep of blobs without a row looks up.
CREATE TABLE cursors (
    name TEXT PRIMARY KEY NOT NULL,     -- the job's
    position TEXT NOT NULL              -- in the job's own words
);
CREATE INDEX files_by_blob ON files (blob);
CREATE INDEX files_by_thumbnail ON files (thumbnail);
