-- +goose Up
-- Operators' passkeys (WebAuthn). credential is the public key with what belongs to it, as JSON.
-- last_used_at is 0 until the first use.
CREATE TABLE operator_passkeys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operator_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    credential_hash BLOB NOT NULL,
    credential BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operator_passkeys_credential ON operator_passkeys (credential_hash);
CREATE INDEX operator_passkeys_operator ON operator_passkeys (operator_id);

-- Challenges that a passkey has signed, so that each is accepted once.
CREATE TABLE operator_challenges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    challenge_hash BLOB NOT NULL,
    used_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX operator_challenges_challenge ON operator_challenges (challenge_hash);

-- +goose Down
DROP TABLE operator_challenges;
DROP TABLE operator_passkeys;
