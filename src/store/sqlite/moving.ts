/**
 * A store that moves to PostgreSQL: read whole while it is held, and marked when all of it is there. Runs in the
 * thread that calls it, after the store was opened as by any command: what the last run left is settled.
 *
 *   1 marked, on disk: nothing opens it any more     2 its anchor retired     3 its witness says so
 *
 * By 2 and 3 an older state of it that is put back is refused, too. What is cut off behind 1 is made good by the next
 * time that this is done.
 */
import type { DatabaseSync } from 'node:sqlite';
import { retireAnchor } from '../../disk/anchor.ts';
import { placeName } from '../../disk/place.ts';
import { replaceIfPossible, witnessPath } from '../../disk/witness.ts';
import { VanityError } from '../../errors.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey } from '../../keypair/sealing-key-files.ts';
import { forged } from '../row-macs.ts';
import { type BoundRows, boundRowsOf } from './bound-rows.ts';
import { holdDataDirectory } from './data-directory.ts';
import { openDatabase, transaction } from './database.ts';
import { movedTo } from './moved.ts';
import { MovingRows } from './moving-rows.ts';
import { assertStanding, type Recorded, recordedIn, type StandingOptions } from './standing.ts';
import { metaOf, prepareStatements } from './statements.ts';
import { Log } from './write-ahead-log.ts';

export interface MovingOptions {
  readonly directory: string;
  /** 'file:PATH' or 'env:NAME'. */
  readonly sealingKey: string;
  readonly copies?: StandingOptions['copies'];
  /** The directory of witnesses, if there is one. */
  readonly witness: string | undefined;
}

/** A store that has gone. */
export interface Gone {
  readonly storeId: string;
  /** Where to, as it was marked. */
  readonly to: string;
}

export class MovingStore implements Disposable {
  readonly rows: MovingRows;
  readonly key: SealingKey;
  readonly #db: DatabaseSync;
  readonly #storeFile: string;
  readonly #witness: string | undefined;
  readonly #resources: DisposableStack;

  private constructor(
    rows: MovingRows,
    key: SealingKey,
    {
      db,
      storeFile,
      witness,
    }: { db: DatabaseSync; storeFile: string; witness: string | undefined },
    resources: DisposableStack,
  ) {
    this.rows = rows;
    this.key = key;
    this.#db = db;
    this.#storeFile = storeFile;
    this.#witness = witness;
    this.#resources = resources;
  }

  /**
   * Held until it is disposed of. Errors: DATA_IN_USE where it was opened again since it was settled, STORE_FORGED for
   * a token or a pool that somebody else wrote, KEY_ROTATION_REFUSED while it is resealed, those of opening a store.
   */
  static async open(options: MovingOptions): Promise<MovingStore> {
    const { directory, sealingKey, copies, witness } = options;
    using resources = new DisposableStack();
    const { storeFile, storeLock } = resources.use(holdDataDirectory(directory, false));
    assertStanding(storeFile, { copies, witness, descriptor: storeLock?.file });
    const exclusiveProcess = storeLock === undefined;
    const db = resources.use(openDatabase(storeFile, { exclusiveProcess }));
    const meta = metaOf(prepareStatements(db));
    const { key } = await findSealingKey(sealingKey, meta.sealing_key);
    const bound = key && boundRowsOf(db, key);
    // It was a moment ago.
    if (key === undefined || bound === undefined) throw forged('what the store says of its key');
    assertRight(db, bound);
    assertAtRest(db, directory);
    const place = { db, storeFile, witness };
    return new MovingStore(new MovingRows(db), key, place, resources.move());
  }

  /** The store is no more: it is where `to` says, 'postgres://...'. On disk when this returns. */
  mark(to: string): void {
    transaction(this.#db, () =>
      this.#db
        .prepare('UPDATE meta SET anchor = ?, anchor_before = NULL, number = number + 1')
        .run(to),
    );
    // In the file as well: a copy of it without its log is marked.
    new Log(this.#db).truncate();
    const { storeId, number } = this.#db
      .prepare('SELECT store_id AS storeId, number FROM meta')
      .get() as unknown as Recorded;
    const place = metaOf(prepareStatements(this.#db)).place!;
    retire(this.#storeFile, { storeId, number, place }, this.#witness);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/**
 * Where the store in the directory has gone, which stays retired; undefined for one that is here. Nobody may hold it.
 * Errors: those of taking a data directory, and of opening to read.
 */
export function goneFrom({ directory, witness }: MovingOptions): Gone | undefined {
  using held = holdDataDirectory(directory, false);
  const recorded = recordedIn(held.storeFile, 'with-log');
  const to = movedTo(recorded?.anchor ?? null);
  if (recorded === undefined || to === undefined) return undefined;
  const { storeId, number, place } = recorded;
  retire(held.storeFile, { storeId, number, place: place! }, witness);
  return { storeId, to };
}

function retire(
  storeFile: string,
  { storeId, number, place }: Pick<Recorded, 'storeId' | 'number'> & { readonly place: string },
  witness: string | undefined,
): void {
  const name = placeName(place);
  retireAnchor(storeFile, name);
  if (witness === undefined) return;
  replaceIfPossible(witnessPath(witness, storeId, name), { number, isMoved: true });
}

function assertRight(db: DatabaseSync, bound: BoundRows): void {
  void bound.history;
  for (const [kind, table] of [
    ['token', 'tokens'],
    ['pool', 'pools'],
  ] as const) {
    for (const row of db.prepare(`SELECT * FROM ${table}`).iterate()) bound.assertRight(kind, row);
  }
}

function assertAtRest(db: DatabaseSync, directory: string): void {
  const { leased, isResealed } = db
    .prepare(`SELECT (SELECT coalesce(sum(leased), 0) FROM pools) AS leased,
      (SELECT reseal_end IS NOT NULL FROM meta) AS isResealed`)
    .get()!;
  if (Number(leased) > 0) {
    const detail = 'it was served again meanwhile; stop its server, and type the command again';
    throw new VanityError('DATA_IN_USE', `${directory}: ${detail}`);
  }
  if (isResealed === 0) return;
  const remedy = 'go on with it first: vanitypool key rotate --reseal; then move the store';
  const detail = `the addresses are still being resealed since the last rotation; ${remedy}`;
  throw new VanityError('KEY_ROTATION_REFUSED', `${directory}: ${detail}`);
}
