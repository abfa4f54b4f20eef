"""Summaries of what was said in a room."""

_SUMMARY = """
id, room_id, text, automatic, message_count, left_out, first_us, last_us, last_seq, participants, keywords, sentiment,
language, created_us
""".strip()

# Newest first: all or of one sort ($2; NULL: all), of messages from a time ($3) to a time ($4).
# Index: summaries_by_room
SUMMARIES = f"""
SELECT {_SUMMARY}
FROM summaries
WHERE room_id = $1 AND ($2 IS NULL OR automatic = $2) AND first_us >= $3 AND last_us <= $4
ORDER BY id DESC
LIMIT $5
"""

# Index: none
INSERT_SUMMARY = f"""
INSERT INTO summaries ({_SUMMARY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

# Index: summaries_by_room
DELETE_SUMMARIES = "DELETE FROM summaries WHERE room_id = $1"
