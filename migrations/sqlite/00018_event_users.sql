-- +goose Up
-- The users of which an event with several users holds personal values, so that these are found when
-- a user is erased.
CREATE TABLE event_users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL,
    app_id INTEGER NOT NULL,
    subject TEXT NOT NULL,
    occurred_at INTEGER NOT NULL
);
CREATE INDEX event_users_subject ON event_users (app_id, subject);
CREATE INDEX event_users_occurred ON event_users (occurred_at);

-- +goose Down
DROP TABLE event_users;
