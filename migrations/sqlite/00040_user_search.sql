-- +goose Up
-- search_name has the ID too, and is in the index that searches read alone. Nodes bring the values of
-- earlier releases into this form.
CREATE INDEX users_app_name ON users (app_id, search_name, id);
DROP INDEX users_app_created;
CREATE INDEX users_app_created ON users (app_id, created_at, id, search_name);

-- +goose Down
DROP INDEX users_app_name;
DROP INDEX users_app_created;
CREATE INDEX users_app_created ON users (app_id, created_at, id);
