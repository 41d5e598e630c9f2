-- +goose Up
-- A row of each node that has a replica for reads that may be late, which only MySQL can have. at: a
-- time of the database's clock.
CREATE TABLE replica_heartbeats (
    node_id TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE replica_heartbeats;
