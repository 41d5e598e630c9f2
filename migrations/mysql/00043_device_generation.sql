-- +goose Up
-- How often all devices of the user were signed out, so that a node closes those that connected before,
-- also if the message about it is lost.
ALTER TABLE users ADD COLUMN device_generation BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE users DROP COLUMN device_generation;
