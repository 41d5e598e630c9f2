-- +goose Up
-- secret and previous_secret are encrypted once for each token key. format is that of the requests to
-- the endpoint.
ALTER TABLE webhook_endpoints MODIFY secret VARBINARY(2048) NOT NULL;
ALTER TABLE webhook_endpoints MODIFY previous_secret VARBINARY(2048);
ALTER TABLE webhook_endpoints ADD COLUMN format VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'rollcall';

-- +goose Down
ALTER TABLE webhook_endpoints DROP COLUMN format;
