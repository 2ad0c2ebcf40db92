-- What was deleted, until it is restored or its time is over. It is moved here
-- out of the tables that answer pulls, so that those hold live things only.
-- Repositories are kept by name: theirs may be gone, or another by now.

ALTER TABLE manifests ADD COLUMN pulled_at INTEGER;

-- Since when it is known that the bytes are missing or wrong.
ALTER TABLE blobs ADD COLUMN damaged_at INTEGER;

-- An act of deleting. People name it by its id, which is never used again.
-- The numbers are those of what it still holds.
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
) STRICT;

CREATE INDEX trash_namespace ON trash (namespace, id);
CREATE INDEX trash_deleted ON trash (deleted_at, id);

CREATE TABLE trash_repositories (
    trash_id   INTEGER NOT NULL REFERENCES trash (id),
    repository TEXT NOT NULL,
    PRIMARY KEY (trash_id, repository)
) STRICT, WITHOUT ROWID;

CREATE INDEX trash_repositories_repository ON trash_repositories (repository, trash_id);

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

-- These hold blobs as links of repositories do: from now on unlinked_at of a
-- blob is NULL exactly while a repository or the trash holds it.
CREATE TABLE trash_blobs (
    manifest_id INTEGER NOT NULL REFERENCES trash_manifests (id),
    blob_id     INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (manifest_id, blob_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX trash_blobs_blob ON trash_blobs (blob_id);

CREATE TABLE trash_children (
    manifest_id INTEGER NOT NULL REFERENCES trash_manifests (id),
    child       TEXT NOT NULL,
    PRIMARY KEY (manifest_id, child)
) STRICT, WITHOUT ROWID;

CREATE TABLE trash_tags (
    trash_id   INTEGER NOT NULL REFERENCES trash (id),
    repository TEXT NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    PRIMARY KEY (trash_id, repository, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX trash_tags_name ON trash_tags (name, trash_id);

-- What tags named, and who moved them. '' is where there was no tag.
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
