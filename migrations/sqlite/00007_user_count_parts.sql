-- +goose Up
-- The counts of users of apps without a limit, in parts: see internal/headcount.
CREATE TABLE user_count_parts (
    app_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    registered INTEGER NOT NULL,
    deactivated INTEGER NOT NULL,
    PRIMARY KEY (app_id, part)
) WITHOUT ROWID;
INSERT INTO user_count_parts (app_id, part, registered, deactivated)
    WITH RECURSIVE parts (part) AS (SELECT 0 UNION ALL SELECT part + 1 FROM parts WHERE part < 63)
    SELECT apps.id, parts.part, 0, 0 FROM apps CROSS JOIN parts
    WHERE apps.environment = 'PRODUCTION' AND apps.edition <> 'STANDARD';

-- +goose Down
UPDATE apps SET
    registered_user_count = registered_user_count + COALESCE((SELECT SUM(registered) FROM user_count_parts WHERE app_id = apps.id), 0),
    deactivated_user_count = deactivated_user_count + COALESCE((SELECT SUM(deactivated) FROM user_count_parts WHERE app_id = apps.id), 0);
DROP TABLE user_count_parts;
