-- +goose Up
-- Short-lived values of the console, encrypted under keys that only the operators' browsers have.
-- content is NULL while a key is only reserved.
CREATE TABLE sealed_values (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL,
    content BLOB NULL,
    expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX sealed_values_digest ON sealed_values (digest);
CREATE INDEX sealed_values_expires ON sealed_values (expires_at);

-- +goose Down
DROP TABLE sealed_values;
