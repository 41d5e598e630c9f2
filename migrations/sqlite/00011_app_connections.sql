-- +goose Up
-- A connection of an App Server that was opened under another generation must be closed.
ALTER TABLE apps ADD COLUMN connection_generation INTEGER NOT NULL DEFAULT 0;

-- The nodes that have connections of App Servers. seen_at is a time of the database's clock.
CREATE TABLE connection_nodes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    seen_at INTEGER NOT NULL
);

-- The open connections of App Servers. closing: an operator has asked for it to be closed.
CREATE TABLE app_connections (
    id INTEGER PRIMARY KEY,
    app_id INTEGER NOT NULL,
    node_id INTEGER NOT NULL,
    transport TEXT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    generation INTEGER NOT NULL,
    closing BOOLEAN NOT NULL,
    connected_at INTEGER NOT NULL
);
CREATE INDEX app_connections_app ON app_connections (app_id, connected_at, id);
CREATE INDEX app_connections_node ON app_connections (node_id, closing);

-- +goose Down
DROP TABLE app_connections;
DROP TABLE connection_nodes;
ALTER TABLE apps DROP COLUMN connection_generation;
