-- +goose Up
-- The place of an entry in the chain, and the hash of the entry with that of the entry before. They are
-- NULL until the entry is chained, soon after its commit.
ALTER TABLE audit_entries ADD COLUMN chain_number BIGINT NULL, ADD COLUMN chain_hash VARBINARY(32) NULL;
ALTER TABLE audit_entries ADD KEY audit_entries_chain (chain_number, id);

-- The ends of the chain, in one row with the key 1: the last entry, and the last one that was deleted
-- because of its age, after which the chain begins.
CREATE TABLE audit_chains (
    id BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    last_hash VARBINARY(32) NOT NULL,
    anchor_number BIGINT NOT NULL,
    anchor_hash VARBINARY(32) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE audit_chains;
ALTER TABLE audit_entries DROP KEY audit_entries_chain;
ALTER TABLE audit_entries DROP COLUMN chain_hash, DROP COLUMN chain_number;
