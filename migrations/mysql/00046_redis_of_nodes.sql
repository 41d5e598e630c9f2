-- +goose Up
-- redis_id is a random text that the node has read from its Redis: nodes with the same Redis have the
-- same. It is empty for a node of an earlier release.
ALTER TABLE service_nodes ADD COLUMN redis_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE service_nodes DROP COLUMN redis_id;
