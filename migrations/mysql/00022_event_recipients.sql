-- +goose Up
-- recipients are the endpoints, comma-separated, whose deliveries of an event are not made yet: they
-- are made after the commit of its change. Until then, feed_number is -1 for an event that is not in
-- the feed.
ALTER TABLE events ADD COLUMN recipients VARCHAR(512) CHARACTER SET ascii COLLATE ascii_bin NULL;
ALTER TABLE events DROP KEY events_uid;

-- +goose Down
ALTER TABLE events ADD UNIQUE KEY events_uid (uid);
ALTER TABLE events DROP COLUMN recipients;
