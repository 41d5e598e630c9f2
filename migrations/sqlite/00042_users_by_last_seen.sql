-- +goose Up
-- The index has the ID before deactivated_at, so that it also orders users by when they were last seen.
DROP INDEX users_app_active;
CREATE INDEX users_app_active ON users (app_id, presence, presence_at, id, deactivated_at);

-- +goose Down
DROP INDEX users_app_active;
CREATE INDEX users_app_active ON users (app_id, presence, presence_at, deactivated_at);
