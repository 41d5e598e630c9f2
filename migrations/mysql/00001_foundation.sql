-- +goose Up
CREATE TABLE apps (
    id BIGINT NOT NULL AUTO_INCREMENT,
    `key` VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    environment VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    edition VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    secret_hash VARBINARY(32) NOT NULL,
    secret_generation INT NOT NULL,
    user_limit INT NOT NULL,
    registered_user_count INT NOT NULL,
    deactivated_user_count INT NOT NULL,
    status_query_enabled BOOLEAN NOT NULL,
    friend_status_notify_enabled BOOLEAN NOT NULL,
    only_friends_can_message BOOLEAN NOT NULL,
    friend_limit INT NOT NULL,
    blocklist_limit INT NOT NULL,
    whitelist_limit INT NOT NULL,
    status_subscription_limit INT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY apps_key (`key`),
    UNIQUE KEY apps_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE users (
    id BIGINT NOT NULL AUTO_INCREMENT,
    app_id BIGINT NOT NULL,
    external_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    search_name VARCHAR(192) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    avatar_url VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    token_generation INT NOT NULL,
    tokens_valid_from BIGINT NOT NULL,
    banned_until BIGINT NULL,
    banned_at BIGINT NULL,
    ban_reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    deactivated_at BIGINT NULL,
    presence TINYINT NOT NULL,
    presence_at BIGINT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY users_app_external (app_id, external_id),
    KEY users_app_created (app_id, created_at, id),
    KEY users_app_banned (app_id, banned_until, id),
    KEY users_app_deactivated (app_id, deactivated_at, id),
    KEY users_app_presence (app_id, presence, created_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE operators (
    id BIGINT NOT NULL AUTO_INCREMENT,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operators_name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE operator_sessions (
    id BIGINT NOT NULL AUTO_INCREMENT,
    token_hash VARBINARY(32) NOT NULL,
    operator_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_agent VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_sessions_token (token_hash),
    KEY operator_sessions_operator (operator_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE audit_entries (
    id BIGINT NOT NULL AUTO_INCREMENT,
    app_id BIGINT NULL,
    at BIGINT NOT NULL,
    actor VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    action VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    target VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    detail VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (id),
    KEY audit_entries_at (at, id),
    KEY audit_entries_app_at (app_id, at, id),
    KEY audit_entries_app_target (app_id, target, at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE token_keys (
    id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    secret VARBINARY(64) NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE token_keys;
DROP TABLE audit_entries;
DROP TABLE operator_sessions;
DROP TABLE operators;
DROP TABLE users;
DROP TABLE apps;
