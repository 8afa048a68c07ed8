/**
 * What the start of every node begins with, whatever its role: the server is looked at, and the schema made or
 * compared. Runs in the thread that opens the store.
 */
import type { Role } from '../../config/config.ts';
import { bootId } from '../../system/boot-id.ts';
import { OwnClock, SystemTime, type Time } from '../own-clock.ts';
import { StoreRewound } from '../store.ts';
import { Beats, type Monotonic } from './beats.ts';
import { Connection } from './connection.ts';
import { DatabaseSight, isKnown, look } from './database-sight.ts';
import { Marks } from './marks.ts';
import { type NodeIdentity, Run } from './run.ts';
import { migrate } from './schema.ts';
import { checkServer } from './server-check.ts';
import type { ConnectionSettings } from './settings.ts';

const SQL = {
  cluster: `SELECT store_id, sealing_key, binding, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
    FROM vanitypool.cluster`,
} as const;

export interface JoiningOptions {
  readonly settings: ConnectionSettings;
  readonly node: NodeIdentity;
  /** Makes the schema, or brings it up to date; else one that is not there is STORE_NOT_FOUND. */
  readonly create: boolean;
  /** One that only grinds leaves all that others hand out to them. */
  readonly role: Role;
  /** Of this node alone: what it remembers is there. */
  readonly data: string;
  /** Of the machine's start; the system's if not given. */
  readonly bootId?: string | undefined;
  readonly ttlMs: number;
  /** What its beats go by; the system's if not given. */
  readonly monotonic?: Monotonic | undefined;
}

export interface ClusterRow {
  readonly store_id: string;
  readonly sealing_key: Uint8Array | null;
  readonly binding: string | null;
  /** Of its clock. */
  readonly now: number;
}

export interface Joined {
  readonly run: Run;
  readonly beats: Beats;
  readonly cluster: ClusterRow;
  /** The start is over: what fails from now on may pass. */
  readonly started: () => void;
}

/**
 * A run that has not begun. `resources` close its connections. Errors: CONFIG_INVALID, CERTIFICATE_INVALID,
 * STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_CORRUPT, STORE_UNAVAILABLE.
 */
export async function join(
  resources: AsyncDisposableStack,
  options: JoiningOptions,
): Promise<Joined> {
  const { settings, node, role, create, ttlMs, monotonic } = options;
  const isGuest = role === 'grinder';
  const turns = resources.use(new Connection(settings));
  const inserts = resources.use(new Connection(settings));
  const beaten = resources.use(new Connection(settings));
  await checkServer(turns, !isGuest);
  await migrate(turns, create);
  const { rows } = await turns.transaction(({ query }) => query<ClusterRow>(SQL.cluster));
  const cluster = rows[0]!;
  const clock = new OwnClock(undefined, new DatabaseTime(cluster.now));
  const storeId = cluster.store_id;
  const marks = new Marks(options.data, { storeId, node, bootId: options.bootId ?? bootId() });
  resources.defer(() => marks.stop());
  const sight = new DatabaseSight(marks.sight);
  const run = new Run({ node, role, turns, inserts, clock, storeId, sight, marks });
  const watchesOthers = !isGuest;
  const beats = new Beats({
    ...{ run, connection: beaten, ttlMs, watchesOthers },
    ...(monotonic && { now: monotonic }),
  });
  const started = (): void => {
    for (const connection of [turns, inserts, beaten]) connection.moment = 'running';
  };
  return { run, beats, cluster, started };
}

/** One that leases nothing has nothing to say of a database that went back: it waits. Error: STORE_REWOUND. */
export async function adoptSound(run: Run): Promise<void> {
  const seen = await run.transaction((query) => look(query));
  if (seen.state !== 'sound' || !isKnown(seen)) throw new StoreRewound();
  run.sight.adopt(seen);
}

/** The clock of the database as it was at the start, going as this machine's. */
class DatabaseTime implements Time {
  readonly #machine = new SystemTime();
  readonly #aheadMs: number;

  /** `now` by the clock of the database. */
  constructor(now: number) {
    this.#aheadMs = now - this.#machine.system();
  }

  system(): number {
    return this.#machine.system() + this.#aheadMs;
  }

  elapsed(): number {
    return this.#machine.elapsed();
  }

  wake(): void {
    this.#machine.wake();
  }
}
