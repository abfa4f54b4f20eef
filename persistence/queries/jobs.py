"""Where jobs go on."""

# Index: sqlite_autoindex_cursors_1
CURSOR = "SELECT position FROM cursors WHERE name = $1"

# Index: none
SET_CURSOR = """
INSERT INTO cursors (name, position) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET position = excluded.position
"""
