-- What the role of grinder nodes may do in the database of a store: add addresses, say that it is alive, and read
-- which pools there are and how full they are. Run it as the role of the api nodes, which owns the schema, once one
-- of them has started:
--
--   CREATE ROLE vanitypool_grinder LOGIN PASSWORD '...';
--   psql -f ops/postgres-grinder.sql postgres://OWNER@HOST/DATABASE
--
-- It may be run again. Nothing here lets it read a secret or a token, change a pool, or enrol a node.
BEGIN;

GRANT USAGE ON SCHEMA vanitypool TO vanitypool_grinder;

GRANT SELECT ON vanitypool.cluster, vanitypool.nodes, vanitypool.epochs, vanitypool.pools, vanitypool.figures,
  vanitypool.lane_ends, vanitypool.lane_heads, vanitypool.counters, vanitypool.keys TO vanitypool_grinder;
GRANT SELECT (id) ON vanitypool.data_keys TO vanitypool_grinder;
GRANT SELECT (epoch, position, pushed) ON vanitypool.queues TO vanitypool_grinder;

GRANT INSERT (id, name, place, sign_key, created_at, role), UPDATE (name, place)
  ON vanitypool.nodes TO vanitypool_grinder;
GRANT UPDATE (epoch, lane) ON vanitypool.cluster TO vanitypool_grinder;
GRANT INSERT, UPDATE (state, beats, beaten_at, acted, looked, attempts_per_second)
  ON vanitypool.epochs TO vanitypool_grinder;
GRANT INSERT, UPDATE (writer, filled) ON vanitypool.lane_ends TO vanitypool_grinder;
GRANT INSERT (lane, pool_id, taken), UPDATE (is_empty) ON vanitypool.lane_heads TO vanitypool_grinder;
GRANT INSERT ON vanitypool.keys, vanitypool.data_keys, vanitypool.secrets TO vanitypool_grinder;
GRANT INSERT, UPDATE ON vanitypool.figures, vanitypool.counters TO vanitypool_grinder;
-- For the lock by which a deletion waits for an insert: the policy below lets no change through.
GRANT UPDATE (target) ON vanitypool.pools TO vanitypool_grinder;

-- Of rows that tell whose they are, those of grinders alone. The owner of a table is not subject to these.
ALTER TABLE vanitypool.pools ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS grinder_reads ON vanitypool.pools;
CREATE POLICY grinder_reads ON vanitypool.pools FOR SELECT TO vanitypool_grinder USING (true);
DROP POLICY IF EXISTS grinder_locks ON vanitypool.pools;
CREATE POLICY grinder_locks ON vanitypool.pools FOR UPDATE TO vanitypool_grinder
  USING (true) WITH CHECK (false);

ALTER TABLE vanitypool.nodes ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS grinder_reads ON vanitypool.nodes;
CREATE POLICY grinder_reads ON vanitypool.nodes FOR SELECT TO vanitypool_grinder USING (true);
DROP POLICY IF EXISTS grinder_begins ON vanitypool.nodes;
CREATE POLICY grinder_begins ON vanitypool.nodes FOR INSERT TO vanitypool_grinder
  WITH CHECK (role = 'grinder');
DROP POLICY IF EXISTS grinder_is_named ON vanitypool.nodes;
CREATE POLICY grinder_is_named ON vanitypool.nodes FOR UPDATE TO vanitypool_grinder
  USING (role = 'grinder');

ALTER TABLE vanitypool.epochs ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS grinder_reads ON vanitypool.epochs;
CREATE POLICY grinder_reads ON vanitypool.epochs FOR SELECT TO vanitypool_grinder USING (true);
DROP POLICY IF EXISTS grinder_begins ON vanitypool.epochs;
CREATE POLICY grinder_begins ON vanitypool.epochs FOR INSERT TO vanitypool_grinder
  WITH CHECK (role = 'grinder');
DROP POLICY IF EXISTS grinder_beats ON vanitypool.epochs;
CREATE POLICY grinder_beats ON vanitypool.epochs FOR UPDATE TO vanitypool_grinder
  USING (role = 'grinder');

ALTER TABLE vanitypool.lane_ends ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS grinder_reads ON vanitypool.lane_ends;
CREATE POLICY grinder_reads ON vanitypool.lane_ends FOR SELECT TO vanitypool_grinder USING (true);
DROP POLICY IF EXISTS grinder_begins ON vanitypool.lane_ends;
CREATE POLICY grinder_begins ON vanitypool.lane_ends FOR INSERT TO vanitypool_grinder
  WITH CHECK (writer IN (SELECT epoch FROM vanitypool.epochs WHERE role = 'grinder'));
DROP POLICY IF EXISTS grinder_fills ON vanitypool.lane_ends;
CREATE POLICY grinder_fills ON vanitypool.lane_ends FOR UPDATE TO vanitypool_grinder
  USING (writer IN (SELECT epoch FROM vanitypool.epochs WHERE role = 'grinder'))
  WITH CHECK (writer IS NULL OR writer IN (SELECT epoch FROM vanitypool.epochs WHERE role = 'grinder'));

ALTER TABLE vanitypool.lane_heads ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS grinder_reads ON vanitypool.lane_heads;
CREATE POLICY grinder_reads ON vanitypool.lane_heads FOR SELECT TO vanitypool_grinder USING (true);
DROP POLICY IF EXISTS grinder_begins ON vanitypool.lane_heads;
CREATE POLICY grinder_begins ON vanitypool.lane_heads FOR INSERT TO vanitypool_grinder WITH CHECK (true);
DROP POLICY IF EXISTS grinder_leaves ON vanitypool.lane_heads;
CREATE POLICY grinder_leaves ON vanitypool.lane_heads FOR UPDATE TO vanitypool_grinder
  USING (lane IN (SELECT lane FROM vanitypool.lane_ends
    WHERE writer IN (SELECT epoch FROM vanitypool.epochs WHERE role = 'grinder')));

ALTER TABLE vanitypool.figures ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS grinder_reads ON vanitypool.figures;
CREATE POLICY grinder_reads ON vanitypool.figures FOR SELECT TO vanitypool_grinder USING (true);
DROP POLICY IF EXISTS grinder_counts ON vanitypool.figures;
CREATE POLICY grinder_counts ON vanitypool.figures TO vanitypool_grinder
  USING (node_id IN (SELECT node_id FROM vanitypool.epochs WHERE role = 'grinder'));

COMMIT;
