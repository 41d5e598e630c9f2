-- +goose Up
-- A connection of an App Server that was opened under another generation must be closed.
ALTER TABLE apps ADD COLUMN connection_generation INT NOT NULL DEFAULT 0;

-- The nodes that have connections of App Servers. seen_at is a time of the database's clock.
CREATE TABLE connection_nodes (
    id BIGINT NOT NULL,
    name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The open connections of App Servers. closing: an operator has asked for it to be closed.
CREATE TABLE app_connections (
    id BIGINT NOT NULL,
    app_id BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    transport VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_agent VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    generation INT NOT NULL,
    closing BOOLEAN NOT NULL,
    connected_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY app_connections_app (app_id, connected_at, id),
    KEY app_connections_node (node_id, closing)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE app_connections;
DROP TABLE connection_nodes;
ALTER TABLE apps DROP COLUMN connection_generation;
