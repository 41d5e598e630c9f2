-- +goose Up
-- presence_feed_enabled records changes of statuses for the feed of events too.
ALTER TABLE apps ADD COLUMN presence_feed_enabled BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE apps DROP COLUMN presence_feed_enabled;
