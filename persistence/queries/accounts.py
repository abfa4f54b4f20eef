"""Users, log-ins and refresh tokens."""

_USER = """
id, username, email, created_us, declared, display_name, avatar_url, public_key, last_login_us, active
""".strip()

# Index: primary key
DEPLOYMENT = "SELECT id, created_us FROM deployment WHERE only = 1"

# Index: none
INSERT_DEPLOYMENT = "INSERT INTO deployment (only, id, created_us) VALUES (1, $1, $2)"

# Index: primary key
USER = f"SELECT {_USER} FROM users WHERE id = $1"

# Index: primary key
USER_EXISTS = "SELECT id FROM users WHERE id = $1"

# Index: primary key
ACTIVE_USERS = f"SELECT {_USER} FROM users WHERE id > $1 AND active = 1 ORDER BY id LIMIT $2"

# Index: users_by_email
CREDENTIALS_BY_EMAIL = f"SELECT {_USER}, password_hash FROM users WHERE email_fold = $1"

# Index: users_by_username
CREDENTIALS_BY_USERNAME = f"SELECT {_USER}, password_hash FROM users WHERE username_fold = $1"

# Index: users_by_username
ID_BY_USERNAME = "SELECT id FROM users WHERE username_fold = $1"

# Index: users_by_email
ID_BY_EMAIL = "SELECT id FROM users WHERE email_fold = $1"

# Index: primary key
NEXT_IDS = "SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2"

# Index: primary key
NAMES = "SELECT username, username_fold, email, email_fold FROM users WHERE id = $1"

# Index: primary key
SET_USERNAME_KEY = "UPDATE users SET username_fold = $2 WHERE id = $1"

# Index: primary key
SET_EMAIL_KEY = "UPDATE users SET email_fold = $2 WHERE id = $1"

# Index: primary key
FAMILY = "SELECT id, user_id, created_us, revoked_us FROM families WHERE id = $1"

# Index: primary key
REFRESH_TOKEN = "SELECT digest, family_id, user_id, expires_us, spent_us FROM refresh_tokens WHERE digest = $1"

# The end of each table's index of ids is one step away.
# Index: primary key, messages_by_id
# Scan: each part reads one entry, the last of its index; the outer one walks these nine values
HIGHEST_ID = """
SELECT coalesce(max(highest), 0) FROM (
    SELECT max(id) AS highest FROM users
    UNION ALL SELECT max(id) FROM families
    UNION ALL SELECT max(id) FROM rooms
    UNION ALL SELECT max(id) FROM messages
    UNION ALL SELECT max(id) FROM invitations
    UNION ALL SELECT max(id) FROM bans
    UNION ALL SELECT max(id) FROM files
    UNION ALL SELECT max(id) FROM summaries
    UNION ALL SELECT value FROM remains WHERE name = 'highest_id'
) AS tables
"""

# Index: none
INSERT_USER = """
INSERT INTO users (
    id, username, username_fold, email, email_fold, password_hash, declared, created_us,
    display_name, avatar_url, public_key, last_login_us, active
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

# Index: primary key
UPDATE_USER = """
UPDATE users SET display_name = $2, avatar_url = $3, public_key = $4, last_login_us = $5, active = $6 WHERE id = $1
"""

# Index: primary key
REPLACE_PASSWORD_HASH = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"

# Index: primary key
SET_DECLARED = "UPDATE users SET declared = $2 WHERE id = $1"

# Index: none
INSERT_FAMILY = "INSERT INTO families (id, user_id, created_us, revoked_us) VALUES ($1, $2, $3, $4)"

# Index: none
INSERT_REFRESH_TOKEN = """
INSERT INTO refresh_tokens (digest, family_id, user_id, expires_us, spent_us) VALUES ($1, $2, $3, $4, $5)
"""

# Index: primary key
SPEND_REFRESH_TOKEN = "UPDATE refresh_tokens SET spent_us = $2 WHERE digest = $1 AND spent_us IS NULL"

# Of the family of a token ($1), those that expired before a time ($2): they are refused without being known, too.
# Index: refresh_tokens_by_family, primary key
FORGET_EXPIRED_TOKENS = """
DELETE FROM refresh_tokens
WHERE family_id = (SELECT t.family_id FROM refresh_tokens AS t WHERE t.digest = $1) AND expires_us < $2 AND digest <> $1
"""

# The first time counts.
# Index: primary key
REVOKE_FAMILY = "UPDATE families SET revoked_us = coalesce(revoked_us, $2) WHERE id = $1"

# Index: families_good
REVOKE_FAMILIES = "UPDATE families SET revoked_us = $2 WHERE user_id = $1 AND revoked_us IS NULL"
