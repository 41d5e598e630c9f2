-- +goose Up
CREATE TABLE apps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    "key" TEXT NOT NULL,
    name TEXT NOT NULL,
    environment TEXT NOT NULL,
    edition TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    secret_generation INTEGER NOT NULL,
    user_limit INTEGER NOT NULL,
    registered_user_count INTEGER NOT NULL,
    deactivated_user_count INTEGER NOT NULL,
    status_query_enabled BOOLEAN NOT NULL,
    friend_status_notify_enabled BOOLEAN NOT NULL,
    only_friends_can_message BOOLEAN NOT NULL,
    friend_limit INTEGER NOT NULL,
    blocklist_limit INTEGER NOT NULL,
    whitelist_limit INTEGER NOT NULL,
    status_subscription_limit INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX apps_key ON apps ("key");
CREATE UNIQUE INDEX apps_name ON apps (name);

-- AUTOINCREMENT: a numeric key is never reused after a deletion, so a token or a cursor issued to a
-- deleted user never matches a later one.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL,
    external_id TEXT NOT NULL,
    name TEXT NOT NULL,
    search_name TEXT NOT NULL,
    avatar_url TEXT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    token_generation INTEGER NOT NULL,
    tokens_valid_from INTEGER NOT NULL,
    banned_until INTEGER NULL,
    banned_at INTEGER NULL,
    ban_reason TEXT NULL,
    deactivated_at INTEGER NULL,
    presence INTEGER NOT NULL,
    presence_at INTEGER NULL
);
CREATE UNIQUE INDEX users_app_external ON users (app_id, external_id);
CREATE INDEX users_app_created ON users (app_id, created_at, id);
CREATE INDEX users_app_banned ON users (app_id, banned_until, id);
CREATE INDEX users_app_deactivated ON users (app_id, deactivated_at, id);
CREATE INDEX users_app_presence ON users (app_id, presence, created_at, id);

CREATE TABLE operators (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operators_name ON operators (name);

CREATE TABLE operator_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL,
    operator_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE UNIQUE INDEX operator_sessions_token ON operator_sessions (token_hash);
CREATE INDEX operator_sessions_operator ON operator_sessions (operator_id);

CREATE TABLE audit_entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX audit_entries_at ON audit_entries (at, id);
CREATE INDEX audit_entries_app_at ON audit_entries (app_id, at, id);
CREATE INDEX audit_entries_app_target ON audit_entries (app_id, target, at, id);

CREATE TABLE token_keys (
    id TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE token_keys;
DROP TABLE audit_entries;
DROP TABLE operator_sessions;
DROP TABLE operators;
DROP TABLE users;
DROP TABLE apps;
