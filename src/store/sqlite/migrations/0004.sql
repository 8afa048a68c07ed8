-- Rows of pools of expanded keys: these are sealed with their public key (keypair/seal.ts), which they
-- do not contain. The rows that are there stay as they are.

-- SQLite has no ALTER TABLE for a check without a name; sqlite.org/lang_altertable.html tells this
-- way. It takes no longer for more addresses.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
  SET sql = replace(sql, 'CHECK (length(sealed) = 92)', 'CHECK (length(sealed) IN (92, 124))')
  WHERE type = 'table' AND name = 'addresses';
PRAGMA writable_schema = RESET;
