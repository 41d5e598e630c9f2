-- +goose Up
-- The rows of friend requests that belong to their senders, as those in friend_requests belong to the
-- recipients. The primary key stores a sender's rows in the order of its list. Nodes of earlier releases
-- write friend_requests only, and read its indexes that begin with from_id.
CREATE TABLE sent_friend_requests (
    from_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    id INTEGER NOT NULL,
    to_id INTEGER NOT NULL,
    message TEXT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (from_id, created_at, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX sent_friend_requests_pair ON sent_friend_requests (from_id, to_id);
CREATE INDEX sent_friend_requests_id ON sent_friend_requests (id);
CREATE INDEX sent_friend_requests_to ON sent_friend_requests (to_id);
CREATE INDEX sent_friend_requests_pending ON sent_friend_requests (from_id, expires_at);
CREATE INDEX sent_friend_requests_end ON sent_friend_requests (expires_at);

INSERT INTO sent_friend_requests (from_id, created_at, id, to_id, message, expires_at)
SELECT from_id, created_at, id, to_id, message, expires_at FROM friend_requests;

-- +goose Down
DROP TABLE sent_friend_requests;
