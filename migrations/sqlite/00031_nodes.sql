-- +goose Up
-- The nodes of the service that run, or ended without stopping. seen_at is a time of the database's
-- clock. place: the host and the address that the node listens at.
CREATE TABLE service_nodes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    place TEXT NOT NULL,
    version TEXT NOT NULL,
    stopping BOOLEAN NOT NULL,
    devices INTEGER NOT NULL,
    database_micros INTEGER NOT NULL,
    redis_micros INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
);
CREATE INDEX service_nodes_seen ON service_nodes (seen_at);

-- +goose Down
DROP TABLE service_nodes;
