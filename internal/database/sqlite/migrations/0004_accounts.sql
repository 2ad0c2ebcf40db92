-- Accounts, their namespaces and tokens, what was done by whom, and how often
-- things were pulled.

-- One row: the counter that every change of accounts, namespaces and tokens
-- raises. Rows that changed carry its value, so that who has seen one value
-- asks for what came after it.
CREATE TABLE directory (
    id      INTEGER PRIMARY KEY,
    counter INTEGER NOT NULL
) STRICT;

INSERT INTO directory (id, counter) VALUES (1, 0);

-- Rows stay when accounts go: their tokens and namespaces name them.
CREATE TABLE accounts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    removed_at  INTEGER,
    changed     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX accounts_name ON accounts (name) WHERE removed_at IS NULL;
CREATE INDEX accounts_changed ON accounts (changed);

-- A removed namespace is reserved to its owner. The indexes hold removed_at
-- before the name, so that no list walks over what is removed.
CREATE TABLE namespaces (
    name        TEXT NOT NULL PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES accounts (id),
    incarnation TEXT NOT NULL,
    public      INTEGER NOT NULL,
    immutable   TEXT NOT NULL, -- rules, a JSON array
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    removed_at  INTEGER,
    version     INTEGER NOT NULL,
    changed     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX namespaces_there ON namespaces (removed_at, name);
CREATE INDEX namespaces_account ON namespaces (account_id, removed_at, name);
CREATE INDEX namespaces_changed ON namespaces (changed);

-- ended_at is when the token was revoked or expires, whichever comes first.
-- changed and changed_at are of the last revocation or rotation, and NULL
-- before the first: nothing else about a token need be known elsewhere.
CREATE TABLE tokens (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    account_id    INTEGER NOT NULL REFERENCES accounts (id),
    level         TEXT NOT NULL,
    reach         TEXT NOT NULL, -- JSON
    description   TEXT NOT NULL,
    cluster       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    revoked_by    TEXT NOT NULL,
    ended_at      INTEGER,
    generation    INTEGER NOT NULL,
    key_id        TEXT NOT NULL,
    former_key_id TEXT NOT NULL,
    former_until  INTEGER,
    rotated_at    INTEGER,
    request_key   TEXT NOT NULL, -- of the request that made it, '' for none
    last_used_at  INTEGER,
    last_address  TEXT NOT NULL,
    last_client   TEXT NOT NULL,
    pulls         INTEGER NOT NULL,
    last_pull_at  INTEGER,
    changed       INTEGER,
    changed_at    INTEGER
) STRICT;

CREATE INDEX tokens_account ON tokens (account_id, seq);
CREATE INDEX tokens_cluster ON tokens (cluster, seq) WHERE cluster <> '';
CREATE INDEX tokens_key ON tokens (key_id, seq);
CREATE INDEX tokens_former_key ON tokens (former_key_id, seq) WHERE former_key_id <> '';
CREATE INDEX tokens_ended ON tokens (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX tokens_changed ON tokens (changed) WHERE changed IS NOT NULL;
CREATE INDEX tokens_changed_at ON tokens (changed_at) WHERE changed_at IS NOT NULL;
CREATE UNIQUE INDEX tokens_request_key ON tokens (account_id, request_key) WHERE request_key <> '';

CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    happened_at INTEGER NOT NULL,
    account_id  INTEGER NOT NULL, -- 0 for the operator's business
    actor       TEXT NOT NULL,
    token_id    TEXT NOT NULL,
    action      TEXT NOT NULL,
    namespace   TEXT NOT NULL,
    repository  TEXT NOT NULL,
    target      TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    address     TEXT NOT NULL,
    client      TEXT NOT NULL,
    request     TEXT NOT NULL,
    times       INTEGER NOT NULL
) STRICT;

CREATE INDEX audit_happened ON audit (happened_at, id);
CREATE INDEX audit_account ON audit (account_id, id);
CREATE INDEX audit_token ON audit (token_id, id) WHERE token_id <> '';
CREATE INDEX audit_repository ON audit (repository, id) WHERE repository <> '';
CREATE INDEX audit_namespace ON audit (namespace, id) WHERE namespace <> '';
CREATE INDEX audit_action ON audit (action, id);

-- Counts of what is there: they go with the repository, tag or manifest.
CREATE TABLE pulls (
    repository TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL, -- '' for the repository itself
    total      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (repository, kind, name)
) STRICT, WITHOUT ROWID;

-- Whose namespace it was, and in which life, when the entry was made; 0 for
-- nobody's.
ALTER TABLE trash ADD COLUMN account_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trash ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';

CREATE INDEX trash_account ON trash (account_id, id);

-- A repository's manifests, the newest first.
CREATE INDEX manifests_repository ON manifests (repository_id, id);

-- Provided images: repositories of one path element.
CREATE INDEX repositories_provided ON repositories (name) WHERE name NOT LIKE '%/%';
