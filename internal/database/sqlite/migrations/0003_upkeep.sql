-- Since when an entry of the trash is given up for good: it is in no list and
-- nothing of it comes back. What it holds is removed in small steps, its own
-- row last, so that no push waits for a large one.
ALTER TABLE trash ADD COLUMN purged_at INTEGER;

CREATE INDEX trash_purged ON trash (purged_at, id) WHERE purged_at IS NOT NULL;
