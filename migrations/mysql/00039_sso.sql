-- +goose Up
-- The identity of an operator that logs in at an OpenID Provider. sso_hash is the SHA-256 of issuer
-- and subject, which a collation would compare too loosely. It is NULL for operators with a password.
ALTER TABLE operators ADD COLUMN sso_issuer VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN sso_subject VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN sso_hash VARBINARY(32) NULL;
CREATE UNIQUE INDEX operators_sso ON operators (sso_hash);

-- +goose Down
DROP INDEX operators_sso ON operators;
ALTER TABLE operators DROP COLUMN sso_hash;
ALTER TABLE operators DROP COLUMN sso_subject;
ALTER TABLE operators DROP COLUMN sso_issuer;
