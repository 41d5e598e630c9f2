-- +goose Up
-- Operators' passkeys (WebAuthn). credential is the public key with what belongs to it, as JSON.
-- last_used_at is 0 until the first use.
CREATE TABLE operator_passkeys (
    id BIGINT NOT NULL AUTO_INCREMENT,
    operator_id BIGINT NOT NULL,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    credential_hash VARBINARY(32) NOT NULL,
    credential BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_passkeys_credential (credential_hash),
    KEY operator_passkeys_operator (operator_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Challenges that a passkey has signed, so that each is accepted once.
CREATE TABLE operator_challenges (
    id BIGINT NOT NULL AUTO_INCREMENT,
    challenge_hash VARBINARY(32) NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY operator_challenges_challenge (challenge_hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE operator_challenges;
DROP TABLE operator_passkeys;
