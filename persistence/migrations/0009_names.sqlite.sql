-- users.username_fold and users.email_fold are now the keys that names and addresses are compared by (engine/names.py,
-- engine/addresses.py); they were what Python's str.casefold made of them. They are rewritten behind the running server.
INSERT INTO rewrites (name, after) SELECT 'users.names', 0 WHERE EXISTS (SELECT 1 FROM users);
