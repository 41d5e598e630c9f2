-- +goose Up
-- role, all_apps and app_ids are those of the operator that accepts. state: OPEN, ACCEPTED or REVOKED.
CREATE TABLE operator_invitations (
    id BIGINT NOT NULL AUTO_INCREMENT,
    token_hash VARBINARY(32) NOT NULL,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    all_apps BOOLEAN NOT NULL,
    app_ids VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    invited_by VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_invitations_token (token_hash),
    KEY operator_invitations_created (created_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE operator_invitations;
