-- +goose Up
-- Operators' API keys. role, all_apps and app_ids are as in operators. last_used_at is 0 until the
-- first use.
CREATE TABLE operator_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    key_hash BLOB NOT NULL,
    prefix TEXT NOT NULL,
    role TEXT NOT NULL,
    all_apps BOOLEAN NOT NULL,
    app_ids TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    last_used_address TEXT NOT NULL
);
CREATE UNIQUE INDEX operator_keys_key ON operator_keys (key_hash);
CREATE UNIQUE INDEX operator_keys_name ON operator_keys (operator_id, name);
CREATE INDEX operator_keys_expires ON operator_keys (expires_at);

-- actor_key: the name of the API key that the actor used.
ALTER TABLE audit_entries ADD COLUMN actor_key TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE audit_entries DROP COLUMN actor_key;
DROP TABLE operator_keys;
