-- +goose Up
-- event_feed_enabled records the events of an app for its feed.
ALTER TABLE apps ADD COLUMN event_feed_enabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE apps ADD KEY apps_event_feed (event_feed_enabled);

-- feed_number is the place of an event in the feed of its app: NULL if it is not in the feed, and 0
-- until it is numbered, which is after the commit of its change.
ALTER TABLE events ADD COLUMN feed_number BIGINT NULL;
ALTER TABLE events ADD KEY events_feed (app_id, feed_number, version);

-- The feeds that have been read, with the last number.
CREATE TABLE event_feeds (
    app_id BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    PRIMARY KEY (app_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE event_feeds;
ALTER TABLE events DROP KEY events_feed;
ALTER TABLE events DROP COLUMN feed_number;
ALTER TABLE apps DROP KEY apps_event_feed;
ALTER TABLE apps DROP COLUMN event_feed_enabled;
