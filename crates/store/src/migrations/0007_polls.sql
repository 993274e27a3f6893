-- A delivery can be a poll, as JSON; empty for what is none.
ALTER TABLE outbox ADD COLUMN poll TEXT NOT NULL DEFAULT '';

-- Those whose end is still to be told, or to come.
CREATE INDEX children_open ON children (parent) WHERE reap_at IS NULL;
