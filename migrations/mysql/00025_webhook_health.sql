-- +goose Up
-- How many attempts to reach an endpoint succeeded and failed in the hour that begins at begins_at.
CREATE TABLE webhook_hours (
    endpoint_id BIGINT NOT NULL,
    begins_at BIGINT NOT NULL,
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    PRIMARY KEY (endpoint_id, begins_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE webhook_hours;
