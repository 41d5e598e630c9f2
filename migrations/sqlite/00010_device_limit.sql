-- +goose Up
ALTER TABLE apps ADD COLUMN device_limit INTEGER NOT NULL DEFAULT 20;

-- +goose Down
ALTER TABLE apps DROP COLUMN device_limit;
