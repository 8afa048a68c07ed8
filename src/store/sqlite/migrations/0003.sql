-- Rows that say who may do what carry a MAC under a key that is derived from the sealing key
-- (bound-rows.ts): HMAC-SHA256 over what they say. The first start with this schema gives them.

-- Ids of tokens up to this one were given, or may have been by a store that was lost.
ALTER TABLE meta ADD COLUMN token_id INTEGER NOT NULL DEFAULT 0;
-- Whether any token was ever made: from then on requests may need one.
ALTER TABLE meta ADD COLUMN had_tokens INTEGER NOT NULL DEFAULT 0 CHECK (had_tokens IN (0, 1));
UPDATE meta SET token_id = coalesce((SELECT max(id) FROM tokens), 0),
  had_tokens = EXISTS (SELECT 1 FROM tokens);
-- NULL until rows have theirs.
ALTER TABLE meta ADD COLUMN mac BLOB;
-- Drawn when rows get theirs: neither MACs nor data keys of another such moment are of any use.
ALTER TABLE meta ADD COLUMN binding TEXT CHECK (length(binding) = 32);

ALTER TABLE pools ADD COLUMN mac BLOB;

ALTER TABLE tokens ADD COLUMN mac BLOB;
-- Since when it is off, as all tokens of a backup are; NULL if it is on.
ALTER TABLE tokens ADD COLUMN off_at INTEGER;

-- How long a reservation was made for, in ms: a start whose clock may be wrong goes by that.
ALTER TABLE reservations ADD COLUMN ttl INTEGER NOT NULL DEFAULT 0;
UPDATE reservations SET ttl = max(0,
  expires_at - (SELECT at FROM hand_outs WHERE hand_outs.id = hand_out_id));

-- Signatures of dispensed addresses that are not in this store: of a list, or as many as there can
-- be (NULL) where nobody knows what the lost store signed.
CREATE TABLE lost_signatures (
  address_id INTEGER PRIMARY KEY REFERENCES addresses,
  count INTEGER CHECK (count >= 1)
) STRICT;
