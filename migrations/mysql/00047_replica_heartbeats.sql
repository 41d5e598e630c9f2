-- +goose Up
-- A row of each node that has a replica for reads that may be late. The node increases the number
-- regularly, and finds at the replica how late that is. at: a time of the database's clock.
CREATE TABLE replica_heartbeats (
    node_id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (node_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE replica_heartbeats;
