-- +goose Up
-- Operators' API keys. role, all_apps and app_ids are as in operators. last_used_at is 0 until the
-- first use.
CREATE TABLE operator_keys (
    id BIGINT NOT NULL AUTO_INCREMENT,
    operator_id BIGINT NOT NULL,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    key_hash VARBINARY(32) NOT NULL,
    prefix VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    all_apps BOOLEAN NOT NULL,
    app_ids VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    last_used_address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_keys_key (key_hash),
    UNIQUE KEY operator_keys_name (operator_id, name),
    KEY operator_keys_expires (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- actor_key: the name of the API key that the actor used.
ALTER TABLE audit_entries ADD COLUMN actor_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE audit_entries DROP COLUMN actor_key;
DROP TABLE operator_keys;
