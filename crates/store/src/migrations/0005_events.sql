-- What has happened, in the order in which it was written, for whoever watches. It holds no words of
-- conversations and no secrets. The triggers below write it in the step of the change itself: no way of
-- changing something can forget it, and what is undone was never told.
CREATE TABLE event_log (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- When it happened, by the row that it is of.
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind <> ''),
    -- The id of what it happened to.
    subject TEXT    NOT NULL CHECK (subject <> ''),
    -- The conversation and the agent that it belongs to; empty for none.
    session TEXT    NOT NULL,
    agent   TEXT    NOT NULL,
    -- What it is now, in a word; empty when the kind says all.
    state   TEXT    NOT NULL,
    -- The holder of the grant that it rests on; empty for none.
    owner   TEXT    NOT NULL
) STRICT;

CREATE TRIGGER event_log_is_append_only BEFORE UPDATE ON event_log
BEGIN SELECT raise(ABORT, 'events are never changed'); END;

-- Devices that are connected: their events may be kept no longer than they are.
CREATE TABLE present (
    device TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- When somebody changed it last.
ALTER TABLE sessions ADD COLUMN changed_at INTEGER;

CREATE TRIGGER session_created AFTER INSERT ON sessions
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'session.created', NEW.key, NEW.key, NEW.agent, '', NEW.owner);
END;

CREATE TRIGGER session_changed AFTER UPDATE OF label, category, pinned_at, archived_at, model ON sessions
WHEN (OLD.label, OLD.category, OLD.pinned_at, OLD.archived_at, OLD.model)
    IS NOT (NEW.label, NEW.category, NEW.pinned_at, NEW.archived_at, NEW.model)
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (coalesce(NEW.changed_at, NEW.updated_at), 'session.changed', NEW.key, NEW.key, NEW.agent,
        CASE WHEN NEW.archived_at IS NULL THEN '' ELSE 'archived' END, NEW.owner);
END;

CREATE TRIGGER session_reset AFTER INSERT ON resets
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.at, 'session.reset', key, key, agent, 'done', owner FROM sessions WHERE id = NEW.session;
END;

CREATE TRIGGER session_reset_undone AFTER UPDATE OF undone_at ON resets
WHEN OLD.undone_at IS NULL AND NEW.undone_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.undone_at, 'session.reset', key, key, agent, 'undone', owner FROM sessions
    WHERE id = NEW.session;
END;

CREATE TRIGGER session_deleted AFTER UPDATE OF deleted_at ON sessions
WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.deleted_at, 'session.deleted', OLD.key, OLD.key, NEW.agent, '', NEW.owner);
END;

CREATE TRIGGER run_accepted AFTER INSERT ON runs
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.accepted_at, 'run.accepted', NEW.run_id, key, agent, 'queued', NEW.on_behalf_of
    FROM sessions WHERE id = NEW.session;
    -- One that starts at once was never a queued row.
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.started_at, 'run.started', NEW.run_id, key, agent, 'running', NEW.on_behalf_of
    FROM sessions WHERE id = NEW.session AND NEW.status = 'running';
END;

-- One that is put back goes on after the next start; its conversation has the time.
CREATE TRIGGER run_moved AFTER UPDATE OF status ON runs
WHEN OLD.status IS NOT NEW.status
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT
        CASE NEW.status WHEN 'running' THEN NEW.started_at WHEN 'queued' THEN updated_at
            ELSE NEW.ended_at END,
        CASE NEW.status WHEN 'running' THEN 'run.started' WHEN 'queued' THEN 'run.suspended'
            ELSE 'run.ended' END,
        NEW.run_id, key, agent, NEW.status, NEW.on_behalf_of
    FROM sessions WHERE id = NEW.session;
END;

CREATE TRIGGER job_added AFTER INSERT ON cron_jobs
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'cron.added', NEW.job, NEW.created_in, NEW.agent, NEW.disabled, NEW.owner);
END;

CREATE TRIGGER job_changed AFTER UPDATE OF revision, disabled ON cron_jobs
WHEN (OLD.revision, OLD.disabled) IS NOT (NEW.revision, NEW.disabled)
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.updated_at,
        CASE WHEN OLD.disabled = '' AND NEW.disabled <> '' THEN 'cron.disabled' ELSE 'cron.changed' END,
        NEW.job, NEW.created_in, NEW.agent, NEW.disabled, NEW.owner);
END;

CREATE TRIGGER job_removed AFTER UPDATE OF deleted_at ON cron_jobs
WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.deleted_at, 'cron.removed', NEW.job, NEW.created_in, NEW.agent, '', NEW.owner);
END;

-- What was missed or left out has ended without having begun: one event for a row, however many instants.
CREATE TRIGGER occurrence_left_out AFTER INSERT ON cron_occurrences
WHEN NEW.ended_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.ended_at, 'cron.ended', job, NEW.session, agent, NEW.state, owner FROM cron_jobs
    WHERE id = NEW.job;
END;

CREATE TRIGGER occurrence_started AFTER UPDATE OF started_at ON cron_occurrences
WHEN OLD.started_at IS NULL AND NEW.started_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.started_at, 'cron.started', job, NEW.session, agent, NEW.state, owner FROM cron_jobs
    WHERE id = NEW.job;
END;

CREATE TRIGGER occurrence_ended AFTER UPDATE OF state ON cron_occurrences
WHEN OLD.state = 'claimed' AND NEW.state <> 'claimed'
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.ended_at, 'cron.ended', job, NEW.session, agent, NEW.state, owner FROM cron_jobs
    WHERE id = NEW.job;
END;

CREATE TRIGGER delivery_queued AFTER INSERT ON outbox
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'delivery.queued', NEW.delivery, NEW.session,
        coalesce((SELECT agent FROM sessions WHERE key = NEW.session), ''), NEW.state, NEW.on_behalf_of);
END;

-- One that had settled waits again.
CREATE TRIGGER delivery_queued_again AFTER UPDATE OF settled_at ON outbox
WHEN OLD.settled_at IS NOT NULL AND NEW.settled_at IS NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.next_at, 'delivery.queued', NEW.delivery, NEW.session,
        coalesce((SELECT agent FROM sessions WHERE key = NEW.session), ''), NEW.state, NEW.on_behalf_of);
END;

CREATE TRIGGER delivery_settled AFTER UPDATE OF state ON outbox
WHEN OLD.state IS NOT NEW.state AND NEW.settled_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.settled_at, 'delivery.settled', NEW.delivery, NEW.session,
        coalesce((SELECT agent FROM sessions WHERE key = NEW.session), ''), NEW.state, NEW.on_behalf_of);
END;

CREATE TRIGGER pairing_requested AFTER INSERT ON pairing_requests
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'pairing.requested', NEW.id, '', '', NEW.state, 'device:' || NEW.device);
END;

CREATE TRIGGER pairing_changed AFTER UPDATE OF revision ON pairing_requests
WHEN OLD.revision IS NOT NEW.revision
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.wished_at, 'pairing.changed', NEW.id, '', '', NEW.state, 'device:' || NEW.device);
END;

CREATE TRIGGER pairing_resolved AFTER UPDATE OF state ON pairing_requests
WHEN OLD.state = 'pending' AND NEW.state <> 'pending'
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.decided_at, 'pairing.resolved', NEW.id, '', '', NEW.state, 'device:' || NEW.device);
END;

-- What was decided about a request of somebody in chats before its row goes, and when; one that goes
-- undecided has expired.
ALTER TABLE chat_requests ADD COLUMN decision TEXT NOT NULL DEFAULT ''
    CHECK (decision IN ('', 'approved', 'rejected'));
ALTER TABLE chat_requests ADD COLUMN decided_at INTEGER;

CREATE TRIGGER person_requested AFTER INSERT ON chat_requests
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.requested_at, 'channels.pairing.requested',
        NEW.channel || ':' || NEW.account || ':' || NEW.sender, '', '', 'pending', '');
END;

CREATE TRIGGER person_resolved AFTER DELETE ON chat_requests
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (coalesce(OLD.decided_at, OLD.expires_at), 'channels.pairing.resolved',
        OLD.channel || ':' || OLD.account || ':' || OLD.sender, '', '',
        CASE OLD.decision WHEN '' THEN 'expired' ELSE OLD.decision END, '');
END;

CREATE TRIGGER approval_requested AFTER INSERT ON tool_approvals
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.requested_at, 'approval.requested', NEW.id, key, agent, NEW.state, NEW.on_behalf_of
    FROM sessions WHERE id = NEW.session;
END;

-- One that nobody answered ends when its time is up, or with the run that asked.
CREATE TRIGGER approval_resolved AFTER UPDATE OF state ON tool_approvals
WHEN OLD.state = 'pending' AND NEW.state <> 'pending'
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT
        coalesce(NEW.decided_at,
            min(NEW.expires_at, (SELECT ended_at FROM runs WHERE run_id = NEW.run)), NEW.expires_at),
        'approval.resolved', NEW.id, key, agent, NEW.state, NEW.on_behalf_of
    FROM sessions WHERE id = NEW.session;
END;
