-- +goose Up
-- Every ban of a user, until the user is erased. banned_by and ended_by are the actors, as in the
-- audit, or NULL if unknown. ended_at is NULL unless the ban was lifted or replaced; ending says which.
CREATE TABLE ban_records (
    id BIGINT NOT NULL AUTO_INCREMENT,
    user_id BIGINT NOT NULL,
    banned_at BIGINT NOT NULL,
    banned_by VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    banned_until BIGINT NOT NULL,
    reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ended_at BIGINT NULL,
    ended_by VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ending VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
    PRIMARY KEY (id),
    KEY ban_records_user (user_id, banned_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The bans that users have now, in force or expired. The audit knows the actor of the last one.
INSERT INTO ban_records (user_id, banned_at, banned_by, banned_until, reason)
SELECT u.id, u.banned_at, (
    SELECT a.actor FROM audit_entries a
    WHERE a.target = u.external_id AND a.app_id = u.app_id AND a.action = 'user.ban'
    ORDER BY a.at DESC, a.id DESC LIMIT 1
), u.banned_until, u.ban_reason
FROM users u WHERE u.banned_until IS NOT NULL AND u.banned_at IS NOT NULL AND u.deactivated_at IS NULL;

-- +goose Down
DROP TABLE ban_records;
