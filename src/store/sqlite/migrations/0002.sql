-- How a store recognises itself (disk/anchor.ts, standing.ts). All of it stands in the one
-- row of meta, on the second page of the file: a checkpoint writes pages in their order, so a file
-- that was copied in the middle of one shows the newest number that any of its pages has.

-- Of the last transaction; each one adds 1.
ALTER TABLE meta ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
-- The number that the last complete checkpoint had: the file without the log is not older.
ALTER TABLE meta ADD COLUMN logged INTEGER NOT NULL DEFAULT 0;
-- The name of the anchor, and the one before it, which it has until this commit takes effect. NULL
-- until the first start. 'backup' in a backup, which is no store until it is restored.
ALTER TABLE meta ADD COLUMN anchor TEXT;
ALTER TABLE meta ADD COLUMN anchor_before TEXT;
-- What distinguishes the anchor from its copies, in the form of `place`.
ALTER TABLE meta ADD COLUMN anchor_file TEXT;

-- Leases of its pool since the journal was added, each counted in the journal before its commit.
ALTER TABLE journals ADD COLUMN leases INTEGER NOT NULL DEFAULT 0 CHECK (leases >= 0);
