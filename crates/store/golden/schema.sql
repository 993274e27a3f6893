CREATE TRIGGER approval_requested AFTER INSERT ON tool_approvals
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.requested_at, 'approval.requested', NEW.id, key, agent, NEW.state, NEW.on_behalf_of
    FROM sessions WHERE id = NEW.session;
END;

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

CREATE TABLE approvals (
    device      TEXT    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    role        TEXT    NOT NULL CHECK (role IN ('operator', 'node')),
    number      INTEGER NOT NULL CHECK (number > 0),
    scopes      TEXT    NOT NULL CHECK (scopes <> ''),
    approved_by TEXT    NOT NULL,
    approved_at INTEGER NOT NULL,
    via         TEXT    NOT NULL CHECK (via IN ('request', 'invitation')),
    via_id      TEXT    NOT NULL,
    PRIMARY KEY (device, role, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq          INTEGER NOT NULL PRIMARY KEY,
    at           INTEGER NOT NULL,
    principal    TEXT    NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    decision     TEXT    NOT NULL CHECK (decision IN ('allowed', 'denied', 'failed')),
    reason       TEXT    NOT NULL,
    cause        TEXT    NOT NULL,
    count        INTEGER NOT NULL CHECK (count > 0),
    digest       BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT;

CREATE TABLE audit_chain (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq    INTEGER NOT NULL,
    digest BLOB    NOT NULL CHECK (length(digest) = 32)
) STRICT;

CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'audit records are never changed'); END;

CREATE TABLE audit_segments (
    first_seq INTEGER NOT NULL PRIMARY KEY,
    last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
    digest    BLOB    NOT NULL CHECK (length(digest) = 32),
    sealed_at INTEGER NOT NULL,
    seal      BLOB    NOT NULL CHECK (length(seal) = 32)
) STRICT;

CREATE TABLE chat_people (
    channel     TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    sender      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    -- The holder of the grant that theirs rests on, and how they were let in.
    approved_by TEXT    NOT NULL,
    via         TEXT    NOT NULL CHECK (via IN ('approval', 'configuration')),
    approved_at INTEGER NOT NULL,
    PRIMARY KEY (channel, account, sender)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_requests (
    channel      TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    sender       TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    code         TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL, decision TEXT NOT NULL DEFAULT ''
    CHECK (decision IN ('', 'approved', 'rejected')), decided_at INTEGER,
    PRIMARY KEY (channel, account, sender)
) STRICT, WITHOUT ROWID;

CREATE TABLE children (
    run          INTEGER NOT NULL PRIMARY KEY REFERENCES runs (id),
    -- The conversation that was opened for it: what it was given binds every turn there.
    session      INTEGER NOT NULL UNIQUE REFERENCES sessions (id),
    -- The conversation that is told what came of it, while there is one, and the run in it that delegated.
    parent       INTEGER REFERENCES sessions (id),
    parent_run   INTEGER REFERENCES runs (id),
    label        TEXT    NOT NULL,
    task         TEXT    NOT NULL,
    model        TEXT    NOT NULL,
    cleanup      TEXT    NOT NULL CHECK (cleanup IN ('delete', 'keep')),
    -- The tools that it may use, with spaces between, and what it is capable of.
    tools        TEXT    NOT NULL,
    capabilities TEXT    NOT NULL,
    -- How many tokens one run of it may use; absent, as many as its agent's.
    max_tokens   INTEGER CHECK (max_tokens > 0),
    -- Whether its parent has yielded, and goes on only when all such have been heard.
    held         INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    created_at   INTEGER NOT NULL,
    -- From when on its conversation may be removed; absent while its parent is to be told.
    reap_at      INTEGER
) STRICT;

CREATE INDEX children_by_parent ON children (parent, run);

CREATE INDEX children_by_reap ON children (reap_at) WHERE reap_at IS NOT NULL;

CREATE INDEX children_held ON children (parent) WHERE held = 1;

CREATE INDEX children_open ON children (parent) WHERE reap_at IS NULL;

CREATE INDEX cron_ended ON cron_occurrences (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE cron_jobs (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job        TEXT    NOT NULL UNIQUE,
    -- The name under which it is given again and again; empty for none.
    key        TEXT    NOT NULL,
    name       TEXT    NOT NULL CHECK (name <> ''),
    agent      TEXT    NOT NULL,
    -- On whose behalf, and the scopes that it was added with. What the owner has by then is asked when it
    -- is due.
    owner      TEXT    NOT NULL REFERENCES grants (holder),
    scopes     TEXT    NOT NULL,
    -- The conversation in which it was added, and where that one's answers go; empty for none.
    created_in TEXT    NOT NULL,
    reply_to   TEXT    NOT NULL,
    -- When it is due and what it does, as JSON.
    spec       TEXT    NOT NULL,
    revision   INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Why it is not due at all; empty when it is.
    disabled   TEXT    NOT NULL DEFAULT '',
    -- Its next instant; absent when there is none.
    next_at    INTEGER,
    -- Instants before this one are left out.
    not_before INTEGER,
    -- How often it failed in a row.
    failures   INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- What its owner is still to be told of it, and when that was last decided.
    notice     TEXT    NOT NULL DEFAULT '' CHECK (notice IN ('', 'disabled', 'failing')),
    told_at    INTEGER,
    deleted_at INTEGER,
    CHECK (next_at IS NULL OR (disabled = '' AND deleted_at IS NULL))
) STRICT;

CREATE UNIQUE INDEX cron_jobs_by_key ON cron_jobs (key) WHERE key <> '' AND deleted_at IS NULL;

CREATE INDEX cron_jobs_by_name ON cron_jobs (name, id) WHERE deleted_at IS NULL;

CREATE INDEX cron_jobs_by_owner ON cron_jobs (owner) WHERE deleted_at IS NULL;

CREATE INDEX cron_jobs_by_place ON cron_jobs (created_in) WHERE created_in <> '' AND deleted_at IS NULL;

CREATE INDEX cron_jobs_deleted ON cron_jobs (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE INDEX cron_jobs_due ON cron_jobs (next_at) WHERE next_at IS NOT NULL;

CREATE INDEX cron_jobs_to_tell ON cron_jobs (id) WHERE notice <> '';

CREATE TABLE cron_occurrences (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job          INTEGER NOT NULL REFERENCES cron_jobs (id),
    scheduled_at INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    count        INTEGER NOT NULL CHECK (count > 0),
    state        TEXT    NOT NULL CHECK (state IN
        ('cancelled', 'claimed', 'failed', 'lost', 'missed', 'ran', 'skipped')),
    reason       TEXT    NOT NULL DEFAULT '',
    -- Whether somebody asked for it, and under which name.
    requested    TEXT    NOT NULL DEFAULT '',
    -- Not to be begun before.
    start_at     INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    run          TEXT    NOT NULL DEFAULT '',
    session      TEXT    NOT NULL DEFAULT '',
    started_at   INTEGER,
    ended_at     INTEGER,
    text         TEXT    NOT NULL DEFAULT '',
    UNIQUE (job, scheduled_at),
    CHECK (until >= scheduled_at),
    CHECK (count > 1 OR until = scheduled_at),
    CHECK ((state = 'claimed') = (ended_at IS NULL))
) STRICT;

CREATE INDEX cron_open ON cron_occurrences (job) WHERE state = 'claimed';

CREATE TABLE cron_totals (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    jobs INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT;

CREATE INDEX cron_waiting ON cron_occurrences (start_at, id)
    WHERE state = 'claimed' AND started_at IS NULL;

CREATE TRIGGER delivery_queued AFTER INSERT ON outbox
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'delivery.queued', NEW.delivery, NEW.session,
        coalesce((SELECT agent FROM sessions WHERE key = NEW.session), ''), NEW.state, NEW.on_behalf_of);
END;

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

CREATE TABLE device_roles (
    device      TEXT    NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    role        TEXT    NOT NULL CHECK (role IN ('operator', 'node')),
    approved    TEXT    NOT NULL,
    granted     TEXT    NOT NULL,
    approved_by TEXT    NOT NULL,
    approved_at INTEGER NOT NULL,
    via         TEXT    NOT NULL CHECK (via IN ('request', 'invitation')),
    via_id      TEXT    NOT NULL,
    revoked_at  INTEGER,
    PRIMARY KEY (device, role),
    CHECK ((revoked_at IS NULL) = (approved <> '')),
    CHECK (revoked_at IS NULL OR granted = '')
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    id           TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 64),
    holder       TEXT    NOT NULL UNIQUE REFERENCES grants (holder) CHECK (holder = 'device:' || id),
    public_key   BLOB    NOT NULL UNIQUE CHECK (length(public_key) = 32),
    label        TEXT    NOT NULL DEFAULT '',
    name         TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    last_address TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

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

CREATE TABLE generations (
    name TEXT    NOT NULL PRIMARY KEY CHECK (name = 'sessions'),
    last INTEGER NOT NULL CHECK (last >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    holder   TEXT    NOT NULL PRIMARY KEY,
    epoch    INTEGER NOT NULL CHECK (epoch > 0),
    ended_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    holder         TEXT    NOT NULL REFERENCES grants (holder),
    method         TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    request_digest BLOB    NOT NULL CHECK (length(request_digest) = 32),
    result         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (holder, method, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE inbox (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    session     INTEGER REFERENCES sessions (id),
    -- What it is about: a run that was delegated, or a command, by its id. One row for each.
    source      TEXT    NOT NULL UNIQUE,
    -- The conversation in which that ran; empty for a command.
    child       TEXT    NOT NULL,
    label       TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    -- The run that it came of, and the grant that this rested on.
    run          TEXT    NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    grant_epoch  INTEGER NOT NULL,
    grant_scopes TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('consumed', 'dead', 'discarded', 'waiting')),
    consumed_by TEXT    NOT NULL DEFAULT '',
    reason      TEXT    NOT NULL DEFAULT '',
    settled_at  INTEGER, kind TEXT NOT NULL DEFAULT 'end' CHECK (kind IN ('end', 'event')), context TEXT NOT NULL DEFAULT '', reply_to TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'waiting') = (settled_at IS NULL)),
    CHECK ((state = 'consumed') = (consumed_by <> '')),
    CHECK (state <> 'waiting' OR session IS NOT NULL)
) STRICT;

CREATE INDEX inbox_waiting ON inbox (session, id) WHERE state = 'waiting';

CREATE TABLE invitations (
    id          TEXT    NOT NULL PRIMARY KEY,
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes      TEXT    NOT NULL CHECK (scopes <> ''),
    issuer      TEXT    NOT NULL REFERENCES grants (holder),
    issued_by   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL CHECK (expires_at > created_at),
    redeemed_at INTEGER,
    redeemed_by TEXT,
    revoked_at  INTEGER,
    CHECK ((redeemed_at IS NULL) = (redeemed_by IS NULL))
) STRICT, WITHOUT ROWID;

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

CREATE TABLE journal (
    session INTEGER NOT NULL REFERENCES sessions (id),
    entry   INTEGER NOT NULL CHECK (entry > 0),
    run     INTEGER NOT NULL REFERENCES runs (id),
    at      INTEGER NOT NULL,
    record  TEXT    NOT NULL,
    PRIMARY KEY (session, entry)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER occurrence_ended AFTER UPDATE OF state ON cron_occurrences
WHEN OLD.state = 'claimed' AND NEW.state <> 'claimed'
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    SELECT NEW.ended_at, 'cron.ended', job, NEW.session, agent, NEW.state, owner FROM cron_jobs
    WHERE id = NEW.job;
END;

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

CREATE TABLE outbox (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    delivery     TEXT    NOT NULL UNIQUE,
    -- What it is of: a run, a request. What there is of one leaves once.
    source       TEXT    NOT NULL UNIQUE,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    channel      TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    peer         TEXT    NOT NULL,
    thread       TEXT    NOT NULL,
    -- The message on the platform that it answers; empty for none.
    answers      TEXT    NOT NULL,
    text         TEXT    NOT NULL,
    media        TEXT    NOT NULL,
    -- What can be answered with one touch, as JSON: labels, and what they say.
    buttons      TEXT    NOT NULL,
    session      TEXT    NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    grant_epoch  INTEGER NOT NULL,
    grant_scopes TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN
        ('dead', 'discarded', 'partial', 'sending', 'sent', 'unknown', 'waiting')),
    -- In how many parts it goes, once that is known, and the platform's receipts of those that went.
    parts        INTEGER NOT NULL DEFAULT 0,
    receipts     TEXT    NOT NULL DEFAULT '[]',
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL,
    fence        INTEGER NOT NULL DEFAULT 0,
    lease_until  INTEGER,
    error        TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    settled_at   INTEGER, poll TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'sending') = (lease_until IS NOT NULL)),
    CHECK ((state IN ('sending', 'waiting')) = (settled_at IS NULL))
) STRICT;

CREATE INDEX outbox_lost ON outbox (settled_at, id) WHERE state IN ('dead', 'partial', 'unknown');

CREATE INDEX outbox_open ON outbox (channel, account, peer, thread, id)
    WHERE state IN ('sending', 'waiting');

CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

CREATE INDEX outbox_waiting ON outbox (channel, account, next_at, id) WHERE state = 'waiting';

CREATE INDEX pairing_by_age ON pairing_requests (state, created_at);

CREATE TRIGGER pairing_changed AFTER UPDATE OF revision ON pairing_requests
WHEN OLD.revision IS NOT NEW.revision
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.wished_at, 'pairing.changed', NEW.id, '', '', NEW.state, 'device:' || NEW.device);
END;

CREATE TABLE pairing_history (
    request  TEXT    NOT NULL REFERENCES pairing_requests (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL CHECK (revision > 0),
    wish     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (request, revision)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX pairing_pending ON pairing_requests (device, kind) WHERE state = 'pending';

CREATE TRIGGER pairing_requested AFTER INSERT ON pairing_requests
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'pairing.requested', NEW.id, '', '', NEW.state, 'device:' || NEW.device);
END;

CREATE TABLE pairing_requests (
    id         TEXT    NOT NULL PRIMARY KEY,
    device     TEXT    NOT NULL CHECK (length(device) = 64),
    public_key BLOB    NOT NULL CHECK (length(public_key) = 32),
    kind       TEXT    NOT NULL CHECK (kind IN ('not-paired', 'role-upgrade', 'scope-upgrade')),
    role       TEXT    NOT NULL CHECK (role IN ('operator', 'node')),
    revision   INTEGER NOT NULL CHECK (revision > 0),
    wish       TEXT    NOT NULL CHECK (wish <> ''),
    wished_at  INTEGER NOT NULL,
    held       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'expired')),
    decided_at INTEGER,
    decided_by TEXT    NOT NULL DEFAULT '',
    granted    TEXT    NOT NULL DEFAULT '',
    CHECK ((state = 'pending') = (decided_at IS NULL)),
    CHECK ((state = 'approved') = (granted <> ''))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER pairing_resolved AFTER UPDATE OF state ON pairing_requests
WHEN OLD.state = 'pending' AND NEW.state <> 'pending'
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.decided_at, 'pairing.resolved', NEW.id, '', '', NEW.state, 'device:' || NEW.device);
END;

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

CREATE TABLE present (
    device TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE processes (
    id           TEXT    NOT NULL PRIMARY KEY,
    session      INTEGER NOT NULL REFERENCES sessions (id),
    run          TEXT    NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    grant_epoch  INTEGER NOT NULL,
    grant_scopes TEXT    NOT NULL,
    command      TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    -- The conversation that is told of its end, and whether any is.
    told         TEXT    NOT NULL,
    notify       INTEGER NOT NULL CHECK (notify IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX processes_by_session ON processes (session);

CREATE TABLE resets (
    session        INTEGER NOT NULL REFERENCES sessions (id),
    number         INTEGER NOT NULL CHECK (number > 0),
    context_before INTEGER NOT NULL,
    context_from   INTEGER NOT NULL,
    -- The summary that stood for what was before, and the first entry that it does not stand for.
    summary_before INTEGER,
    kept_before    INTEGER,
    by             TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    at             INTEGER NOT NULL,
    undone_by      TEXT    NOT NULL DEFAULT '',
    undone_at      INTEGER,
    PRIMARY KEY (session, number),
    CHECK ((undone_at IS NULL) = (undone_by = ''))
) STRICT, WITHOUT ROWID;

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

CREATE TABLE runs (
    id             INTEGER NOT NULL PRIMARY KEY,
    run_id         TEXT    NOT NULL UNIQUE,
    session        INTEGER NOT NULL REFERENCES sessions (id),
    on_behalf_of   TEXT    NOT NULL REFERENCES grants (holder),
    grant_epoch    INTEGER NOT NULL,
    grant_scopes   TEXT    NOT NULL,
    request_digest BLOB    NOT NULL CHECK (length(request_digest) = 32),
    status         TEXT    NOT NULL CHECK (status IN
        ('queued', 'running', 'ok', 'error', 'timeout', 'aborted', 'interrupted')),
    message        TEXT    NOT NULL DEFAULT '',
    timeout_ms     INTEGER NOT NULL CHECK (timeout_ms >= 0),
    fence          INTEGER,
    lease_until    INTEGER,
    answer_entry   INTEGER,
    error          TEXT    NOT NULL DEFAULT '',
    input_tokens   INTEGER NOT NULL DEFAULT 0,
    output_tokens  INTEGER NOT NULL DEFAULT 0,
    cached_tokens  INTEGER NOT NULL DEFAULT 0,
    accepted_at    INTEGER NOT NULL,
    started_at     INTEGER,
    ended_at       INTEGER, reply_to TEXT NOT NULL DEFAULT '', resumed INTEGER NOT NULL DEFAULT 0 CHECK (resumed >= 0), queue_mode TEXT NOT NULL DEFAULT 'followup'
    CHECK (queue_mode IN ('collect', 'followup', 'interrupt', 'steer')), merged_into TEXT NOT NULL DEFAULT '', dropped TEXT NOT NULL DEFAULT '', occurrence INTEGER, withheld TEXT NOT NULL DEFAULT '',
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status IN ('queued', 'running')) = (ended_at IS NULL))
) STRICT;

CREATE INDEX runs_by_session ON runs (session, id);

CREATE INDEX runs_live ON runs (status, session, id) WHERE status IN ('queued', 'running');

CREATE INDEX runs_merged ON runs (merged_into) WHERE merged_into <> '';

CREATE TRIGGER session_changed AFTER UPDATE OF label, category, pinned_at, archived_at, model, send_policy
    ON sessions
WHEN (OLD.label, OLD.category, OLD.pinned_at, OLD.archived_at, OLD.model, OLD.send_policy)
    IS NOT (NEW.label, NEW.category, NEW.pinned_at, NEW.archived_at, NEW.model, NEW.send_policy)
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (coalesce(NEW.changed_at, NEW.updated_at), 'session.changed', NEW.key, NEW.key, NEW.agent,
        CASE WHEN NEW.archived_at IS NULL THEN '' ELSE 'archived' END, NEW.owner);
END;

CREATE TRIGGER session_created AFTER INSERT ON sessions
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.created_at, 'session.created', NEW.key, NEW.key, NEW.agent, '', NEW.owner);
END;

CREATE TRIGGER session_deleted AFTER UPDATE OF deleted_at ON sessions
WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
BEGIN
    INSERT INTO event_log (at, kind, subject, session, agent, state, owner)
    VALUES (NEW.deleted_at, 'session.deleted', OLD.key, OLD.key, NEW.agent, '', NEW.owner);
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

CREATE TABLE sessions (
    id            INTEGER NOT NULL PRIMARY KEY,
    key           TEXT    NOT NULL UNIQUE,
    agent         TEXT    NOT NULL,
    owner         TEXT    NOT NULL REFERENCES grants (holder),
    label         TEXT    NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    fence         INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),
    active_run    INTEGER REFERENCES runs (id),
    entries       INTEGER NOT NULL DEFAULT 0 CHECK (entries >= 0),
    total_runs    INTEGER NOT NULL DEFAULT 0,
    input_tokens  INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0
, category TEXT NOT NULL DEFAULT '', pinned_at INTEGER, archived_at INTEGER, model TEXT NOT NULL DEFAULT '', context_from INTEGER NOT NULL DEFAULT 1 CHECK (context_from > 0), depth INTEGER NOT NULL DEFAULT 0 CHECK (depth >= 0), deleted_at INTEGER, former_key TEXT NOT NULL DEFAULT '', archive TEXT NOT NULL DEFAULT ''
    CHECK (archive IN ('', 'wanted', 'done')), summary_entry INTEGER, first_kept INTEGER, changed_at INTEGER, send_policy TEXT NOT NULL DEFAULT ''
    CHECK (send_policy IN ('', 'allow', 'deny'))) STRICT;

CREATE INDEX sessions_deleted ON sessions (id) WHERE deleted_at IS NOT NULL;

CREATE INDEX sessions_denied ON sessions (id) WHERE send_policy = 'deny';

CREATE INDEX sessions_recent ON sessions (updated_at, id);

CREATE TABLE sqlite_sequence(name,seq);

CREATE TABLE standing_approvals (
    id           TEXT    NOT NULL PRIMARY KEY,
    agent        TEXT    NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    -- Of the grant that it was approved for: a revocation ends it.
    grant_epoch  INTEGER NOT NULL,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    operation    TEXT    NOT NULL,
    created_by   TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    uses         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (agent, on_behalf_of, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    holder       TEXT    NOT NULL UNIQUE REFERENCES grants (holder) CHECK (holder = 'token:' || id),
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes       TEXT    NOT NULL CHECK (scopes <> ''),
    issuer       TEXT    NOT NULL REFERENCES grants (holder),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL CHECK (expires_at > created_at),
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_issuer ON tokens (issuer);

CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;

CREATE TABLE tool_approvals (
    id           TEXT    NOT NULL PRIMARY KEY,
    session      INTEGER NOT NULL REFERENCES sessions (id),
    run          TEXT    NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    -- SHA-256 over all that the operation is, and the same for people, as JSON.
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    operation    TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('approved', 'denied', 'expired', 'pending', 'used')),
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    decided_by   TEXT    NOT NULL DEFAULT '',
    decided_at   INTEGER,
    reason       TEXT    NOT NULL DEFAULT '',
    used_by      TEXT    NOT NULL DEFAULT '',
    CHECK ((state = 'used') = (used_by <> ''))
) STRICT, WITHOUT ROWID;

CREATE INDEX tool_approvals_by_session ON tool_approvals (session, digest);

CREATE INDEX tool_approvals_open ON tool_approvals (run) WHERE state IN ('approved', 'pending');

CREATE TABLE usage_by_day (
    day           INTEGER NOT NULL,
    agent         TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    answers       INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL, worked_millis INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, agent, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_by_session (
    session       INTEGER NOT NULL REFERENCES sessions (id),
    model         TEXT    NOT NULL,
    answers       INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL, worked_millis INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session, model)
) STRICT, WITHOUT ROWID;

