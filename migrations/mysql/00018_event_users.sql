-- +goose Up
-- The users of which an event with several users holds personal values, so that these are found when
-- a user is erased.
CREATE TABLE event_users (
    id BIGINT NOT NULL AUTO_INCREMENT,
    event_id BIGINT NOT NULL,
    app_id BIGINT NOT NULL,
    subject VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    occurred_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY event_users_subject (app_id, subject),
    KEY event_users_occurred (occurred_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
ALTER TABLE events MODIFY personal MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;

-- +goose Down
DROP TABLE event_users;
