-- +goose Up
ALTER TABLE users
    ADD COLUMN friend_count INT NOT NULL DEFAULT 0,
    ADD COLUMN block_count INT NOT NULL DEFAULT 0,
    ADD COLUMN whitelist_count INT NOT NULL DEFAULT 0,
    ADD COLUMN whitelist_enabled BOOLEAN NOT NULL DEFAULT FALSE;

-- The primary keys store an owner's rows together in the order of its list, so a page is one range.
-- The unique keys serve look-ups of one entry and prevent duplicates.
CREATE TABLE friendships (
    user_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    friend_id BIGINT NOT NULL,
    remark VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    PRIMARY KEY (user_id, created_at, friend_id),
    UNIQUE KEY friendships_pair (user_id, friend_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE blocks (
    user_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    blocked_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, created_at, blocked_id),
    UNIQUE KEY blocks_pair (user_id, blocked_id),
    KEY blocks_blocked (blocked_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE whitelist_entries (
    user_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    allowed_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, created_at, allowed_id),
    UNIQUE KEY whitelist_entries_pair (user_id, allowed_id),
    KEY whitelist_entries_allowed (allowed_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE friend_requests (
    id BIGINT NOT NULL AUTO_INCREMENT,
    from_id BIGINT NOT NULL,
    to_id BIGINT NOT NULL,
    message VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY friend_requests_pair (from_id, to_id),
    KEY friend_requests_outgoing (from_id, created_at, id),
    KEY friend_requests_incoming (to_id, created_at, id),
    KEY friend_requests_outgoing_end (from_id, expires_at),
    KEY friend_requests_incoming_end (to_id, expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE friend_requests;
DROP TABLE whitelist_entries;
DROP TABLE blocks;
DROP TABLE friendships;
ALTER TABLE users
    DROP COLUMN friend_count,
    DROP COLUMN block_count,
    DROP COLUMN whitelist_count,
    DROP COLUMN whitelist_enabled;
