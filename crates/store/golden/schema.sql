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

CREATE TABLE journal (
    session INTEGER NOT NULL REFERENCES sessions (id),
    entry   INTEGER NOT NULL CHECK (entry > 0),
    run     INTEGER NOT NULL REFERENCES runs (id),
    at      INTEGER NOT NULL,
    record  TEXT    NOT NULL,
    PRIMARY KEY (session, entry)
) STRICT, WITHOUT ROWID;

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
    ended_at       INTEGER,
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status IN ('queued', 'running')) = (ended_at IS NULL))
) STRICT;

CREATE INDEX runs_by_session ON runs (session, id);

CREATE INDEX runs_live ON runs (status, session, id) WHERE status IN ('queued', 'running');

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
) STRICT;

CREATE INDEX sessions_recent ON sessions (updated_at, id);

