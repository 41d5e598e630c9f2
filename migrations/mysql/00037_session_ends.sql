-- +goose Up
-- How sessions of operators ended that did not expire, to tell the operator at its next request.
CREATE TABLE operator_session_ends (
    id BIGINT NOT NULL AUTO_INCREMENT,
    token_hash VARBINARY(32) NOT NULL,
    operator_id BIGINT NOT NULL,
    reason VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ended_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_session_ends_token (token_hash),
    KEY operator_session_ends_ended (ended_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE operator_session_ends;
