-- +goose Up
-- profile_edit_enabled allows users to change their own name and avatar.
ALTER TABLE apps ADD COLUMN profile_edit_enabled BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE apps DROP COLUMN profile_edit_enabled;
