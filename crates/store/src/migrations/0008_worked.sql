-- How long runs were at work, for the answers that are counted.
ALTER TABLE usage_by_day ADD COLUMN worked_millis INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_by_session ADD COLUMN worked_millis INTEGER NOT NULL DEFAULT 0;
