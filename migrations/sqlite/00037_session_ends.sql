-- +goose Up
-- How sessions of operators ended that did not expire, to tell the operator at its next request.
CREATE TABLE operator_session_ends (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL,
    operator_id INTEGER NOT NULL,
    reason TEXT NOT NULL,
    ended_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operator_session_ends_token ON operator_session_ends (token_hash);
CREATE INDEX operator_session_ends_ended ON operator_session_ends (ended_at);

-- +goose Down
DROP TABLE operator_session_ends;
