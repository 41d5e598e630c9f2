-- +goose Up
-- What a key is for, and when a signing key is retired.
ALTER TABLE token_keys ADD COLUMN purpose TEXT NOT NULL DEFAULT 'sign';
ALTER TABLE token_keys ADD COLUMN retires_at INTEGER NULL;

-- +goose Down
ALTER TABLE token_keys DROP COLUMN retires_at;
DELETE FROM token_keys WHERE purpose <> 'sign';
ALTER TABLE token_keys DROP COLUMN purpose;
