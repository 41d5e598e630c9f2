-- +goose Up
-- The lengths and reasons that the console offers for bans of the app's users, one a line.
ALTER TABLE apps ADD COLUMN ban_presets VARCHAR(4000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE apps DROP COLUMN ban_presets;
