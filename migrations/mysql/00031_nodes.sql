-- +goose Up
-- The nodes of the service that run, or ended without stopping. seen_at is a time of the database's
-- clock. place: the host and the address that the node listens at.
CREATE TABLE service_nodes (
    id BIGINT NOT NULL,
    name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    place VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stopping BOOLEAN NOT NULL,
    devices INT NOT NULL,
    database_micros BIGINT NOT NULL,
    redis_micros BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY service_nodes_seen (seen_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE service_nodes;
