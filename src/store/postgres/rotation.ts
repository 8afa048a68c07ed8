/**
 * The sealing key of a store of many nodes, replaced by another: data keys are sealed to the new one, and rows,
 * enrolments and exchange keys are bound by it. Runs in the store thread of the node that was asked; the others run.
 *
 *   1 the old key under its id, synced; the new one beside it, synced      2 every node that opens addresses is
 *   handed it, and has it beside its own (handing.ts)      3 one transaction      4 each node finds that the store
 *   goes by it (store-keys.ts), and it takes the name there
 *
 * A start takes the key that the database records. Until 3 the old one is good everywhere, after it the new one: a
 * run that begins meanwhile waits for 3, or is seen by it and is handed the key first. Who writes under the old one
 * behind 3 is stopped by the statement (data-keys.ts), or finds it under the lock of the cluster's row
 * (bound-rows.ts).
 */
import { moveDataKey } from '../../keypair/data-keys.ts';
import { type SealingKey, sealingKeyId } from '../../keypair/sealing-key.ts';
import { dropNextKey, findSealingKey, isKey, nextOf } from '../../keypair/sealing-key-files.ts';
import type { KeyRotation, RotatedKey, RotationOptions } from '../key-rotation.ts';
import { type NextKey, nextKey, refused } from '../next-key.ts';
import { BoundRows } from './bound-rows.ts';
import { type DataKeys, signDataKey } from './data-keys.ts';
import { enrol, isEnrolled, type NodeRow } from './enrolment.ts';
import { assertAlone, Handing } from './handing.ts';
import { allRows, saidOf } from './pool-rows.ts';
import type { Run } from './run.ts';
import { fixedKeys, type HeldKey } from './store-keys.ts';
import { allTokens } from './tokens.ts';
import type { Query } from './transaction.ts';

const SQL = {
  lock: 'SELECT sealing_key FROM vanitypool.cluster FOR UPDATE',
  isOpen: `SELECT FROM vanitypool.epochs WHERE epoch = $1 AND run = $2 AND state = 'open'`,
  count: 'SELECT count(*) AS count FROM vanitypool.data_keys',
  next: 'SELECT id, sealed FROM vanitypool.data_keys WHERE id > $1 ORDER BY id LIMIT $2',
  /** Their ids do not come in the order of their commits. */
  others: `SELECT d.id, d.sealed FROM vanitypool.data_keys AS d
    LEFT JOIN unnest($1::bigint[]) AS known (id) ON known.id = d.id WHERE known.id IS NULL`,
  /** What somebody changed meanwhile stays what it is. */
  set: `UPDATE vanitypool.data_keys AS d SET sealed = m.sealed, epoch = $1, signature = m.signature
    FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[]) AS m (id, old, sealed, signature)
    WHERE d.id = m.id AND d.sealed = m.old`,
  nodes: `SELECT id, name, sign_key, enrolment FROM vanitypool.nodes WHERE enrolment IS NOT NULL`,
  setKey: 'UPDATE vanitypool.cluster SET sealing_key = $1, version = version + 1',
  forget: 'DELETE FROM vanitypool.handed_keys',
} as const;

/** About ten milliseconds, for which nothing else is done. */
const KEYS_AT_ONCE = 16;
const KEYS_IN_STATEMENT = 1000;
/** Of the one transaction, for which those who change pools or tokens, or start, wait. */
const LIMITS = { lockMs: 10_000, timeoutMs: 120_000 };

export interface RotatedStore {
  readonly run: Run;
  readonly held: HeldKey;
  readonly dataKeys: DataKeys;
  readonly rows: BoundRows;
}

interface DataKeyRow {
  readonly id: number;
  readonly sealed: Uint8Array;
}

interface MovedKey {
  readonly old: Buffer;
  readonly sealed: Buffer;
  readonly signature: Buffer;
}

/**
 * Errors: KEY_ROTATION_REFUSED for a key that cannot be written, read or used; of the store. Whatever it fails with,
 * the store goes by its key.
 */
export async function beginRotation(
  store: RotatedStore,
  options: RotationOptions,
): Promise<KeyRotation> {
  const { run, held } = store;
  if (options.reseal) {
    const advice = 'rotate without it; docs/scaling.md says what to do when a key has leaked';
    throw refused(`a store of many nodes does not seal addresses again; ${advice}`);
  }
  const made = await run.repeated(async (query) => {
    // A commit without an answer is in by then, or never will be.
    await assertAlone(query, run);
    const made = await nextKey(held, options);
    held.expect({ key: made.next, source: options.to ?? held.source });
    return made;
  });
  const { count } = (await run.transaction((query) => query<{ count: number }>(SQL.count)))
    .rows[0]!;
  return new Rotation(store, options, made, count);
}

class Rotation implements KeyRotation {
  total: number;
  readonly #store: RotatedStore;
  readonly #options: RotationOptions;
  readonly #made: NextKey;
  readonly #old: SealingKey;
  /** In which data keys are signed. */
  readonly #epoch: number;
  readonly #handing: Handing;
  /** By id; what the old key cannot open, and what no enrolled node has sealed, is undefined and stays as it is. */
  readonly #moved = new Map<number, MovedKey | undefined>();
  #last = 0;

  constructor(store: RotatedStore, options: RotationOptions, made: NextKey, total: number) {
    const { run, held } = store;
    this.#store = store;
    this.#options = options;
    this.#made = made;
    this.#old = held.key;
    this.#epoch = run.epoch;
    this.#handing = new Handing(run, held, made.next);
    this.total = total;
  }

  get done(): number {
    return this.#moved.size;
  }

  async prepare(): Promise<void> {
    const { run } = this.#store;
    const rows = await run.transaction(async (query) => {
      const found = await query<DataKeyRow>(SQL.next, [this.#last, KEYS_AT_ONCE]);
      await this.#move(query, found.rows);
      return found.rows;
    });
    // Fewer than there were, if the database went back: then the commit is refused.
    if (rows.length === 0) this.total = this.done;
    this.#last = rows.at(-1)?.id ?? this.#last;
  }

  handOver(): Promise<void> {
    return this.#handing.toAll();
  }

  async finish(): Promise<RotatedKey> {
    const { run, held } = this.#store;
    const { next, oldSource } = this.#made;
    try {
      // A run that has begun meanwhile is to have it first.
      while (!(await run.repeated((query) => this.#commit(query), LIMITS))) await this.handOver();
    } catch (error) {
      await this.#handing.takeBack();
      throw error;
    }
    this.#options.onStep?.('store sealed');
    await held.follow(next.publicKey);
    const source = await this.#place();
    return {
      from: sealingKeyId(this.#old.publicKey),
      to: sealingKeyId(next.publicKey),
      source,
      oldSource,
      dataKeys: this.done,
      toReseal: 0,
      handedTo: this.#handing.count,
    };
  }

  cancel(): void {
    const { held } = this.#store;
    const { next } = this.#made;
    // Another node may have handed its own meanwhile.
    if (!held.isExpected(next)) return;
    held.expect(undefined);
    if (this.#options.to === undefined) dropNextKey(held.source);
  }

  /** Where the new key is by now: a start gives it the name that it could not get here. */
  async #place(): Promise<string> {
    const { source } = this.#store.held;
    if ((await findSealingKey(source, this.#made.next.publicKey)).isNext) return nextOf(source);
    if (source.startsWith('file:')) this.#options.onStep?.('named');
    return source;
  }

  /** False if a run does not have the new key: then nothing is changed. */
  async #commit(query: Query): Promise<boolean> {
    const { run, held } = this.#store;
    const { next } = this.#made;
    const [row] = (await query<{ sealing_key: Uint8Array }>(SQL.lock)).rows;
    // A try before of which nobody knew it.
    if (isKey(next, row!.sealing_key)) return true;
    await run.assertSound(query);
    if (!isKey(this.#old, row!.sealing_key) || held.key !== this.#old) {
      throw refused('another node has rotated the sealing key meanwhile');
    }
    if (run.epoch !== this.#epoch) {
      throw refused('another node has ended the run that rotates the key; try again');
    }
    if ((await query(SQL.isOpen, [run.epoch, run.id])).rows.length === 0) {
      throw await run.fenced(query);
    }
    if ((await this.#handing.missing(query)).length > 0) return false;
    await this.#assertKept();
    const known = [...this.#moved.keys()];
    await this.#move(query, (await query<DataKeyRow>(SQL.others, [known])).rows);
    await this.#setDataKeys(query);
    await this.#bindRows(query);
    await this.#handing.renew(query);
    await query(SQL.setKey, [Buffer.from(next.publicKey)]);
    await query(SQL.forget);
    return true;
  }

  /** That this node finds the new key, also after a crash. Error: KEY_ROTATION_REFUSED. */
  async #assertKept(): Promise<void> {
    const { held } = this.#store;
    const { next } = this.#made;
    const isThere =
      this.#options.to !== undefined || (await findSealingKey(held.source, next.publicKey)).isNext;
    if (isThere && held.isExpected(next)) return;
    const file = nextOf(held.source);
    throw refused(
      `another node has handed its own key meanwhile, or ${file} was removed; try again`,
    );
  }

  async #move(query: Query, rows: readonly DataKeyRow[]): Promise<void> {
    const { run, held, dataKeys } = this.#store;
    const { storeId, binding } = held;
    const { publicKey } = this.#made.next;
    const asked = rows.map(({ id, sealed }) => ({ data_key_id: id, data_key: sealed }));
    const genuine = await dataKeys.genuine(query, asked);
    for (const { id, sealed } of rows) {
      const of = { storeId, binding, publicKey };
      const moved = genuine.has(id) ? await moveDataKey(this.#old, of, sealed) : undefined;
      const signature = moved && signDataKey(run.node, storeId, this.#epoch, moved);
      this.#moved.set(
        id,
        moved && { old: Buffer.from(sealed), sealed: Buffer.from(moved), signature: signature! },
      );
    }
  }

  async #setDataKeys(query: Query): Promise<void> {
    const moved = [...this.#moved].flatMap(([id, key]) =>
      key === undefined ? [] : [{ id, ...key }],
    );
    for (let from = 0; from < moved.length; from += KEYS_IN_STATEMENT) {
      const part = moved.slice(from, from + KEYS_IN_STATEMENT);
      await query(SQL.set, [
        this.#epoch,
        part.map(({ id }) => id),
        part.map(({ old }) => old),
        part.map(({ sealed }) => sealed),
        part.map(({ signature }) => signature),
      ]);
    }
  }

  /** What is right under the old key is so under the new one; what is not stays as it is. */
  async #bindRows(query: Query): Promise<void> {
    const { held, rows } = this.#store;
    const keys = fixedKeys(this.#made.next, held.storeId, held.binding);
    const next = new BoundRows(keys);
    const tokens = await rows.rightOnes(query, 'token', await allTokens(query));
    for (const row of tokens) await next.bind(query, 'token', row);
    const pools = (await allRows(query)).map((row) => saidOf(row));
    for (const row of await rows.rightOnes(query, 'pool', pools))
      await next.bind(query, 'pool', row);
    await next.setHistory(query, await rows.history(query));
    for (const node of (await query<NodeRow>(SQL.nodes)).rows) {
      if (!isEnrolled(held.nodeKey, node)) continue;
      await enrol(query, keys.nodeKey, { id: node.id, signKey: node.sign_key });
    }
  }
}
