-- Jobs: what is due at certain times.
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

CREATE INDEX cron_jobs_due ON cron_jobs (next_at) WHERE next_at IS NOT NULL;
CREATE UNIQUE INDEX cron_jobs_by_key ON cron_jobs (key) WHERE key <> '' AND deleted_at IS NULL;
CREATE INDEX cron_jobs_by_name ON cron_jobs (name, id) WHERE deleted_at IS NULL;
CREATE INDEX cron_jobs_by_place ON cron_jobs (created_in) WHERE created_in <> '' AND deleted_at IS NULL;
CREATE INDEX cron_jobs_by_owner ON cron_jobs (owner) WHERE deleted_at IS NULL;
CREATE INDEX cron_jobs_to_tell ON cron_jobs (id) WHERE notice <> '';
CREATE INDEX cron_jobs_deleted ON cron_jobs (deleted_at) WHERE deleted_at IS NOT NULL;

-- How many jobs there are: counting a million of them for each new one would take longer than adding it.
CREATE TABLE cron_totals (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    jobs INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT;

INSERT INTO cron_totals VALUES (1, 0);

-- The ledger: one row for each due instant of a job, or for a row of such that were missed or left out.
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

-- Those that are at work, or wait to begin.
CREATE INDEX cron_open ON cron_occurrences (job) WHERE state = 'claimed';
CREATE INDEX cron_waiting ON cron_occurrences (start_at, id)
    WHERE state = 'claimed' AND started_at IS NULL;
CREATE INDEX cron_ended ON cron_occurrences (ended_at) WHERE ended_at IS NOT NULL;

-- The due instant for which a run is.
ALTER TABLE runs ADD COLUMN occurrence INTEGER;

-- What else than an end a conversation is told of: an event, in words, what that is about, and where what it
-- leads to is answered.
ALTER TABLE inbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'end' CHECK (kind IN ('end', 'event'));
ALTER TABLE inbox ADD COLUMN context TEXT NOT NULL DEFAULT '';
ALTER TABLE inbox ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';

-- Everything that leaves the gateway is here first. Where it goes is fixed when it is written.
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
    settled_at   INTEGER,
    CHECK ((state = 'sending') = (lease_until IS NOT NULL)),
    CHECK ((state IN ('sending', 'waiting')) = (settled_at IS NULL))
) STRICT;

CREATE INDEX outbox_waiting ON outbox (channel, account, next_at, id) WHERE state = 'waiting';
CREATE INDEX outbox_open ON outbox (channel, account, peer, thread, id)
    WHERE state IN ('sending', 'waiting');
CREATE INDEX outbox_lost ON outbox (settled_at, id) WHERE state IN ('dead', 'partial', 'unknown');
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

-- People in chats who asked to be let in, while their codes are valid; and those who were.
CREATE TABLE chat_requests (
    channel      TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    sender       TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    code         TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (channel, account, sender)
) STRICT, WITHOUT ROWID;

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
