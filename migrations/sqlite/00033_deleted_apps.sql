-- +goose Up
-- deleting_at is when the deletion of the app began, or 0.
ALTER TABLE apps ADD COLUMN deleting_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX apps_deleting ON apps (deleting_at);

-- +goose Down
DROP INDEX apps_deleting;
ALTER TABLE apps DROP COLUMN deleting_at;
