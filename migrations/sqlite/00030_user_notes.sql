-- +goose Up
-- What operators note about a user, until the user is erased. author is the operator's name, as in the
-- audit.
CREATE TABLE user_notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX user_notes_user ON user_notes (user_id, created_at, id);

-- +goose Down
DROP TABLE user_notes;
