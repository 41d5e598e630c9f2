-- +goose Up
-- Every ban of a user, until the user is erased. banned_by and ended_by are the actors, as in the
-- audit, or NULL if unknown. ended_at is NULL unless the ban was lifted or replaced; ending says which.
CREATE TABLE ban_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    banned_at INTEGER NOT NULL,
    banned_by TEXT NULL,
    banned_until INTEGER NOT NULL,
    reason TEXT NULL,
    ended_at INTEGER NULL,
    ended_by TEXT NULL,
    ending TEXT NULL
);
CREATE INDEX ban_records_user ON ban_records (user_id, banned_at, id);

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
