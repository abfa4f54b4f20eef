-- What this deployment is called: one row, made at the first start. Access tokens are made out to it.
CREATE TABLE deployment (
    only INTEGER PRIMARY KEY NOT NULL CHECK (only = 1),
    id TEXT NOT NULL,                   -- random
    created_us BIGINT NOT NULL          -- when it got this name: access tokens from before then do not carry it
);
