-- +goose Up
-- previous_secret_hash is the secret before the last rotation, which stays valid beside the present
-- one until previous_secret_ends_at; NULL and 0 if the rotation ended it at once.
ALTER TABLE apps ADD COLUMN previous_secret_hash BLOB;
ALTER TABLE apps ADD COLUMN previous_secret_ends_at INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE apps DROP COLUMN previous_secret_hash;
ALTER TABLE apps DROP COLUMN previous_secret_ends_at;
