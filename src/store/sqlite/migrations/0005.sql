-- Rows of addresses that are resealed, under new data keys (resealing.ts).

-- Those of ids up to `reseal_done` are; `reseal_end` is the last one that will be. NULL: nothing is
-- left to do.
ALTER TABLE meta ADD COLUMN reseal_done INTEGER;
ALTER TABLE meta ADD COLUMN reseal_end INTEGER;

-- The data key that takes the place of another when all rows are. A table of its own: data_keys.sealed
-- is overwritten where it stands, and so leaves no copy on its page.
CREATE TABLE next_data_keys (
  id INTEGER PRIMARY KEY REFERENCES data_keys,
  sealed BLOB NOT NULL
) STRICT;
