-- +goose Up
-- disabled_at is when the app was disabled, or 0 if it is not.
ALTER TABLE apps ADD COLUMN disabled_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE apps ADD KEY apps_disabled (disabled_at);

-- +goose Down
ALTER TABLE apps DROP KEY apps_disabled;
ALTER TABLE apps DROP COLUMN disabled_at;
