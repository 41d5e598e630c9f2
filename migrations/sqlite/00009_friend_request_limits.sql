-- +goose Up
ALTER TABLE apps ADD COLUMN friend_request_daily_limit INTEGER NOT NULL DEFAULT 200;

-- announced_at is when the recipient was last notified of the request.
ALTER TABLE friend_requests ADD COLUMN announced_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX friend_requests_end ON friend_requests (expires_at);

-- How many friend requests a user has sent since its current day began.
CREATE TABLE friend_request_counts (
    user_id INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    sent INTEGER NOT NULL
);
CREATE INDEX friend_request_counts_since ON friend_request_counts (since);

-- +goose Down
DROP TABLE friend_request_counts;
DROP INDEX friend_requests_end;
ALTER TABLE friend_requests DROP COLUMN announced_at;
ALTER TABLE apps DROP COLUMN friend_request_daily_limit;
