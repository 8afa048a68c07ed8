-- The store of many nodes. Secrets are in secrets.sealed and data_keys.sealed alone. Times are milliseconds
-- since 1970 by the clock of the database.

-- One row: what all nodes share.
CREATE TABLE cluster (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  store_id text NOT NULL CHECK (length(store_id) = 32),
  -- Of the schema: the number of the last migration, and what that left (schema.ts).
  schema int NOT NULL,
  shape text[] NOT NULL,
  -- The public half of the sealing key; NULL until the first start has one.
  sealing_key bytea CHECK (length(sealing_key) = 32),
  -- The last ones that were given. `version` is of pools and tokens: each change of them adds 1.
  epoch bigint NOT NULL DEFAULT 0,
  lane bigint NOT NULL DEFAULT 0,
  version bigint NOT NULL DEFAULT 0,
  -- Of tokens, as in a store of one node: the last id, and whether there ever was one.
  token_id bigint NOT NULL DEFAULT 0,
  had_tokens boolean NOT NULL DEFAULT false,
  -- The database may have gone back in time ('suspect'), or has ('lost'): nothing is leased or inserted. A store of
  -- SQLite is on its way here ('migrating'): no node starts.
  state text NOT NULL DEFAULT 'sound' CHECK (state IN ('sound', 'suspect', 'lost', 'migrating')),
  -- What the database was when its nodes were asked last.
  system_id text,
  timeline text,
  database_oid bigint,
  table_oid bigint,
  -- Of runs up to this one nobody knows what was signed.
  signed_epoch bigint NOT NULL DEFAULT 0,
  -- Rows that say who may do what carry a MAC under a key of the sealing key. `binding` is drawn when they get it.
  binding text CHECK (length(binding) = 32),
  mac bytea
);

INSERT INTO cluster (store_id, schema, shape) VALUES (replace(gen_random_uuid()::text, '-', ''), 0, '{}');

CREATE TABLE nodes (
  id text PRIMARY KEY CHECK (length(id) = 32),
  name text NOT NULL,
  -- "grinder": it has never leased anything.
  role text NOT NULL,
  place text NOT NULL,
  -- Ed25519.
  sign_key bytea NOT NULL CHECK (length(sign_key) = 32),
  -- That it may write sealed keys; NULL until somebody who can read them said so.
  enrolment bytea,
  -- Has said what it remembers since the database was last suspect, or lost.
  confirmed boolean NOT NULL DEFAULT true,
  -- Its run when it was last asked: what is missing of that is known.
  answered bytea,
  created_at bigint NOT NULL,
  retired_at bigint
);

-- A run of a node. Nothing decides by `beaten_at`: it is for people.
CREATE TABLE epochs (
  epoch bigint PRIMARY KEY,
  node_id text NOT NULL REFERENCES nodes,
  -- Drawn at its start: a number that a lost tail of the database used is another's.
  run bytea NOT NULL CHECK (length(run) = 16),
  role text NOT NULL,
  durability text NOT NULL CHECK (durability IN ('leased', 'committed')),
  ttl_ms int NOT NULL CHECK (ttl_ms >= 1),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'expired', 'settled')),
  beats bigint NOT NULL DEFAULT 0,
  beaten_at bigint NOT NULL,
  -- The version of pools and tokens that it acts on.
  acted bigint NOT NULL DEFAULT 0,
  attempts_per_second bigint NOT NULL DEFAULT 0,
  -- The start of the server, as seconds since 1970, at which it last found the database as it left it.
  looked text NOT NULL,
  started_at bigint NOT NULL,
  -- What another sealing key is sealed to for this run (X25519), with a MAC under the key that it has; NULL: it
  -- only grinds.
  exchange_key bytea CHECK (length(exchange_key) = 32),
  exchange_mac bytea
) WITH (fillfactor = 50);

CREATE INDEX epochs_unsettled ON epochs (node_id) WHERE state <> 'settled';
CREATE UNIQUE INDEX epochs_open ON epochs (node_id) WHERE state = 'open';

-- The sealing key that is to replace the one in use, for each run that has to have it by then: sealed to the
-- exchange key of the run, with a MAC under the key in use.
CREATE TABLE handed_keys (
  epoch bigint PRIMARY KEY REFERENCES epochs,
  public_key bytea NOT NULL CHECK (length(public_key) = 32),
  sealed bytea NOT NULL,
  mac bytea NOT NULL,
  -- Who hands it: one run at a time.
  by_epoch bigint NOT NULL REFERENCES epochs,
  -- The run has it, also behind a crash if its key is in a file; or why it cannot have it.
  is_kept boolean NOT NULL DEFAULT false,
  refusal text
);

CREATE TABLE pools (
  id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  name text NOT NULL UNIQUE,
  prefix text NOT NULL,
  suffix text NOT NULL,
  ignore_case boolean NOT NULL,
  keys text NOT NULL CHECK (keys IN ('seed', 'expanded')),
  handout text NOT NULL CHECK (handout IN ('secret', 'sign-only')),
  target bigint NOT NULL,
  -- Of a pool made while a server ran; NULL: it stands in a configuration.
  -- JSON as it was written, of which the MAC is.
  settings text,
  is_paused boolean NOT NULL DEFAULT false,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closing', 'removed')),
  removed_at bigint CHECK (removed_at IS NULL OR state = 'removed'),
  mac bytea
);

-- What each node did to the figures of a pool, which are their sums. One alone may be below 0.
CREATE TABLE figures (
  pool_id int NOT NULL REFERENCES pools,
  node_id text NOT NULL REFERENCES nodes,
  available bigint NOT NULL DEFAULT 0,
  leased bigint NOT NULL DEFAULT 0,
  reserved bigint NOT NULL DEFAULT 0,
  dispensed bigint NOT NULL DEFAULT 0,
  burned bigint NOT NULL DEFAULT 0,
  ground bigint NOT NULL DEFAULT 0,
  imported bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (pool_id, node_id),
  CHECK (available + leased + reserved + dispensed + burned = ground + imported)
) WITH (fillfactor = 50);

-- A lane is what one writer adds to one pool: ids from lane * 2^20 + 1 to `filled` without a gap, of which
-- those up to `taken` were leased. Two tables: who inserts and who leases do not wait for each other. What was
-- leased in a store that moved here has ids of no lane: of those the lease or the burn says which pool they are of.
CREATE TABLE lane_ends (
  lane bigint PRIMARY KEY,
  pool_id int NOT NULL REFERENCES pools,
  -- NULL: it is never filled again.
  writer bigint REFERENCES epochs,
  filled bigint NOT NULL CHECK (filled >> 20 = lane)
) WITH (fillfactor = 50);

CREATE TABLE lane_heads (
  lane bigint PRIMARY KEY REFERENCES lane_ends,
  pool_id int NOT NULL REFERENCES pools,
  taken bigint NOT NULL CHECK (taken >> 20 = lane),
  -- And its writer is gone.
  is_empty boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

CREATE INDEX lane_heads_open ON lane_heads (pool_id, lane) WHERE NOT is_empty;

-- Addresses, by how long each part is kept. SHA-256 of a public key: for ever, so that nothing comes in twice.
CREATE TABLE keys (
  key_hash bytea PRIMARY KEY CHECK (length(key_hash) = 32),
  id bigint NOT NULL
);

CREATE TABLE data_keys (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  epoch bigint NOT NULL REFERENCES epochs,
  sealed bytea NOT NULL,
  -- Of the node, which so says that it sealed it.
  signature bytea NOT NULL,
  created_at bigint NOT NULL
);

-- Until an address is handed out and its retention is over.
CREATE TABLE secrets (
  id bigint PRIMARY KEY,
  data_key_id bigint NOT NULL,
  -- 'g'round or 'i'mported.
  origin "char" NOT NULL CHECK (origin IN ('g', 'i')),
  created_at bigint NOT NULL,
  key_hash bytea NOT NULL CHECK (length(key_hash) = 32),
  sealed bytea NOT NULL CHECK (length(sealed) IN (92, 124))
);
-- Neither can be compressed.
ALTER TABLE secrets ALTER COLUMN key_hash SET STORAGE PLAIN;
ALTER TABLE secrets ALTER COLUMN sealed SET STORAGE PLAIN;

-- After that, for the audit.
CREATE TABLE remains (
  id bigint PRIMARY KEY,
  origin "char" NOT NULL CHECK (origin IN ('g', 'i')),
  created_at bigint NOT NULL,
  public_key bytea NOT NULL CHECK (length(public_key) = 32)
);

CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of %: its rows are kept for ever as they are', TG_OP, TG_TABLE_NAME;
END $$;

CREATE TRIGGER keys_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON keys EXECUTE FUNCTION kept();
CREATE TRIGGER remains_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON remains EXECUTE FUNCTION kept();

-- The ready queue of a pool in one run. Positions before `position` are recorded, those before `pushed` leased,
-- and the secrets of those before `destroyed` are gone. Each turn adds 1 to `turn`.
CREATE TABLE queues (
  epoch bigint REFERENCES epochs,
  pool_id int REFERENCES pools,
  run bytea NOT NULL CHECK (length(run) = 16),
  turn bigint NOT NULL DEFAULT 0,
  position bigint NOT NULL DEFAULT 0,
  pushed bigint NOT NULL DEFAULT 0,
  destroyed bigint NOT NULL DEFAULT 0 CHECK (destroyed >= 0),
  -- Dispense journals by number: up to which record of each the store has them, and how many leases it counted.
  journals jsonb NOT NULL DEFAULT '{}',
  -- When `position` moved last: what has no hand-out left by then.
  recorded_at bigint NOT NULL DEFAULT 0,
  is_ended boolean NOT NULL DEFAULT false,
  PRIMARY KEY (epoch, pool_id),
  CHECK (destroyed <= position AND position <= pushed)
) WITH (fillfactor = 50);

CREATE INDEX queues_secret ON queues (epoch) WHERE destroyed < position;

-- Which addresses had which positions: those of ids first to last, in this order, from `position` on. What is
-- given back is cut out.
CREATE TABLE leases (
  epoch bigint,
  pool_id int,
  position bigint CHECK (position >= 0),
  first bigint NOT NULL,
  last bigint NOT NULL,
  PRIMARY KEY (epoch, pool_id, position),
  FOREIGN KEY (epoch, pool_id) REFERENCES queues DEFERRABLE,
  CHECK (last >= first)
);

CREATE UNIQUE INDEX leases_first ON leases (first);

-- Leased once, and available again.
CREATE TABLE returned (
  first bigint PRIMARY KEY,
  last bigint NOT NULL CHECK (last >= first),
  pool_id int NOT NULL REFERENCES pools
);

CREATE INDEX returned_pool ON returned (pool_id, first);

CREATE TABLE burns (
  first bigint PRIMARY KEY,
  last bigint NOT NULL CHECK (last >= first),
  pool_id int NOT NULL REFERENCES pools,
  at bigint NOT NULL,
  is_destroyed boolean NOT NULL DEFAULT false,
  -- 'crash', 'unsealable', 'restored', 'released', 'expired', 'deleted', or 'failover': the database went back.
  cause text NOT NULL
);

CREATE INDEX burns_secret ON burns (at) WHERE NOT is_destroyed;

-- Who may ask. Of a token itself only the hash is kept.
CREATE TABLE tokens (
  id bigint PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
  name text NOT NULL UNIQUE,
  -- SHA-256.
  hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
  scopes text[] NOT NULL,
  -- NULL for all.
  pools text[],
  -- Addresses in a UTC day; NULL for any number.
  quota bigint CHECK (quota >= 1),
  created_at bigint NOT NULL,
  expires_at bigint,
  revoked_at bigint,
  last_used_at bigint,
  -- Since when it is off, until somebody restores it.
  off_at bigint,
  mac bytea
);

-- What left together: `count` positions from `position` on. Kept for ever.
CREATE TABLE hand_outs (
  epoch bigint,
  pool_id int,
  position bigint CHECK (position >= 0),
  count int NOT NULL CHECK (count >= 1),
  at bigint NOT NULL,
  -- NULL for none.
  token_id bigint REFERENCES tokens,
  -- SHA-256 of the idempotency key and its scope, and of what was asked for; NULL without one.
  key_hash bytea CHECK (length(key_hash) = 32),
  body_hash bytea CHECK (length(body_hash) = 32),
  PRIMARY KEY (epoch, pool_id, position)
);

CREATE UNIQUE INDEX hand_outs_key ON hand_outs (key_hash) WHERE key_hash IS NOT NULL;
-- Rows come in nearly in this order: each page is known by its oldest and its newest, which costs nothing.
CREATE INDEX hand_outs_at ON hand_outs USING brin (at) WITH (pages_per_range = 16, autosummarize = on);

-- What a token with a quota took on a day, which counts from 1970.
CREATE TABLE quotas (
  token_id bigint REFERENCES tokens,
  day int,
  used bigint NOT NULL CHECK (used >= 0),
  PRIMARY KEY (token_id, day)
) WITH (fillfactor = 50);

-- A client's hold on one address, which it sees.
CREATE TABLE reservations (
  -- At random.
  id text COLLATE "C" PRIMARY KEY CHECK (length(id) = 32),
  epoch bigint NOT NULL,
  pool_id int NOT NULL REFERENCES pools,
  position bigint NOT NULL,
  address_id bigint NOT NULL,
  token_id bigint REFERENCES tokens,
  expires_at bigint NOT NULL,
  -- When and how it came to its end; NULL while it holds.
  ended_at bigint,
  outcome text CHECK (outcome IN ('dispensed', 'released', 'expired')),
  is_destroyed boolean NOT NULL DEFAULT false,
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

CREATE INDEX reservations_open ON reservations (expires_at) WHERE ended_at IS NULL;
CREATE INDEX reservations_held ON reservations (address_id) WHERE ended_at IS NULL;
CREATE INDEX reservations_secret ON reservations (ended_at)
  WHERE ended_at IS NOT NULL AND NOT is_destroyed;

-- What was signed with addresses of sign-only pools: the second to take a number fails.
CREATE TABLE signatures (
  address_id bigint,
  number int CHECK (number >= 1),
  token_id bigint REFERENCES tokens,
  at bigint NOT NULL,
  -- SHA-256.
  message_hash bytea NOT NULL CHECK (length(message_hash) = 32),
  signature bytea NOT NULL CHECK (length(signature) = 64),
  PRIMARY KEY (address_id, number),
  UNIQUE (address_id, message_hash)
);

-- Signatures of dispensed addresses that are not here: so many, or as many as there can be (NULL) where nobody
-- knows what a store that was lost has signed.
CREATE TABLE lost_signatures (
  address_id bigint PRIMARY KEY,
  count bigint CHECK (count >= 1)
);

CREATE TABLE counters (
  node_id text REFERENCES nodes,
  name text COLLATE "C",
  value bigint NOT NULL,
  PRIMARY KEY (node_id, name)
);

-- The state of each address, as all these say it: NULL would be a fault. One that is or was in a queue has its
-- position there, and since when it is recorded, or was burned.
CREATE VIEW address_states AS
SELECT address.id, coalesce(burned.pool_id, back.pool_id, lease.pool_id, lane_ends.pool_id) AS pool_id,
  CASE
    WHEN burned.first IS NOT NULL THEN 'burned'
    WHEN back.first IS NOT NULL THEN 'available'
    WHEN lease.first IS NOT NULL THEN CASE
      WHEN lease.position + address.id - lease.first >= queues.position THEN 'leased'
      WHEN EXISTS (SELECT FROM reservations
        WHERE address_id = address.id AND ended_at IS NULL) THEN 'reserved'
      ELSE 'dispensed' END
    WHEN address.id > lane_heads.taken THEN 'available'
  END AS state,
  lease.epoch, lease.position + address.id - lease.first AS position,
  queues.recorded_at, burned.at AS burned_at, burned.cause
FROM (SELECT id FROM secrets UNION ALL SELECT id FROM remains) AS address
LEFT JOIN lane_ends ON lane_ends.lane = address.id >> 20
LEFT JOIN lane_heads ON lane_heads.lane = lane_ends.lane
LEFT JOIN LATERAL (SELECT * FROM burns
  WHERE first <= address.id ORDER BY first DESC LIMIT 1) AS burned ON burned.last >= address.id
LEFT JOIN LATERAL (SELECT * FROM returned
  WHERE first <= address.id ORDER BY first DESC LIMIT 1) AS back ON back.last >= address.id
LEFT JOIN LATERAL (SELECT * FROM leases
  WHERE first <= address.id ORDER BY first DESC LIMIT 1) AS lease ON lease.last >= address.id
LEFT JOIN queues ON queues.epoch = lease.epoch AND queues.pool_id = lease.pool_id;
