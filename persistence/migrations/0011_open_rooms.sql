-- Open groups are found by their names.
CREATE INDEX open_rooms_by_name ON rooms (lower(name), id) WHERE private = 0 AND kind = 1;
