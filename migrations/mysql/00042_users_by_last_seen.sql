-- +goose Up
-- The index has the ID before deactivated_at, so that it also orders users by when they were last seen.
ALTER TABLE users ADD INDEX users_app_active_new (app_id, presence, presence_at, id, deactivated_at);
ALTER TABLE users DROP INDEX users_app_active;
ALTER TABLE users RENAME INDEX users_app_active_new TO users_app_active;

-- +goose Down
ALTER TABLE users ADD INDEX users_app_active_new (app_id, presence, presence_at, deactivated_at);
ALTER TABLE users DROP INDEX users_app_active;
ALTER TABLE users RENAME INDEX users_app_active_new TO users_app_active;
