-- Devices that were approved at some time. The id is the digest of the key, and the holder is the id.
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

-- What was approved for a device in a role, and how much of it its tokens carry.
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

-- Requests to be paired, or for more than was approved. A device has one of each kind that waits.
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

CREATE UNIQUE INDEX pairing_pending ON pairing_requests (device, kind) WHERE state = 'pending';
CREATE INDEX pairing_by_age ON pairing_requests (state, created_at);

-- What a request asked for before it changed.
CREATE TABLE pairing_history (
    request  TEXT    NOT NULL REFERENCES pairing_requests (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL CHECK (revision > 0),
    wish     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (request, revision)
) STRICT, WITHOUT ROWID;

-- Invitations. Of the secret only a keyed hash is kept, and the key is not in this file.
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

-- API tokens. Of the secret only a keyed hash is kept.
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

CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;
CREATE INDEX tokens_by_issuer ON tokens (issuer);
