-- +goose Up
-- deleting_at is when the deletion of the app began, or 0.
ALTER TABLE apps ADD COLUMN deleting_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE apps ADD KEY apps_deleting (deleting_at);

-- +goose Down
ALTER TABLE apps DROP KEY apps_deleting;
ALTER TABLE apps DROP COLUMN deleting_at;
