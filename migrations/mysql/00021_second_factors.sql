-- +goose Up
-- has_second_factor reports whether a login needs one. method is how the session was begun.
ALTER TABLE operators ADD COLUMN has_second_factor BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE operator_sessions ADD COLUMN method VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'password';

-- The secrets of operators' authenticator apps, encrypted under the token keys. confirmed_at is 0
-- until the operator has entered a code. last_step is the period of the last code that was used.
CREATE TABLE operator_totps (
    id BIGINT NOT NULL AUTO_INCREMENT,
    operator_id BIGINT NOT NULL,
    secret VARBINARY(2048) NOT NULL,
    created_at BIGINT NOT NULL,
    confirmed_at BIGINT NOT NULL,
    last_step BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY operator_totps_operator (operator_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- used_at is 0 until the code is used.
CREATE TABLE operator_recovery_codes (
    id BIGINT NOT NULL AUTO_INCREMENT,
    operator_id BIGINT NOT NULL,
    code_hash VARBINARY(32) NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_recovery_codes_code (operator_id, code_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Logins with the right password that still need a second factor.
CREATE TABLE operator_pending_logins (
    id BIGINT NOT NULL AUTO_INCREMENT,
    token_hash VARBINARY(32) NOT NULL,
    operator_id BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_pending_logins_token (token_hash),
    KEY operator_pending_logins_operator (operator_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE operator_pending_logins;
DROP TABLE operator_recovery_codes;
DROP TABLE operator_totps;
ALTER TABLE operator_sessions DROP COLUMN method;
ALTER TABLE operators DROP COLUMN has_second_factor;
