-- +goose Up
-- has_second_factor reports whether a login needs one. method is how the session was begun.
ALTER TABLE operators ADD COLUMN has_second_factor BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE operator_sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'password';

-- The secrets of operators' authenticator apps, encrypted under the token keys. confirmed_at is 0
-- until the operator has entered a code. last_step is the period of the last code that was used.
CREATE TABLE operator_totps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    last_step INTEGER NOT NULL
);
CREATE INDEX operator_totps_operator ON operator_totps (operator_id);

-- used_at is 0 until the code is used.
CREATE TABLE operator_recovery_codes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id INTEGER NOT NULL,
    code_hash BLOB NOT NULL,
    used_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operator_recovery_codes_code ON operator_recovery_codes (operator_id, code_hash);

-- Logins with the right password that still need a second factor.
CREATE TABLE operator_pending_logins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL,
    operator_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operator_pending_logins_token ON operator_pending_logins (token_hash);
CREATE INDEX operator_pending_logins_operator ON operator_pending_logins (operator_id);

-- +goose Down
DROP TABLE operator_pending_logins;
DROP TABLE operator_recovery_codes;
DROP TABLE operator_totps;
ALTER TABLE operator_sessions DROP COLUMN method;
ALTER TABLE operators DROP COLUMN has_second_factor;
