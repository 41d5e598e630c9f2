-- +goose Up
-- What a key is for, and when a signing key is retired.
ALTER TABLE token_keys
    ADD COLUMN purpose VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'sign',
    ADD COLUMN retires_at BIGINT NULL;

-- +goose Down
DELETE FROM token_keys WHERE purpose <> 'sign';
ALTER TABLE token_keys
    DROP COLUMN retires_at,
    DROP COLUMN purpose;
