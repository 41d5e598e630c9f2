-- +goose Up
-- event_feed_enabled records the events of an app for its feed.
ALTER TABLE apps ADD COLUMN event_feed_enabled BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX apps_event_feed ON apps (event_feed_enabled);

-- feed_number is the place of an event in the feed of its app: NULL if it is not in the feed, and 0
-- until it is numbered, which is after the commit of its change.
ALTER TABLE events ADD COLUMN feed_number INTEGER NULL;
CREATE INDEX events_feed ON events (app_id, feed_number, version);

-- The feeds that have been read, with the last number.
CREATE TABLE event_feeds (
    app_id INTEGER PRIMARY KEY,
    last_number INTEGER NOT NULL
);

-- +goose Down
DROP TABLE event_feeds;
DROP INDEX events_feed;
ALTER TABLE events DROP COLUMN feed_number;
DROP INDEX apps_event_feed;
ALTER TABLE apps DROP COLUMN event_feed_enabled;
