-- +goose Up
ALTER TABLE apps ADD COLUMN friend_request_daily_limit INT NOT NULL DEFAULT 200;

-- announced_at is when the recipient was last notified of the request.
ALTER TABLE friend_requests
    ADD COLUMN announced_at BIGINT NOT NULL DEFAULT 0,
    ADD KEY friend_requests_end (expires_at);

-- How many friend requests a user has sent since its current day began.
CREATE TABLE friend_request_counts (
    user_id BIGINT NOT NULL,
    since BIGINT NOT NULL,
    sent INT NOT NULL,
    PRIMARY KEY (user_id),
    KEY friend_request_counts_since (since)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE friend_request_counts;
ALTER TABLE friend_requests DROP KEY friend_requests_end, DROP COLUMN announced_at;
ALTER TABLE apps DROP COLUMN friend_request_daily_limit;
