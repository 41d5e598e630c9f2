-- +goose Up
-- The statistics of an app in each minute of the last hours and in each hour of the last month.
-- span is the length of a bucket in milliseconds.
CREATE TABLE app_figures (
    app_id BIGINT NOT NULL,
    span BIGINT NOT NULL,
    begins_at BIGINT NOT NULL,
    registrations BIGINT NOT NULL,
    peak_online BIGINT NOT NULL,
    PRIMARY KEY (app_id, span, begins_at),
    KEY app_figures_age (span, begins_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE app_figures;
