-- +goose Up
-- format is that of the requests to the endpoint.
ALTER TABLE webhook_endpoints ADD COLUMN format TEXT NOT NULL DEFAULT 'rollcall';

-- +goose Down
ALTER TABLE webhook_endpoints DROP COLUMN format;
