-- +goose Up
-- Nothing to change; SQLite's files have a change in this version.

-- +goose Down
