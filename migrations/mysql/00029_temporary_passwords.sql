-- +goose Up
-- password_temporary: the password was generated for the operator, which must change it after the login.
ALTER TABLE operators ADD COLUMN password_temporary BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE operators DROP COLUMN password_temporary;
