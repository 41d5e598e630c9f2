-- +goose Up
-- Nothing to change. From this version on, the free space of a file contains no deleted data; see
-- Migrate in internal/database.

-- +goose Down
