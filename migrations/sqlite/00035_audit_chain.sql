-- +goose Up
-- The place of an entry in the chain, and the hash of the entry with that of the entry before. They are
-- NULL until the entry is chained, soon after its commit.
ALTER TABLE audit_entries ADD COLUMN chain_number INTEGER NULL;
ALTER TABLE audit_entries ADD COLUMN chain_hash BLOB NULL;
CREATE INDEX audit_entries_chain ON audit_entries (chain_number, id);

-- The ends of the chain, in one row with the key 1: the last entry, and the last one that was deleted
-- because of its age, after which the chain begins.
CREATE TABLE audit_chains (
    id INTEGER PRIMARY KEY,
    last_number INTEGER NOT NULL,
    last_hash BLOB NOT NULL,
    anchor_number INTEGER NOT NULL,
    anchor_hash BLOB NOT NULL
);

-- +goose Down
DROP TABLE audit_chains;
DROP INDEX audit_entries_chain;
ALTER TABLE audit_entries DROP COLUMN chain_hash;
ALTER TABLE audit_entries DROP COLUMN chain_number;
