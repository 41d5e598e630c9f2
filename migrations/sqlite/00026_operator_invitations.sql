-- +goose Up
-- role, all_apps and app_ids are those of the operator that accepts. state: OPEN, ACCEPTED or REVOKED.
CREATE TABLE operator_invitations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    all_apps BOOLEAN NOT NULL,
    app_ids TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operator_invitations_token ON operator_invitations (token_hash);
CREATE INDEX operator_invitations_created ON operator_invitations (created_at);

-- +goose Down
DROP TABLE operator_invitations;
