-- +goose Up
-- How many attempts to reach an endpoint succeeded and failed in the hour that begins at begins_at.
CREATE TABLE webhook_hours (
    endpoint_id INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (endpoint_id, begins_at)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE webhook_hours;
