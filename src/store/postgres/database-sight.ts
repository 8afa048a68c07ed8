/**
 * Which database this is, as far as it can say so itself, and how far it had come when this node looked last: after
 * a failover, a restore or the return of a snapshot it is another one, or has less. Runs in the store thread.
 *
 * The timeline is that of the file that is written now: what the control file says is older, by seconds after
 * a promotion (measured). The position is one that is flushed: a crash of the server does not take it back.
 */
import { StoreRewound } from '../store.ts';
import type { Query } from './transaction.ts';

/** Columns; cheap enough for each turn. */
export const SIGHT = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline,
  (pg_current_wal_flush_lsn() - '0/0')::bigint AS wal`;

const CURRENT = `(SELECT system_identifier::text FROM pg_control_system()) AS "systemId",
  (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database,
  'vanitypool.cluster'::regclass::oid::bigint AS table,
  extract(epoch FROM pg_postmaster_start_time())::text AS "serverStart", ${SIGHT}`;

/** Columns of the row of the cluster and of the database that it lies in. */
export const LOOK = `state, ${CURRENT}, coalesce(system_id, '') AS "knownSystemId",
  timeline AS "knownTimeline", database_oid AS "knownDatabase", table_oid AS "knownTable"`;

const SQL = {
  look: `SELECT ${LOOK} FROM vanitypool.cluster`,
  lock: `SELECT ${LOOK} FROM vanitypool.cluster FOR UPDATE`,
} as const;

/** How far the log of the server has come, of one timeline. */
export interface Sight {
  readonly timeline: string;
  /** In bytes. */
  readonly wal: number;
}

interface Identity {
  readonly systemId: string;
  readonly timeline: string;
  readonly database: number;
  readonly table: number;
}

export interface Look extends Identity, Sight {
  readonly state: 'sound' | 'suspect' | 'lost';
  readonly serverStart: string;
  /** As it was when all nodes were asked last, or when the store was made; empty before. */
  readonly knownSystemId: string;
  readonly knownTimeline: string | null;
  readonly knownDatabase: number | null;
  readonly knownTable: number | null;
}

/** With `isLocked` nobody changes it meanwhile. */
export async function look(query: Query, isLocked = false): Promise<Look> {
  return (await query<Look>(isLocked ? SQL.lock : SQL.look)).rows[0]!;
}

/** Whether it is the database that its own row says. */
export function isKnown(seen: Look): boolean {
  return (
    seen.systemId === seen.knownSystemId &&
    seen.timeline === seen.knownTimeline &&
    seen.database === seen.knownDatabase &&
    seen.table === seen.knownTable
  );
}

/** What this node goes by. */
export class DatabaseSight {
  #identity: Identity | undefined;
  #last: Sight | undefined;

  /** `last`: as far as the node remembers it. */
  constructor(last: Sight | undefined) {
    this.#last = last;
  }

  get last(): Sight | undefined {
    return this.#last;
  }

  /** Every node has said what it did in this database, or none had to. */
  adopt({ systemId, timeline, database, table, wal }: Look): void {
    this.#identity = { systemId, timeline, database, table };
    this.#last = { timeline, wal };
  }

  /** Whether the log ended further behind than `since`: what was seen when this was asked for. */
  isBehind({ timeline, wal }: Sight, since: Sight | undefined): boolean {
    return since?.timeline === timeline && wal < since.wal;
  }

  /** Error: StoreRewound. */
  assertSame(seen: Sight, since: Sight | undefined): void {
    const isSame = seen.timeline === this.#identity?.timeline && !this.isBehind(seen, since);
    if (!isSame) throw new StoreRewound();
    // What was asked for on another connection may have been answered meanwhile.
    const wal = Math.max(seen.wal, this.#last?.wal ?? 0);
    this.#last = { timeline: seen.timeline, wal };
  }

  /** The same of all that can be seen. Error: StoreRewound. */
  assertSound(seen: Look, since: Sight | undefined): void {
    const own = this.#identity;
    const isOwn =
      seen.systemId === own?.systemId && seen.database === own.database && seen.table === own.table;
    if (seen.state !== 'sound' || !isKnown(seen) || !isOwn) throw new StoreRewound();
    this.assertSame(seen, since);
  }
}
