-- A delivery can be a poll, as JSON; empty for what is none.
ALTER TABLE outbox ADD COLUMN poll TEXT NOT NULL DEFAULT '';
