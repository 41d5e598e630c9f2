-- +goose Up
-- The statistics of an app in each minute of the last hours, and in each hour and each day (UTC) of
-- the last two years. daily_active and monthly_active are the users that were online in the 24 hours
-- and the 30 days before the bucket's last count. The others count decisions whether a message may
-- be sent.
ALTER TABLE app_figures ADD COLUMN bans INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN daily_active INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN monthly_active INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN allowed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN sender_not_found INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN sender_deactivated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN sender_banned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN recipient_not_found INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN recipient_deactivated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN not_in_whitelist INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN blocked_by_recipient INTEGER NOT NULL DEFAULT 0;
ALTER TABLE app_figures ADD COLUMN not_friends INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ban_records_at ON ban_records (banned_at);
CREATE INDEX users_app_active ON users (app_id, presence, presence_at, deactivated_at);

-- +goose Down
DROP INDEX users_app_active;
DROP INDEX ban_records_at;
ALTER TABLE app_figures DROP COLUMN not_friends;
ALTER TABLE app_figures DROP COLUMN blocked_by_recipient;
ALTER TABLE app_figures DROP COLUMN not_in_whitelist;
ALTER TABLE app_figures DROP COLUMN recipient_deactivated;
ALTER TABLE app_figures DROP COLUMN recipient_not_found;
ALTER TABLE app_figures DROP COLUMN sender_banned;
ALTER TABLE app_figures DROP COLUMN sender_deactivated;
ALTER TABLE app_figures DROP COLUMN sender_not_found;
ALTER TABLE app_figures DROP COLUMN allowed;
ALTER TABLE app_figures DROP COLUMN monthly_active;
ALTER TABLE app_figures DROP COLUMN daily_active;
ALTER TABLE app_figures DROP COLUMN bans;
DELETE FROM app_figures WHERE span = 86400000;
