-- Avatars are written anew when they come; those that are here already, when they are next opened.

ALTER TABLE files ADD COLUMN cleaned INTEGER NOT NULL DEFAULT 0;
CREATE INDEX avatars_by_owner ON files (owner_id) WHERE room_id IS NULL;
