-- +goose Up
-- The lengths and reasons that the console offers for bans of the app's users, one a line.
ALTER TABLE apps ADD COLUMN ban_presets TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE apps DROP COLUMN ban_presets;
