-- +goose Up
-- The identity of an operator that logs in at an OpenID Provider. sso_hash is the SHA-256 of issuer
-- and subject, which a collation would compare too loosely. It is NULL for operators with a password.
ALTER TABLE operators ADD COLUMN sso_issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN sso_subject TEXT NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN sso_hash BLOB NULL;
CREATE UNIQUE INDEX operators_sso ON operators (sso_hash);

-- +goose Down
DROP INDEX operators_sso;
ALTER TABLE operators DROP COLUMN sso_hash;
ALTER TABLE operators DROP COLUMN sso_subject;
ALTER TABLE operators DROP COLUMN sso_issuer;
