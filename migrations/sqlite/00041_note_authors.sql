-- +goose Up
-- The operators.id of the author of a note, because a later operator may have the same name. 0: the note
-- was written before this column existed.
ALTER TABLE user_notes ADD COLUMN author_id INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE user_notes DROP COLUMN author_id;
