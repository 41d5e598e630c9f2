-- +goose Up
-- The audit by actor, by action and by target, each the newest first.
ALTER TABLE audit_entries
    ADD KEY audit_entries_actor (actor, at, id),
    ADD KEY audit_entries_action (action, at, id),
    ADD KEY audit_entries_target (target, at, id);

-- Work that continues after its request. seen_at is when its node last reported progress.
CREATE TABLE jobs (
    id BIGINT NOT NULL AUTO_INCREMENT,
    app_id BIGINT NOT NULL,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    total INT NOT NULL,
    handled INT NOT NULL,
    changed INT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (id),
    KEY jobs_app_started (app_id, started_at, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE jobs;
ALTER TABLE audit_entries
    DROP KEY audit_entries_target,
    DROP KEY audit_entries_action,
    DROP KEY audit_entries_actor;
