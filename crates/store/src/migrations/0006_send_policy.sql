-- Whether what is said in a conversation may leave; empty when it has no policy of its own.
ALTER TABLE sessions ADD COLUMN send_policy TEXT NOT NULL DEFAULT ''
    CHECK (send_policy IN ('', 'allow', 'deny'));

-- Those of which nothing leaves are few, and looked for whenever somebody sends something.
CREATE INDEX sessions_denied ON sessions (id) WHERE send_policy = 'deny';

-- Why what a run answered did not leave; empty when it did, or was not to.
ALTER TABLE runs ADD COLUMN withheld TEXT NOT NULL DEFAULT '';

DROP TRIGGER session_changed;

CREATE TRIGGER session_changed AFTER UPDATE OF label, category, pinned_at, archived_at, model, send_policy
    ON sessions
WHEN (OLD.label, OLD.category, OLD.pinned_at, OLD.archived_at, OLD.model, OLD.send_policy)
    IS NOT (NEW.label, NEW.category, NEW.pinned_at, NEW.archived_at, NEW.model, NEW.send_policy)
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (coalesce(NEW.changed_at, NEW.updated_at), 'session.changed', NEW.key, NEW.key, NEW.agent,
        CASE WHEN NEW.archived_at IS NULL THEN '' ELSE 'archived' END, NEW.owner);
END;
