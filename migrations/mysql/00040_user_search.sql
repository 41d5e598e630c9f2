-- +goose Up
-- search_name has the ID too, and is in the index that searches read alone. Nodes bring the values of
-- earlier releases into this form.
ALTER TABLE users
    DROP INDEX users_app_created,
    ADD INDEX users_app_created (app_id, created_at, id, search_name),
    ADD INDEX users_app_name (app_id, search_name, id);

-- +goose Down
ALTER TABLE users
    DROP INDEX users_app_name,
    DROP INDEX users_app_created,
    ADD INDEX users_app_created (app_id, created_at, id);
