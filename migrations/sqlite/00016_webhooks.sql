-- +goose Up
-- The App Servers' endpoints. event_types is comma-separated, and empty for all. secret and
-- previous_secret are encrypted if there is a database key. lease_until and lease_id say until when,
-- by the database's clock, one node sends to the endpoint. resume_at is when an endpoint that failed
-- is called again.
CREATE TABLE webhook_endpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    event_types TEXT NOT NULL,
    secret BLOB NOT NULL,
    previous_secret BLOB,
    previous_secret_ends_at INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    state_reason TEXT NOT NULL DEFAULT '',
    failing_since INTEGER NOT NULL DEFAULT 0,
    resume_at INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    lease_id INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
);
CREATE INDEX webhook_endpoints_app ON webhook_endpoints (app_id, id);
CREATE INDEX webhook_endpoints_state ON webhook_endpoints (state, id);

-- What has happened, written in the transaction of the change. subject is the external ID of the
-- user. personal holds the values in data that are erased with the user.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL,
    app_id INTEGER NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    data TEXT NOT NULL,
    personal TEXT NULL
);
CREATE UNIQUE INDEX events_uid ON events (uid);
CREATE INDEX events_subject ON events (app_id, subject, version);
CREATE INDEX events_occurred ON events (occurred_at);

-- An event that is delivered to an endpoint. expires_at is NULL while the state is PENDING.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint_id INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    expires_at INTEGER NULL,
    last_status INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NULL,
    last_ms INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, state, next_attempt_at, id);
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_expiry ON deliveries (expires_at);

-- +goose Down
DROP TABLE deliveries;
DROP TABLE events;
DROP TABLE webhook_endpoints;
