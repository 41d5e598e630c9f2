-- +goose Up
-- Nothing to change. From this version on, a file has nothing of what was deleted in its
-- free space; see internal/database, Migrate.

-- +goose Down
