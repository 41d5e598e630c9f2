-- +goose Up
-- all_apps: the role is for all apps. Otherwise it is for those in app_ids, comma-separated.
ALTER TABLE operators ADD COLUMN all_apps BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE operators ADD COLUMN app_ids VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';
-- Admins managed operators, as owners do now.
UPDATE operators SET role = 'owner' WHERE role = 'admin';

-- +goose Down
-- Operators must not gain rights: those who cannot manage operators become viewers, and those who
-- are for named apps only are deleted with their sessions.
DELETE FROM operator_sessions WHERE operator_id IN (SELECT id FROM operators WHERE all_apps = FALSE);
DELETE FROM operators WHERE all_apps = FALSE;
UPDATE operators SET role = 'viewer' WHERE role <> 'owner';
UPDATE operators SET role = 'admin' WHERE role = 'owner';
ALTER TABLE operators DROP COLUMN app_ids;
ALTER TABLE operators DROP COLUMN all_apps;
