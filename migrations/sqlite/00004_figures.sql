-- +goose Up
-- The statistics of an app in each minute of the last hours and in each hour of the last month.
-- span is the length of a bucket in milliseconds.
CREATE TABLE app_figures (
    app_id INTEGER NOT NULL,
    span INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    registrations INTEGER NOT NULL,
    peak_online INTEGER NOT NULL,
    PRIMARY KEY (app_id, span, begins_at)
) WITHOUT ROWID;
CREATE INDEX app_figures_age ON app_figures (span, begins_at);

-- +goose Down
DROP TABLE app_figures;
