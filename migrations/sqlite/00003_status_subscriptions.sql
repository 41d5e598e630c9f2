-- +goose Up
-- An owner's rows are stored together in the order of its list: position increases with each
-- subscription, even within one millisecond.
CREATE TABLE status_subscriptions (
    user_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    target_id INTEGER NOT NULL,
    subscribed_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, position, target_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX status_subscriptions_pair ON status_subscriptions (user_id, target_id);
CREATE INDEX status_subscriptions_target ON status_subscriptions (target_id);

-- +goose Down
DROP TABLE status_subscriptions;
