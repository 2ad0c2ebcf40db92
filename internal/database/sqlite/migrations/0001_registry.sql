-- What a registry holds: repositories, blobs, manifests, tags, uploads.
-- Times are microseconds since 1970. Text is compared byte by byte (BINARY,
-- the default), which is the order of every list.

CREATE TABLE repositories (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    incarnation TEXT NOT NULL, -- random: a repository made again is another one
    created_at  INTEGER NOT NULL
) STRICT;

-- Bytes in the store. unlinked_at is NULL exactly while some repository has
-- a link to the blob; otherwise since when none has.
CREATE TABLE blobs (
    id          INTEGER PRIMARY KEY,
    digest      TEXT NOT NULL UNIQUE,
    size        INTEGER NOT NULL,
    key         TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    unlinked_at INTEGER
) STRICT;

CREATE INDEX blobs_unlinked ON blobs (unlinked_at, id) WHERE unlinked_at IS NOT NULL;

-- Which repository may read which blob. The blob comes first in the key, so
-- that one index answers both "is it in this repository" and "is it in any".
CREATE TABLE repository_blobs (
    blob_id       INTEGER NOT NULL REFERENCES blobs (id),
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (blob_id, repository_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX repository_blobs_repository ON repository_blobs (repository_id);

-- The bytes of manifests, once, however many repositories hold them.
CREATE TABLE manifest_contents (
    id     INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    body   BLOB NOT NULL
) STRICT;

-- digest repeats that of the content for the sake of the referrers' order.
-- annotations are a JSON object, kept for manifests with a subject only.
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
    created_at    INTEGER NOT NULL,
    UNIQUE (content_id, repository_id)
) STRICT;

CREATE INDEX manifests_subject ON manifests (repository_id, subject, digest);
CREATE INDEX manifests_subject_type ON manifests (repository_id, subject, artifact_type, digest) WHERE subject IS NOT NULL;

-- Which blobs a manifest needs. The reference to the link, not only to the
-- blob, makes it impossible to take a blob away from under a manifest.
CREATE TABLE manifest_blobs (
    blob_id       INTEGER NOT NULL,
    repository_id INTEGER NOT NULL,
    manifest_id   INTEGER NOT NULL REFERENCES manifests (id),
    PRIMARY KEY (blob_id, repository_id, manifest_id),
    FOREIGN KEY (blob_id, repository_id) REFERENCES repository_blobs (blob_id, repository_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_blobs_manifest ON manifest_blobs (manifest_id);

-- Which manifests an index names; by digest, so that a child that is deleted
-- and comes back is known as a child again.
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

-- Uploads name their repository by name: it is made when a blob arrives.
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
