-- +goose Up
-- confirmed_at is when the operator last confirmed its password in the session, or 0 if it has not.
ALTER TABLE operator_sessions ADD COLUMN confirmed_at INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE operator_sessions DROP COLUMN confirmed_at;
