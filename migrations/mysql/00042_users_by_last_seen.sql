-- +goose Up
-- The index has the ID before deactivated_at, so that it also orders users by when they were last seen.
ALTER TABLE users
    DROP INDEX users_app_active,
    ADD INDEX users_app_active (app_id, presence, presence_at, id, deactivated_at);

-- +goose Down
ALTER TABLE users
    DROP INDEX users_app_active,
    ADD INDEX users_app_active (app_id, presence, presence_at, deactivated_at);
