/** How a node is doing, in SQL, for people: nothing is decided by it. Pure data. */

/** Of a run `e`: its beats are younger than its time to live, by clocks. */
export const IS_HEARD = `coalesce(e.state = 'open'
    AND e.beaten_at + e.ttl_ms > extract(epoch FROM clock_timestamp()) * 1000, false)`;

/** Of a node `n` whose last run, or whose last one that is not settled, is `e`, in a cluster `c`. */
export const NODE_STATE = `CASE
    WHEN n.retired_at IS NOT NULL THEN 'retired'
    WHEN c.state IN ('suspect', 'lost') AND NOT n.confirmed AND n.role <> 'grinder' THEN 'missed'
    WHEN ${IS_HEARD} THEN 'running'
    WHEN e.state IN ('open', 'expired') THEN 'lost'
    ELSE 'stopped' END`;

/** By state, how many nodes of the cluster `c` are in it; null for none. Retired ones are not counted. */
export const NODE_COUNTS = `(SELECT json_object_agg(state, count) FROM (
    SELECT ${NODE_STATE} AS state, count(*) FROM vanitypool.nodes AS n
    LEFT JOIN vanitypool.epochs AS e ON e.node_id = n.id AND e.state <> 'settled'
    WHERE n.retired_at IS NULL GROUP BY 1) AS counted)`;
