-- +goose Up
-- disabled_at is when the app was disabled, or 0 if it is not.
ALTER TABLE apps ADD COLUMN disabled_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX apps_disabled ON apps (disabled_at);

-- +goose Down
DROP INDEX apps_disabled;
ALTER TABLE apps DROP COLUMN disabled_at;
