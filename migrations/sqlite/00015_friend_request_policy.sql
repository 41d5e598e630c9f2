-- +goose Up
-- friend_request_policy is what a friend request to a user does: ANYONE, APPROVAL or NOBODY. A
-- user's is NULL unless it has chosen its own; the app's applies then.
ALTER TABLE apps ADD COLUMN friend_request_policy TEXT NOT NULL DEFAULT 'APPROVAL';
ALTER TABLE users ADD COLUMN friend_request_policy TEXT NULL;

-- +goose Down
ALTER TABLE users DROP COLUMN friend_request_policy;
ALTER TABLE apps DROP COLUMN friend_request_policy;
