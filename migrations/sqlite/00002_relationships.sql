-- +goose Up
ALTER TABLE users ADD COLUMN friend_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN block_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN whitelist_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN whitelist_enabled BOOLEAN NOT NULL DEFAULT FALSE;

-- The primary keys store an owner's rows together in the order of its list, so a page is one range.
-- The unique keys serve look-ups of one entry and prevent duplicates.
CREATE TABLE friendships (
    user_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    friend_id INTEGER NOT NULL,
    remark TEXT NULL,
    PRIMARY KEY (user_id, created_at, friend_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX friendships_pair ON friendships (user_id, friend_id);

CREATE TABLE blocks (
    user_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    blocked_id INTEGER NOT NULL,
    PRIMARY KEY (user_id, created_at, blocked_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX blocks_pair ON blocks (user_id, blocked_id);
CREATE INDEX blocks_blocked ON blocks (blocked_id);

CREATE TABLE whitelist_entries (
    user_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    allowed_id INTEGER NOT NULL,
    PRIMARY KEY (user_id, created_at, allowed_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX whitelist_entries_pair ON whitelist_entries (user_id, allowed_id);
CREATE INDEX whitelist_entries_allowed ON whitelist_entries (allowed_id);

CREATE TABLE friend_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    from_id INTEGER NOT NULL,
    to_id INTEGER NOT NULL,
    message TEXT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX friend_requests_pair ON friend_requests (from_id, to_id);
CREATE INDEX friend_requests_outgoing ON friend_requests (from_id, created_at, id);
CREATE INDEX friend_requests_incoming ON friend_requests (to_id, created_at, id);
CREATE INDEX friend_requests_outgoing_end ON friend_requests (from_id, expires_at);
CREATE INDEX friend_requests_incoming_end ON friend_requests (to_id, expires_at);

-- +goose Down
DROP TABLE friend_requests;
DROP TABLE whitelist_entries;
DROP TABLE blocks;
DROP TABLE friendships;
ALTER TABLE users DROP COLUMN friend_count;
ALTER TABLE users DROP COLUMN block_count;
ALTER TABLE users DROP COLUMN whitelist_count;
ALTER TABLE users DROP COLUMN whitelist_enabled;
