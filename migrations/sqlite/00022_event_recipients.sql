-- +goose Up
-- recipients are the endpoints, comma-separated, whose deliveries of an event are not made yet: they
-- are made after the commit of its change. Until then, feed_number is -1 for an event that is not in
-- the feed.
ALTER TABLE events ADD COLUMN recipients TEXT NULL;
DROP INDEX events_uid;

-- +goose Down
CREATE UNIQUE INDEX events_uid ON events (uid);
ALTER TABLE events DROP COLUMN recipients;
