/**
 * The rows of a store, resealed after its sealing key has leaked: who has the old key and an older copy
 * of the store has its data keys, and what is sealed under those is open to him in the store of today.
 * Runs in the store thread.
 *
 *   1 the rotation (rotation.ts) gives each data key another, to take its place
 *   2 row by row, in the order of their ids, what has a secret is sealed again, where it stands; each
 *     piece is one transaction with the mark of how far it got (`reseal_done`)
 *   3 one transaction: the others take the place of the data keys, which are overwritten
 *   4 the log is taken into the database and truncated
 *
 * What is cut off anywhere goes on from the mark. A row is as long as it was, and so is a data key:
 * SQLite overwrites them where they stand, and leaves no copy on a page (with `secure_delete` it also
 * overwrites what it frees).
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { RowToReseal, Unsealer } from '../../keypair/seal.ts';
import type { KeyType } from '../../keypair/signing-key.ts';
import { forged } from '../row-macs.ts';
import { prepareAll } from './database.ts';
import type { Effects } from './effects.ts';
import type { Run } from './run.ts';

/** Of one piece: some milliseconds, for which nothing else is done. */
const ROWS_AT_ONCE = 256;
/** Of one piece, if most of them have no secret any more. */
const ROWS_LOOKED_AT = 4096;

/** The sealed data key of a row, by the mark of this moment; in one statement, for who reads beside the store. */
export const DATA_KEY = `coalesce(
  (SELECT sealed FROM next_data_keys
    WHERE id = data_key_id AND addresses.id <= (SELECT reseal_done FROM meta)),
  (SELECT sealed FROM data_keys WHERE id = data_key_id))`;

const SQL = {
  marks: 'SELECT reseal_done AS done, reseal_end AS last, next_id FROM meta',
  mark: 'UPDATE meta SET reseal_done = ?, reseal_end = ?',
  dataKey: 'SELECT sealed FROM data_keys WHERE id = ?',
  next: 'SELECT sealed FROM next_data_keys WHERE id = ?',
  addNext: 'INSERT INTO next_data_keys (id, sealed) VALUES (?, ?)',
  anyNext: 'SELECT 1 FROM next_data_keys LIMIT 1',
  replace: `UPDATE data_keys SET sealed = next.sealed
    FROM next_data_keys AS next WHERE next.id = data_keys.id`,
  removeNext: 'DELETE FROM next_data_keys',
  end: `SELECT max(id) AS id FROM (
    SELECT id FROM addresses WHERE id > ? AND id <= ? ORDER BY id LIMIT ${ROWS_LOOKED_AT})`,
  /** What a destroyed secret leaves is a public key and zeros. */
  rows: `SELECT addresses.id, name, keys, key_hash, data_key_id, sealed
    FROM addresses JOIN pools ON pools.id = pool_id
    WHERE addresses.id > ? AND addresses.id <= ?
      AND substr(sealed, 33) <> zeroblob(length(sealed) - 32)
    ORDER BY addresses.id LIMIT ${ROWS_AT_ONCE}`,
  set: 'UPDATE addresses SET sealed = ? WHERE id = ?',
} as const;

type ResealStatements = { readonly [name in keyof typeof SQL]: StatementSync };

interface Marks {
  readonly done: number | null;
  readonly last: number | null;
  readonly next_id: number;
}

interface SecretRow {
  readonly id: number;
  readonly name: string;
  readonly keys: KeyType;
  readonly key_hash: Uint8Array;
  readonly data_key_id: number;
  readonly sealed: Uint8Array;
}

/** Finds the sealed data key of a row, for one call: the mark stays where it is meanwhile. */
export type DataKeyOf = (id: number, dataKeyId: number) => Uint8Array | undefined;

export interface ResealingOptions {
  readonly run: Run;
  readonly unsealer: Unsealer;
  readonly effects: Pick<Effects, 'truncateLog'>;
}

/** Under which data key a row is at this moment: what every reader of rows has to know. */
export class SealedDataKeys {
  readonly statements: ResealStatements;

  constructor(db: DatabaseSync) {
    this.statements = prepareAll(db, SQL);
  }

  get marks(): Marks {
    return this.statements.marks.get() as unknown as Marks;
  }

  /** Within one call of the store. */
  find(): DataKeyOf {
    const { dataKey, next } = this.statements;
    const done = this.marks.done ?? 0;
    const found = new Map<number, Uint8Array | undefined>();
    return (id, dataKeyId) => {
      const isDone = id <= done;
      const name = isDone ? -dataKeyId : dataKeyId;
      if (found.has(name)) return found.get(name);
      const row = (isDone ? next.get(dataKeyId) : undefined) ?? dataKey.get(dataKeyId);
      const sealed = row?.sealed as Uint8Array | undefined;
      found.set(name, sealed);
      return sealed;
    };
  }
}

export class Resealing {
  readonly #dataKeys: SealedDataKeys;
  readonly #options: ResealingOptions;

  constructor(dataKeys: SealedDataKeys, options: ResealingOptions) {
    this.#dataKeys = dataKeys;
    this.#options = options;
  }

  /** How many rows are to be looked at, at most, and 1 for the end; 0 when nothing is left to do. */
  get left(): number {
    const { done, last } = this.#dataKeys.marks;
    return done === null || last === null ? 0 : last - done + 1;
  }

  /** Inside the transaction of a rotation: which data key takes the place of which, by id. */
  begin(next: ReadonlyMap<number, Uint8Array>): void {
    const { statements, marks } = this.#dataKeys;
    for (const [id, sealed] of next) statements.addNext.run(id, sealed);
    statements.mark.run(0, marks.next_id - 1);
  }

  /** One step of it; what is left then. Error: STORE_FORGED, those of the store. */
  async step(): Promise<number> {
    const { done, last } = this.#dataKeys.marks;
    if (done === null || last === null) return 0;
    if (done < last) await this.#resealPiece(done, last);
    else this.#end();
    return this.left;
  }

  async #resealPiece(done: number, last: number): Promise<void> {
    const { statements } = this.#dataKeys;
    // Ids have gaps: an older store, restored, goes on behind those that it may have given.
    const end = Number(statements.end.get(done, last)!.id ?? last);
    const found = statements.rows.all(done, end) as unknown as SecretRow[];
    const rows = this.#toReseal(found);
    const resealed = await this.#options.unsealer.reseal(rows).catch((error: unknown) => {
      throw error instanceof RangeError
        ? forged('a data key that takes the place of another')
        : error;
    });
    this.#options.run.transaction(() => {
      for (const [index, sealed] of resealed.entries()) {
        if (sealed !== undefined) statements.set.run(sealed, rows[index]!.id);
      }
      statements.mark.run(found.length < ROWS_AT_ONCE ? end : found.at(-1)!.id, last);
    });
  }

  /** Without those whose data key could not be opened by the rotation: nobody can read them. */
  #toReseal(rows: readonly SecretRow[]): (RowToReseal & { readonly id: number })[] {
    const { next } = this.#dataKeys.statements;
    const dataKeyOf = this.#dataKeys.find();
    const ids = new Set(rows.map(({ data_key_id }) => data_key_id));
    const nextOf = new Map(
      [...ids].map((id) => [id, next.get(id)?.sealed as Uint8Array | undefined]),
    );
    return rows.flatMap(
      ({ id, name: pool, keys: keyType, key_hash: keyHash, data_key_id, sealed }) => {
        const next = nextOf.get(data_key_id);
        if (next === undefined) return [];
        const place = { pool, keyType, keyHash };
        return [{ id, place, sealed, dataKey: dataKeyOf(id, data_key_id), next }];
      },
    );
  }

  #end(): void {
    const { statements } = this.#dataKeys;
    const { run, effects } = this.#options;
    if (statements.anyNext.get() !== undefined) {
      run.transaction(() => {
        statements.replace.run();
        statements.removeNext.run();
      });
    }
    if (effects.truncateLog()) run.transaction(() => statements.mark.run(null, null));
  }
}
