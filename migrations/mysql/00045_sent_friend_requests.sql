-- +goose Up
-- The rows of friend requests that belong to their senders, as those in friend_requests belong to the
-- recipients. The primary key stores a sender's rows in the order of its list. Nodes of earlier releases
-- write friend_requests only, and read its indexes that begin with from_id.
CREATE TABLE sent_friend_requests (
    from_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    id BIGINT NOT NULL,
    to_id BIGINT NOT NULL,
    message VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (from_id, created_at, id),
    UNIQUE KEY sent_friend_requests_pair (from_id, to_id),
    KEY sent_friend_requests_id (id),
    KEY sent_friend_requests_to (to_id),
    KEY sent_friend_requests_pending (from_id, expires_at),
    KEY sent_friend_requests_end (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT INTO sent_friend_requests (from_id, created_at, id, to_id, message, expires_at)
SELECT from_id, created_at, id, to_id, message, expires_at FROM friend_requests;

-- +goose Down
DROP TABLE sent_friend_requests;
