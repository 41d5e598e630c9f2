-- +goose Up
-- The App Servers' endpoints. event_types is comma-separated, and empty for all. secret and
-- previous_secret are encrypted if there is a database key. lease_until and lease_id say until when,
-- by the database's clock, one node sends to the endpoint. resume_at is when an endpoint that failed
-- is called again.
CREATE TABLE webhook_endpoints (
    id BIGINT NOT NULL AUTO_INCREMENT,
    app_id BIGINT NOT NULL,
    url VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    description VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    event_types VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    secret VARBINARY(128) NOT NULL,
    previous_secret VARBINARY(128),
    previous_secret_ends_at BIGINT NOT NULL DEFAULT 0,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state_reason VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    failing_since BIGINT NOT NULL DEFAULT 0,
    resume_at BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT NOT NULL DEFAULT 0,
    lease_id BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY webhook_endpoints_app (app_id, id),
    KEY webhook_endpoints_state (state, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What has happened, written in the transaction of the change. subject is the external ID of the
-- user. personal holds the values in data that are erased with the user.
CREATE TABLE events (
    id BIGINT NOT NULL AUTO_INCREMENT,
    uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    app_id BIGINT NOT NULL,
    type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    data MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    personal TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    PRIMARY KEY (id),
    UNIQUE KEY events_uid (uid),
    KEY events_subject (app_id, subject, version),
    KEY events_occurred (occurred_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- An event that is delivered to an endpoint. expires_at is NULL while the state is PENDING.
CREATE TABLE deliveries (
    id BIGINT NOT NULL AUTO_INCREMENT,
    endpoint_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    expires_at BIGINT NULL,
    last_status INT NOT NULL DEFAULT 0,
    last_error VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    last_ms INT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY deliveries_due (endpoint_id, state, next_attempt_at, id),
    KEY deliveries_event (event_id),
    KEY deliveries_expiry (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE deliveries;
DROP TABLE events;
DROP TABLE webhook_endpoints;
