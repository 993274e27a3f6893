-- How conversations are kept, and what of them a model is shown.
ALTER TABLE sessions ADD COLUMN category TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN pinned_at INTEGER;
ALTER TABLE sessions ADD COLUMN archived_at INTEGER;
-- The model that answers in it, as `provider/model`; empty for its agent's.
ALTER TABLE sessions ADD COLUMN model TEXT NOT NULL DEFAULT '';
-- The first journal entry that a model is shown.
ALTER TABLE sessions ADD COLUMN context_from INTEGER NOT NULL DEFAULT 1 CHECK (context_from > 0);
-- How many delegations lie above it.
ALTER TABLE sessions ADD COLUMN depth INTEGER NOT NULL DEFAULT 0 CHECK (depth >= 0);
-- Set when it was deleted: the key is free again from then on, and the rows go piece by piece.
ALTER TABLE sessions ADD COLUMN deleted_at INTEGER;
-- What it was called then, and whether what was said is to be kept in a file.
ALTER TABLE sessions ADD COLUMN former_key TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN archive TEXT NOT NULL DEFAULT ''
    CHECK (archive IN ('', 'wanted', 'done'));

CREATE INDEX sessions_deleted ON sessions (id) WHERE deleted_at IS NOT NULL;

-- Row ids that were given out and are gone: none is given out twice, so that a late writer of a
-- conversation that was deleted finds nothing, whatever came after.
CREATE TABLE generations (
    name TEXT    NOT NULL PRIMARY KEY CHECK (name = 'sessions'),
    last INTEGER NOT NULL CHECK (last >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO generations VALUES ('sessions', 0);

-- Where conversations began anew. What was said stays, and a reset can be taken back.
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

-- Runs that somebody delegated. The row is there from the run's acceptance on.
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
CREATE INDEX children_held ON children (parent) WHERE held = 1;
CREATE INDEX children_by_reap ON children (reap_at) WHERE reap_at IS NOT NULL;

-- What a conversation is to be told at its next turn: each row once, in this order.
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
    settled_at  INTEGER,
    CHECK ((state = 'waiting') = (settled_at IS NULL)),
    CHECK ((state = 'consumed') = (consumed_by <> '')),
    CHECK (state <> 'waiting' OR session IS NOT NULL)
) STRICT;

CREATE INDEX inbox_waiting ON inbox (session, id) WHERE state = 'waiting';

-- Commands in the background, while they run: what is here after a start has ended with the gateway.
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

-- Operations of tools that somebody is to approve, each for one use.
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

-- Operations that are approved for good: of one agent, on behalf of one holder.
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

-- Everything that was approved for a device since it was last paired, and by whom: an approval that adds
-- something is a row, and none is overwritten by a later one.
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

INSERT INTO approvals
SELECT device, role, 1, approved, approved_by, approved_at, via, via_id FROM device_roles
WHERE revoked_at IS NULL;

-- Where the answer goes, as JSON: bound to the message. Empty when it did not come from a channel.
ALTER TABLE runs ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';
-- How often it was begun again, after the gateway had stopped while it was at work.
ALTER TABLE runs ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0 CHECK (resumed >= 0);
-- The newest summary of what was said before, and the first entry that it does not stand for.
ALTER TABLE sessions ADD COLUMN summary_entry INTEGER;
ALTER TABLE sessions ADD COLUMN first_kept INTEGER;

-- What becomes of a message that comes in while its conversation is busy; the run that took it in, and ends
-- it with itself; and what is left of messages that gave way to it, a line each.
ALTER TABLE runs ADD COLUMN queue_mode TEXT NOT NULL DEFAULT 'followup'
    CHECK (queue_mode IN ('collect', 'followup', 'interrupt', 'steer'));
ALTER TABLE runs ADD COLUMN merged_into TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN dropped TEXT NOT NULL DEFAULT '';

CREATE INDEX runs_merged ON runs (merged_into) WHERE merged_into <> '';

-- What models have used, by day in UTC, agent and model; and by conversation and model, as long as it is there.
CREATE TABLE usage_by_day (
    day           INTEGER NOT NULL,
    agent         TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    answers       INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    PRIMARY KEY (day, agent, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_by_session (
    session       INTEGER NOT NULL REFERENCES sessions (id),
    model         TEXT    NOT NULL,
    answers       INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    PRIMARY KEY (session, model)
) STRICT, WITHOUT ROWID;
