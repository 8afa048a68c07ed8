-- The store of one node. Secrets are in addresses.sealed and data_keys.sealed alone.

CREATE TABLE meta (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  store_id TEXT NOT NULL CHECK (length(store_id) = 32),
  -- The public half of the sealing key: what new data keys are sealed to, and how a wrong
  -- sealing key is told. NULL until the first start has one.
  sealing_key BLOB CHECK (length(sealing_key) = 32),
  next_id INTEGER NOT NULL CHECK (next_id >= 1),
  epoch INTEGER NOT NULL CHECK (epoch >= 0),
  -- What the leases of this epoch were taken for: 'leased' (they may leave before a turn records
  -- it, the journals know) or 'committed' (nothing leaves before).
  durability TEXT NOT NULL CHECK (durability IN ('leased', 'committed')),
  -- The file that this store is, so that a copy is told; NULL until the first start.
  place TEXT
) STRICT;

INSERT INTO meta VALUES (1, lower(hex(randomblob(16))), NULL, 1, 0, 'leased', NULL);

CREATE TABLE data_keys (
  id INTEGER PRIMARY KEY,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- The figures are those of DESIGN.md, section 2. The trigger below moves them with the state.
CREATE TABLE pools (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  suffix TEXT NOT NULL,
  ignore_case INTEGER NOT NULL CHECK (ignore_case IN (0, 1)),
  keys TEXT NOT NULL CHECK (keys IN ('seed', 'expanded')),
  handout TEXT NOT NULL CHECK (handout IN ('secret', 'sign-only')),
  available INTEGER NOT NULL DEFAULT 0 CHECK (available >= 0),
  leased INTEGER NOT NULL DEFAULT 0 CHECK (leased >= 0),
  reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  dispensed INTEGER NOT NULL DEFAULT 0 CHECK (dispensed >= 0),
  burned INTEGER NOT NULL DEFAULT 0 CHECK (burned >= 0),
  ground INTEGER NOT NULL DEFAULT 0 CHECK (ground >= 0),
  imported INTEGER NOT NULL DEFAULT 0 CHECK (imported >= 0),
  -- Recorded by turns of this epoch: the position of the ready queue, which counts from 0.
  position INTEGER NOT NULL DEFAULT 0 CHECK (position >= 0),
  -- Of a pool made while a server ran: a JSON object (store.ts, PoolSettings). NULL: the pool
  -- stands in the configuration, or did.
  settings TEXT,
  is_paused INTEGER NOT NULL DEFAULT 0 CHECK (is_paused IN (0, 1)),
  -- Milliseconds since 1970; then nothing of it is left to hand out.
  removed_at INTEGER CHECK (removed_at IS NULL OR available + leased + reserved = 0),
  CHECK (available + leased + reserved + dispensed + burned = ground + imported)
) STRICT;

-- seq counts the addresses of a pool: 1 to ground + imported, without a gap.
CREATE TABLE addresses (
  id INTEGER PRIMARY KEY,
  pool_id INTEGER NOT NULL REFERENCES pools,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  -- SHA-256 of the public key. Kept for ever: what was here once cannot come in again.
  key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
  data_key_id INTEGER NOT NULL REFERENCES data_keys,
  -- After the secret was destroyed: the public key (zeros if it could not be read), then zeros.
  sealed BLOB NOT NULL CHECK (length(sealed) = 92),
  origin TEXT NOT NULL CHECK (origin IN ('ground', 'imported')),
  created_at INTEGER NOT NULL,
  UNIQUE (pool_id, seq)
) STRICT;

CREATE TRIGGER addresses_kept BEFORE DELETE ON addresses
BEGIN
  SELECT RAISE(ABORT, 'an address is kept for ever');
END;

CREATE TRIGGER addresses_fixed
BEFORE UPDATE OF id, pool_id, seq, key_hash, data_key_id, origin, created_at ON addresses
BEGIN
  SELECT RAISE(ABORT, 'of an address only the secret changes');
END;

-- The states. The segments of a pool partition its seqs into runs of one state: to change the
-- state of any number of neighbours is to change one row. A single address with a state of its
-- own is a segment of length one.
CREATE TABLE segments (
  pool_id INTEGER NOT NULL REFERENCES pools,
  first INTEGER NOT NULL CHECK (first >= 1),
  last INTEGER NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('available', 'leased', 'reserved', 'dispensed', 'burned')),
  -- Of the change; 0 for available.
  epoch INTEGER NOT NULL,
  -- The order of leasing, which is the order of dispensing; 0 for all but leased.
  lease INTEGER NOT NULL CHECK ((lease > 0) = (state = 'leased')),
  -- Milliseconds since 1970, exact to the second and never too early; 0 for available.
  changed_at INTEGER NOT NULL,
  -- Why it is burned: 'crash' (the run that leased it died), 'unsealable', 'restored' (it may have
  -- left another copy of the store), 'released' or 'expired' (a client that held it has seen it),
  -- 'deleted' (with its pool).
  cause TEXT NOT NULL CHECK ((cause <> '') = (state = 'burned')),
  is_destroyed INTEGER NOT NULL DEFAULT 0
    CHECK (is_destroyed = 0 OR (is_destroyed = 1 AND state IN ('dispensed', 'burned'))),
  PRIMARY KEY (pool_id, first),
  CHECK (last >= first)
) STRICT, WITHOUT ROWID;

CREATE INDEX segments_waiting ON segments (pool_id, state, lease, first)
  WHERE state IN ('available', 'leased');

CREATE INDEX segments_secret ON segments (changed_at)
  WHERE state IN ('dispensed', 'burned') AND is_destroyed = 0;

CREATE TRIGGER segments_transition BEFORE UPDATE OF state ON segments
WHEN (OLD.state, NEW.state) NOT IN (
  VALUES ('available', 'leased'), ('available', 'burned'),
    ('leased', 'available'), ('leased', 'reserved'), ('leased', 'dispensed'), ('leased', 'burned'),
    ('reserved', 'available'), ('reserved', 'dispensed'), ('reserved', 'burned'),
    ('burned', 'dispensed'))
BEGIN
  SELECT RAISE(ABORT, 'a change of state that is not allowed');
END;

CREATE TRIGGER segments_figures AFTER UPDATE OF state ON segments
BEGIN
  UPDATE pools SET
    available = available + (NEW.last - NEW.first + 1) * ((NEW.state = 'available') - (OLD.state = 'available')),
    leased = leased + (NEW.last - NEW.first + 1) * ((NEW.state = 'leased') - (OLD.state = 'leased')),
    reserved = reserved + (NEW.last - NEW.first + 1) * ((NEW.state = 'reserved') - (OLD.state = 'reserved')),
    dispensed = dispensed + (NEW.last - NEW.first + 1) * ((NEW.state = 'dispensed') - (OLD.state = 'dispensed')),
    burned = burned + (NEW.last - NEW.first + 1) * ((NEW.state = 'burned') - (OLD.state = 'burned'))
  WHERE id = NEW.pool_id;
END;

-- A segment is born available, or as a piece of the one before it.
CREATE TRIGGER segments_born BEFORE INSERT ON segments
WHEN NEW.state <> 'available' AND NEW.state IS NOT (
  SELECT state FROM segments WHERE pool_id = NEW.pool_id AND first < NEW.first
  ORDER BY first DESC LIMIT 1)
BEGIN
  SELECT RAISE(ABORT, 'a segment that has no origin');
END;

-- A segment ends only when the one before it has taken it in.
CREATE TRIGGER segments_merged BEFORE DELETE ON segments
WHEN (OLD.state, OLD.last) IS NOT (
  SELECT state, last FROM segments WHERE pool_id = OLD.pool_id AND first < OLD.first
  ORDER BY first DESC LIMIT 1)
BEGIN
  SELECT RAISE(ABORT, 'a segment that would be lost');
END;

-- Dispense journals of this epoch, and up to which record of each the store has recorded them.
CREATE TABLE journals (
  number INTEGER PRIMARY KEY CHECK (number >= 1),
  pool_id INTEGER NOT NULL REFERENCES pools,
  recorded INTEGER NOT NULL DEFAULT 0 CHECK (recorded >= 0)
) STRICT;

-- Which addresses had which positions of a ready queue: those of seqs first to last, in this
-- order, from `position` on.
CREATE TABLE leases (
  pool_id INTEGER NOT NULL REFERENCES pools,
  epoch INTEGER NOT NULL,
  position INTEGER NOT NULL CHECK (position >= 0),
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (pool_id, epoch, position),
  CHECK (last >= first)
) STRICT, WITHOUT ROWID;

-- Who may ask. Of a token itself only the hash is kept.
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
  name TEXT NOT NULL UNIQUE,
  -- SHA-256.
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  -- JSON arrays: of 'dispense', 'read' and 'admin'; of names of pools, NULL for all.
  scopes TEXT NOT NULL,
  pools TEXT,
  -- Addresses in a UTC day; NULL for any number.
  quota INTEGER CHECK (quota >= 1),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER,
  last_used_at INTEGER
) STRICT;

-- What left together: `count` positions from `position` on, in one reply, or without a key to one
-- token in one millisecond. Kept for ever. A dispensed address that is in none was taken by a thread
-- that died before it could say for whom.
CREATE TABLE hand_outs (
  id INTEGER PRIMARY KEY,
  pool_id INTEGER NOT NULL REFERENCES pools,
  epoch INTEGER NOT NULL,
  position INTEGER NOT NULL CHECK (position >= 0),
  count INTEGER NOT NULL CHECK (count >= 1),
  -- Milliseconds since 1970.
  at INTEGER NOT NULL,
  -- NULL for none.
  token_id INTEGER REFERENCES tokens,
  -- SHA-256 of the idempotency key and its scope, and of what was asked for; NULL without one.
  key_hash BLOB UNIQUE CHECK (length(key_hash) = 32),
  body_hash BLOB CHECK (length(body_hash) = 32),
  UNIQUE (pool_id, epoch, position)
) STRICT;

CREATE INDEX hand_outs_quota ON hand_outs (token_id, at) WHERE token_id IS NOT NULL;

-- A client's hold on one address, which it sees; the hand-out says for whom and since when.
CREATE TABLE reservations (
  -- 32 hex digits, at random.
  id TEXT PRIMARY KEY CHECK (length(id) = 32),
  hand_out_id INTEGER NOT NULL UNIQUE REFERENCES hand_outs,
  pool_id INTEGER NOT NULL REFERENCES pools,
  seq INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- When and how it came to its end; NULL while it holds.
  ended_at INTEGER,
  outcome TEXT CHECK (outcome IN ('dispensed', 'released', 'expired')),
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_open ON reservations (expires_at) WHERE ended_at IS NULL;

-- What was signed with addresses of sign-only pools.
CREATE TABLE signatures (
  id INTEGER PRIMARY KEY,
  address_id INTEGER NOT NULL REFERENCES addresses,
  token_id INTEGER REFERENCES tokens,
  at INTEGER NOT NULL,
  -- SHA-256.
  message_hash BLOB NOT NULL CHECK (length(message_hash) = 32),
  signature BLOB NOT NULL CHECK (length(signature) = 64),
  UNIQUE (address_id, message_hash)
) STRICT;

CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
