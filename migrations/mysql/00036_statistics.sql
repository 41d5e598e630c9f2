-- +goose Up
-- The statistics of an app in each minute of the last hours, and in each hour and each day (UTC) of
-- the last two years. daily_active and monthly_active are the users that were online in the 24 hours
-- and the 30 days before the bucket's last count. The others count decisions whether a message may
-- be sent.
ALTER TABLE app_figures
    ADD COLUMN bans BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN daily_active BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN monthly_active BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN allowed BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN sender_not_found BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN sender_deactivated BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN sender_banned BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN recipient_not_found BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN recipient_deactivated BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN not_in_whitelist BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN blocked_by_recipient BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN not_friends BIGINT NOT NULL DEFAULT 0;
CREATE INDEX ban_records_at ON ban_records (banned_at);
CREATE INDEX users_app_active ON users (app_id, presence, presence_at, deactivated_at);

-- +goose Down
DROP INDEX users_app_active ON users;
DROP INDEX ban_records_at ON ban_records;
ALTER TABLE app_figures
    DROP COLUMN not_friends,
    DROP COLUMN blocked_by_recipient,
    DROP COLUMN not_in_whitelist,
    DROP COLUMN recipient_deactivated,
    DROP COLUMN recipient_not_found,
    DROP COLUMN sender_banned,
    DROP COLUMN sender_deactivated,
    DROP COLUMN sender_not_found,
    DROP COLUMN allowed,
    DROP COLUMN monthly_active,
    DROP COLUMN daily_active,
    DROP COLUMN bans;
DELETE FROM app_figures WHERE span = 86400000;
