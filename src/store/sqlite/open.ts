/**
 * The store of one node: one SQLite file. Runs in the thread that calls it. The contract, with the
 * words and the states, is ../store.ts; the schema is migrations; the states are segments.ts.
 *
 * Each call is one transaction, rolled back whole when anything in it fails. A commit is on disk
 * when it returns: the journal is a write-ahead log with synchronous=FULL. NORMAL could forget the
 * last commits in a power loss, and so hand one key out twice.
 *
 * What needs an await (making or opening a data key) comes before the transaction. Nothing else
 * happens between the two: calls are made one after the other, and the data directory is held.
 */
import type { Durability } from '../../config/config.ts';
import { OwnClock, type Time } from '../own-clock.ts';
import type { Recover } from '../recovery.ts';
import type { Store } from '../store.ts';
import { bindingOf, type OnForged } from './bound-rows.ts';
import { checkAtOpen, judged } from './check.ts';
import { type DataDirectory, holdDataDirectory } from './data-directory.ts';
import { openDatabase, transaction } from './database.ts';
import { Effects } from './effects.ts';
import { startEpoch } from './epoch.ts';
import { storeError } from './error.ts';
import { HandOutBook } from './hand-out-book.ts';
import { sealingKeyOf } from './sealing.ts';
import { Segments } from './segments.ts';
import { assertStanding, type StandingOptions } from './standing.ts';
import { prepareStatements, savedTime } from './statements.ts';
import { SqliteStore } from './store.ts';

export interface SqliteStoreOptions {
  readonly directory: string;
  /** 'file:PATH' (made with a new store) or 'env:NAME'. */
  readonly sealingKey: string;
  /** Without it a directory that holds no store is STORE_NOT_FOUND, and stays as it is. */
  readonly create?: boolean;
  /** Reads the journals of the last epoch; without it what was leased then is burned. */
  readonly recover?: Recover;
  /** What leases are taken for: 'leased' if not given. */
  readonly durability?: Durability;
  /**
   * 'guarded' if not given: the start is refused where a copy cannot be distinguished from the
   * store.
   */
  readonly copies?: StandingOptions['copies'];
  /** Where a second witness of the store is kept; without it there is none. */
  readonly witness?: string | undefined;
  /** What the store's clock goes by; the system's if not given. */
  readonly time?: Time;
  /** Called once, when the witness cannot be written. */
  readonly onNoWitness?: (reason: string) => void;
  /** Called once for each token and pool that is refused because somebody else wrote its row. */
  readonly onForged?: OnForged;
  /** Called with the tokens and pools of an older version's store, which are taken as they are. */
  readonly onBound?: (rows: readonly string[]) => void;
  /** Hears of each write transaction how many milliseconds it took until it is on disk. */
  readonly onCommit?: (ms: number) => void;
  /** What else is held until the store is closed, or cannot be opened. */
  readonly held?: Disposable | undefined;
}

/**
 * Opens the store in `directory` for service: a new epoch begins, and what the last one had leased
 * and did not return is burned. Errors: DATA_NOT_WRITABLE, DATA_IN_USE, DISK_FULL,
 * DATA_MOVED, SEALING_KEY_INVALID, STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_LOCKED,
 * STORE_CORRUPT, STORE_UNAVAILABLE. What a disk refuses to read is tried again until something is written.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { directory, create = true } = options;
  using held = new DisposableStack();
  held.use(options.held);
  const dataDirectory = held.use(holdDataDirectory(directory, create));
  try {
    return await openHeld(dataDirectory, held, options);
  } catch (cause) {
    const { storeFile } = dataDirectory;
    throw judged(storeError(cause, storeFile, 'opening'), storeFile);
  }
}

/** The store takes over what is `held`; an error leaves the database closed, and that held. */
async function openHeld(
  { storeFile, storeLock }: DataDirectory,
  held: DisposableStack,
  options: SqliteStoreOptions,
): Promise<Store> {
  const descriptor = storeLock?.file;
  const standing = assertStanding(storeFile, { ...options, descriptor });
  using resources = new DisposableStack();
  const exclusiveProcess = storeLock === undefined;
  const db = resources.use(openDatabase(storeFile, { exclusiveProcess }));
  checkAtOpen(db, storeFile);
  const statements = prepareStatements(db);
  const clock = new OwnClock(savedTime(statements), options.time);
  const key = await sealingKeyOf(db, options.sealingKey);
  const { rows, id: binding, apply } = await bindingOf(db, key, options.onForged);
  const books = { statements, segments: new Segments(db), handOuts: new HandOutBook(db) };
  const { witness, onNoWitness, onCommit } = options;
  const effects = resources.use(new Effects({ db, storeFile, standing, witness, onNoWitness }));
  const { epoch, bound } = transaction(db, () => {
    effects.stamp(true);
    return { bound: apply(), epoch: startEpoch(books, key, clock, options) };
  });
  effects.begun();
  if (bound.length > 0) options.onBound?.(bound);
  const { sealingKey, durability } = options;
  const parts = { key, sealingKey, rows, binding, clock, epoch, durability, effects, onCommit };
  const opened = { db, storeFile, ...books, ...parts };
  const all = held.move();
  all.use(resources.move());
  return new SqliteStore(opened, all);
}
