-- +goose Up
-- search_name has the ID too, and is in the index that searches read alone. Nodes bring the values of
-- earlier releases into this form. TiDB cannot replace an index in one statement, and without an index
-- nodes of an earlier release could not list users until the new one is built.
ALTER TABLE users
    ADD INDEX users_app_name (app_id, search_name, id),
    ADD INDEX users_app_created_new (app_id, created_at, id, search_name);
ALTER TABLE users DROP INDEX users_app_created;
ALTER TABLE users RENAME INDEX users_app_created_new TO users_app_created;

-- +goose Down
ALTER TABLE users
    DROP INDEX users_app_name,
    ADD INDEX users_app_created_new (app_id, created_at, id);
ALTER TABLE users DROP INDEX users_app_created;
ALTER TABLE users RENAME INDEX users_app_created_new TO users_app_created;
