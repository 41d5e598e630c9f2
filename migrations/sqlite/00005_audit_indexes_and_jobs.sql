-- +goose Up
-- The audit by actor, by action and by target, each the newest first.
CREATE INDEX audit_entries_actor ON audit_entries (actor, at, id);
CREATE INDEX audit_entries_action ON audit_entries (action, at, id);
CREATE INDEX audit_entries_target ON audit_entries (target, at, id);

-- Work that continues after its request. seen_at is when its node last reported progress.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    state TEXT NOT NULL,
    total INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
);
CREATE INDEX jobs_app_started ON jobs (app_id, started_at, id);

-- +goose Down
DROP TABLE jobs;
DROP INDEX audit_entries_target;
DROP INDEX audit_entries_action;
DROP INDEX audit_entries_actor;
