-- +goose Up
-- Nothing to change; this is a version of SQLite's files.

-- +goose Down
