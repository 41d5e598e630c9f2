-- +goose Up
-- An owner's rows are stored together in the order of its list: position increases with each
-- subscription, even within one millisecond.
CREATE TABLE status_subscriptions (
    user_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    target_id BIGINT NOT NULL,
    subscribed_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, position, target_id),
    UNIQUE KEY status_subscriptions_pair (user_id, target_id),
    KEY status_subscriptions_target (target_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE status_subscriptions;
