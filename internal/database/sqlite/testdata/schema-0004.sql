PRAGMA foreign_keys = OFF;
BEGIN;
CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
INSERT INTO schema_migrations VALUES (1, 1770091506000007);
INSERT INTO schema_migrations VALUES (2, 1770091506000007);
INSERT INTO schema_migrations VALUES (3, 1770091506000007);
INSERT INTO schema_migrations VALUES (4, 1770091506000007);
CREATE TABLE repositories (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    incarnation TEXT NOT NULL, -- random: a repository made again is another one
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX repositories_provided ON repositories (name) WHERE name NOT LIKE '%/%';
INSERT INTO repositories VALUES (1, 'acme/web', 'a3423325317a1d525bfb99203a1d2f19', 1770091506000007);
CREATE TABLE blobs (
    id          INTEGER PRIMARY KEY,
    digest      TEXT NOT NULL UNIQUE,
    size        INTEGER NOT NULL,
    key         TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    unlinked_at INTEGER
, damaged_at INTEGER) STRICT;
CREATE INDEX blobs_unlinked ON blobs (unlinked_at, id) WHERE unlinked_at IS NOT NULL;
INSERT INTO blobs VALUES (1, 'sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85', 5, '00000000000000000000000000000001', 1770091506000007, NULL, NULL);
INSERT INTO blobs VALUES (2, 'sha512:a5e9fd2cfe44591d542b84555c9e28adbd3d092da7c17e0b3c325cdcd0183d0d25f34315527fcacb04d4cc18ea09099c5289309102f0f71360d3df001bc8b3c6', 7, '00000000000000000000000000000002', 1770091506000007, 1770091506000007, NULL);
INSERT INTO blobs VALUES (3, 'sha256:f77391063f3e3b4d0d58854ab265225c77b3aa2dcc43a180c04dafda1c029da2', 9, '00000000000000000000000000000004', 1770091506000007, NULL, 1770091506000007);
CREATE TABLE repository_blobs (
    blob_id       INTEGER NOT NULL REFERENCES blobs (id),
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (blob_id, repository_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blobs_repository ON repository_blobs (repository_id);
INSERT INTO repository_blobs VALUES (1, 1, 1770091506000007);
CREATE TABLE manifest_contents (
    id     INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    body   BLOB NOT NULL
) STRICT;
INSERT INTO manifest_contents VALUES (1, 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157', X'7B226D6564696154797065223A226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C22646967657374223A227368613235363A64616331643763666139353032313736343834396664313032353234653134313438386335653361393066383631646262356131326439616338353834663835222C2273697A65223A357D2C');
INSERT INTO manifest_contents VALUES (2, 'sha256:8ea7527a924134e1f9ceb4f77831b2b60a066551ca791bc4e046e2901eea479b', X'7B226D6564696154797065223A226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C22646967657374223A227368613235363A64616331643763666139353032313736343834396664313032353234653134313438386335653361393066383631646262356131326439616338353834663835222C2273697A65223A357D2C726566657273');
INSERT INTO manifest_contents VALUES (3, 'sha256:9aa7b1fb3d1b5afe15f7256872e350fb5895dd95bf8abc6d6d029925a87dfac5', X'7B226D6564696154797065223A226170706C69636174696F6E2F766E642E6F63692E696D6167652E6C617965722E76312E7461722B677A6970222C22646967657374223A227368613235363A66373733393130363366336533623464306435383835346162323635323235633737623361613264636334336131383063303464616664613163303239646132222C2273697A65223A397D2C');
INSERT INTO manifest_contents VALUES (4, 'sha256:95b347a6ce7650daa8b36f5bbc7e6e083b8457df25e66f90ac3b8bf99e29b0dd', X'696E646578206F66207368613235363A64353539656534376563393037306137373364643235353633366463326330643262653261323236353633333735633061643130623334396533356364313537');
CREATE TABLE manifests (
    id            INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    content_id    INTEGER NOT NULL REFERENCES manifest_contents (id),
    digest        TEXT NOT NULL,
    media_type    TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    size          INTEGER NOT NULL,
    subject       TEXT,
    annotations   TEXT NOT NULL,
    created_at    INTEGER NOT NULL, pulled_at INTEGER,
    UNIQUE (content_id, repository_id)
) STRICT;
CREATE INDEX manifests_subject ON manifests (repository_id, subject, digest);
CREATE INDEX manifests_subject_type ON manifests (repository_id, subject, artifact_type, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifests_repository ON manifests (repository_id, id);
INSERT INTO manifests VALUES (1, 1, 1, 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157', 'application/vnd.oci.image.manifest.v1+json', '', 152, NULL, '', 1770091506000007, 1770091506000007);
INSERT INTO manifests VALUES (2, 1, 2, 'sha256:8ea7527a924134e1f9ceb4f77831b2b60a066551ca791bc4e046e2901eea479b', 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.example', 158, 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157', '{"it''s":"\"quoted\""}', 1770091506000007, NULL);
CREATE TABLE manifest_blobs (
    blob_id       INTEGER NOT NULL,
    repository_id INTEGER NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id),
    PRIMARY KEY (blob_id, repository_id, manifest_id),
    FOREIGN KEY (blob_id, repository_id) REFERENCES repository_blobs (blob_id, repository_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_manifest ON manifest_blobs (manifest_id);
INSERT INTO manifest_blobs VALUES (1, 1, 1);
INSERT INTO manifest_blobs VALUES (1, 1, 2);
CREATE TABLE manifest_children (
    repository_id INTEGER NOT NULL,
    child         TEXT NOT NULL,
    parent_id     INTEGER NOT NULL REFERENCES manifests (id),
    PRIMARY KEY (repository_id, child, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_children_parent ON manifest_children (parent_id);
CREATE TABLE tags (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    name          TEXT NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id),
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_manifest ON tags (manifest_id);
INSERT INTO tags VALUES (1, 'latest', 1, 1770091506000007);
INSERT INTO tags VALUES (1, 'v1', 1, 1770091506000007);
CREATE TABLE uploads (
    id          TEXT NOT NULL PRIMARY KEY,
    repository  TEXT NOT NULL,
    owner       TEXT NOT NULL,
    key         TEXT NOT NULL UNIQUE,
    algorithm   TEXT NOT NULL,
    byte_offset INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    epoch       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_owner ON uploads (owner);
CREATE INDEX uploads_updated ON uploads (updated_at);
INSERT INTO uploads VALUES ('upload', 'acme/web', 'alice', '00000000000000000000000000000003', 'sha256', 0, X'000102', 'epoch', 1770091506000007, 1770091506000007);
CREATE TABLE trash (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    namespace  TEXT NOT NULL, -- first path element of the repository
    repository TEXT NOT NULL, -- '' for a namespace
    name       TEXT NOT NULL,
    deleted_at INTEGER NOT NULL,
    deleted_by TEXT NOT NULL,
    manifests  INTEGER NOT NULL,
    tags       INTEGER NOT NULL,
    bytes      INTEGER NOT NULL
, purged_at INTEGER, account_id INTEGER NOT NULL DEFAULT 0, incarnation TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX trash_namespace ON trash (namespace, id);
CREATE INDEX trash_deleted ON trash (deleted_at, id);
CREATE INDEX trash_purged ON trash (purged_at, id) WHERE purged_at IS NOT NULL;
CREATE INDEX trash_account ON trash (account_id, id);
INSERT INTO trash VALUES (1, 'tag', 'acme', 'acme/web', 'old', 1770091506000007, 'alice', 0, 1, 0, NULL, 1, 'life');
INSERT INTO trash VALUES (2, 'repository', 'acme', 'acme/old', 'acme/old', 1770091506000007, 'alice', 3, 3, 14, NULL, 1, 'life');
INSERT INTO trash VALUES (3, 'namespace', 'gone', '', 'gone', 1770091506000007, 'operator', 0, 0, 0, NULL, 1, 'life');
INSERT INTO sqlite_sequence VALUES ('trash', 3);
INSERT INTO sqlite_sequence VALUES ('accounts', 1);
INSERT INTO sqlite_sequence VALUES ('tokens', 1);
INSERT INTO sqlite_sequence VALUES ('audit', 4);
CREATE TABLE trash_repositories (
    trash_id   INTEGER NOT NULL REFERENCES trash (id),
    repository TEXT NOT NULL,
    PRIMARY KEY (trash_id, repository)
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_repositories_repository ON trash_repositories (repository, trash_id);
INSERT INTO trash_repositories VALUES (2, 'acme/old');
INSERT INTO trash_repositories VALUES (1, 'acme/web');
CREATE TABLE trash_manifests (
    id            INTEGER PRIMARY KEY,
    trash_id      INTEGER NOT NULL REFERENCES trash (id),
    repository    TEXT NOT NULL,
    content_id    INTEGER NOT NULL REFERENCES manifest_contents (id),
    media_type    TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    size          INTEGER NOT NULL,
    subject       TEXT,
    annotations   TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    pulled_at     INTEGER,
    UNIQUE (trash_id, repository, content_id)
) STRICT;
CREATE INDEX trash_manifests_content ON trash_manifests (content_id, trash_id);
CREATE INDEX trash_manifests_subject ON trash_manifests (trash_id, repository, subject) WHERE subject IS NOT NULL;
INSERT INTO trash_manifests VALUES (1, 2, 'acme/old', 1, 'application/vnd.oci.image.manifest.v1+json', '', 152, NULL, '', 1770091506000007, NULL);
INSERT INTO trash_manifests VALUES (2, 2, 'acme/old', 3, 'application/vnd.oci.image.manifest.v1+json', '', 152, NULL, '', 1770091506000007, NULL);
INSERT INTO trash_manifests VALUES (3, 2, 'acme/old', 4, 'application/vnd.oci.image.index.v1+json', '', 80, NULL, '', 1770091506000007, NULL);
CREATE TABLE trash_blobs (
    manifest_id INTEGER NOT NULL REFERENCES trash_manifests (id),
    blob_id     INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (manifest_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_blobs_blob ON trash_blobs (blob_id);
INSERT INTO trash_blobs VALUES (1, 1);
INSERT INTO trash_blobs VALUES (2, 3);
CREATE TABLE trash_children (
    manifest_id INTEGER NOT NULL REFERENCES trash_manifests (id),
    child       TEXT NOT NULL,
    PRIMARY KEY (manifest_id, child)
) STRICT, WITHOUT ROWID;
INSERT INTO trash_children VALUES (3, 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
CREATE TABLE trash_tags (
    trash_id   INTEGER NOT NULL REFERENCES trash (id),
    repository TEXT NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    PRIMARY KEY (trash_id, repository, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_tags_name ON trash_tags (name, trash_id);
INSERT INTO trash_tags VALUES (1, 'acme/web', 'old', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
INSERT INTO trash_tags VALUES (2, 'acme/old', 'index', 'sha256:95b347a6ce7650daa8b36f5bbc7e6e083b8457df25e66f90ac3b8bf99e29b0dd');
INSERT INTO trash_tags VALUES (2, 'acme/old', 'old', 'sha256:9aa7b1fb3d1b5afe15f7256872e350fb5895dd95bf8abc6d6d029925a87dfac5');
INSERT INTO trash_tags VALUES (2, 'acme/old', 'web', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
CREATE TABLE tag_moves (
    id          INTEGER PRIMARY KEY,
    repository  TEXT NOT NULL,
    name        TEXT NOT NULL,
    moved_at    INTEGER NOT NULL,
    moved_by    TEXT NOT NULL,
    from_digest TEXT NOT NULL,
    to_digest   TEXT NOT NULL
) STRICT;
CREATE INDEX tag_moves_repository ON tag_moves (repository, id);
CREATE INDEX tag_moves_name ON tag_moves (repository, name, id);
INSERT INTO tag_moves VALUES (1, 'acme/web', 'latest', 1770091506000007, '', '', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
INSERT INTO tag_moves VALUES (2, 'acme/web', 'v1', 1770091506000007, '', '', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
INSERT INTO tag_moves VALUES (3, 'acme/web', 'old', 1770091506000007, 'alice', '', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
INSERT INTO tag_moves VALUES (4, 'acme/web', 'old', 1770091506000007, 'alice', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157', '');
INSERT INTO tag_moves VALUES (5, 'acme/old', 'web', 1770091506000007, 'alice', '', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157');
INSERT INTO tag_moves VALUES (6, 'acme/old', 'old', 1770091506000007, 'alice', '', 'sha256:9aa7b1fb3d1b5afe15f7256872e350fb5895dd95bf8abc6d6d029925a87dfac5');
INSERT INTO tag_moves VALUES (7, 'acme/old', 'index', 1770091506000007, 'alice', '', 'sha256:95b347a6ce7650daa8b36f5bbc7e6e083b8457df25e66f90ac3b8bf99e29b0dd');
INSERT INTO tag_moves VALUES (8, 'acme/old', 'web', 1770091506000007, 'alice', 'sha256:d559ee47ec9070a773dd255636dc2c0d2be2a226563375c0ad10b349e35cd157', '');
INSERT INTO tag_moves VALUES (9, 'acme/old', 'old', 1770091506000007, 'alice', 'sha256:9aa7b1fb3d1b5afe15f7256872e350fb5895dd95bf8abc6d6d029925a87dfac5', '');
INSERT INTO tag_moves VALUES (10, 'acme/old', 'index', 1770091506000007, 'alice', 'sha256:95b347a6ce7650daa8b36f5bbc7e6e083b8457df25e66f90ac3b8bf99e29b0dd', '');
CREATE TABLE directory (
    id      INTEGER PRIMARY KEY,
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO directory VALUES (1, 4);
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
INSERT INTO accounts VALUES (1, 'acme', '', 1770091506000007, '', NULL, 1);
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
INSERT INTO namespaces VALUES ('acme', 1, 'life', 0, '[{"tags":"v.*"}]', 1770091506000007, '', NULL, 1, 2);
INSERT INTO namespaces VALUES ('gone', 1, 'life', 0, '[{"tags":"v.*"}]', 1770091506000007, '', 1770091506000007, 2, 4);
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
INSERT INTO tokens VALUES (1, 't00000000001', 1, 'readonly', '{"all":true}', '', '', 1770091506000007, '', NULL, NULL, '', NULL, 1, 'k1', '', NULL, NULL, '', 1770091506000007, '', 'curl', 3, 1770091506000007, NULL, NULL);
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
INSERT INTO audit VALUES (1, 1770091506000007, 0, 'operator', '', 'sample', '', '', '', 'allowed', '', '', '', '', '', 1);
INSERT INTO audit VALUES (2, 1770091506000007, 0, 'operator', '', 'sample', '', '', '', 'allowed', '', '', '', '', '', 1);
INSERT INTO audit VALUES (3, 1770091506000007, 0, 'operator', '', 'sample', '', '', '', 'allowed', '', '', '', '', '', 1);
INSERT INTO audit VALUES (4, 1770091506000007, 0, 'operator', '', 'sample', '', '', '', 'allowed', '', '', '', '', '', 1);
CREATE TABLE pulls (
    repository TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL, -- '' for the repository itself
    total      INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (repository, kind, name)
) STRICT, WITHOUT ROWID;
INSERT INTO pulls VALUES ('acme/web', 'repository', '', 3, 1770091506000007);
COMMIT;
PRAGMA foreign_keys = ON;
