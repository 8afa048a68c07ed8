/**
 * The sealing key of an open store, replaced by another: data keys are sealed to the new one, and rows
 * are bound by it (bound-rows.ts). Sealed rows of addresses stay as they are, if they are not resealed
 * then (resealing.ts), and so do the data keys themselves, but nothing new is sealed under one that the
 * old key opens. Runs in the store thread.
 *
 *   1 the old key under its id, synced     2 the new one beside it, synced
 *   3 one transaction                      4 the new key takes the name
 *
 * A start takes the key that the store records (sealing.ts): ended before 3 the old one, after it the
 * new one, wherever each of them is by then. With a key from a variable 3 is all that there is.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { moveDataKey, newDataKey } from '../../keypair/data-keys.ts';
import { type SealingKey, sealingKeyId } from '../../keypair/sealing-key.ts';
import { dropNextKey, isKey, nextOf, takeNextKey } from '../../keypair/sealing-key-files.ts';
import type { KeyRotation, RotatedKey, RotationOptions } from '../key-rotation.ts';
import { nextKey, refused } from '../next-key.ts';
import type { BoundRows } from './bound-rows.ts';
import { prepareAll } from './database.ts';
import type { Resealing } from './resealing.ts';
import type { Run } from './run.ts';

const SQL = {
  sealingKey: 'SELECT sealing_key FROM meta',
  setSealingKey: 'UPDATE meta SET sealing_key = ?',
  count: 'SELECT count(*) AS count FROM data_keys',
  next: 'SELECT id, sealed FROM data_keys WHERE id > ? ORDER BY id LIMIT ?',
  set: 'UPDATE data_keys SET sealed = ? WHERE id = ?',
} as const;

/** About ten milliseconds, for which nothing else is done. */
const KEYS_AT_ONCE = 16;

export interface RotatedStore {
  readonly db: DatabaseSync;
  readonly run: Run;
  readonly storeId: string;
  readonly binding: string;
  readonly rows: BoundRows;
  readonly key: SealingKey;
  /** Of `key`. */
  readonly source: string;
  readonly resealing: Resealing;
  /** The store goes by this key from now on. Must not throw. */
  readonly onMoved: (key: SealingKey, source: string) => void;
}

/**
 * Errors: KEY_ROTATION_REFUSED for a key that cannot be written, read or used; of the store. Whatever
 * it fails with, the store goes by its key.
 */
export async function beginRotation(
  store: RotatedStore,
  options: RotationOptions,
): Promise<KeyRotation> {
  const { run, resealing } = store;
  if (resealing.left > 0) {
    const remedy = 'wait until that is done: vanitypool key rotate --reseal goes on with it';
    throw refused(`the addresses are still being resealed since the last rotation; ${remedy}`);
  }
  // A commit of one before that failed on the disk is settled by one that did not: its key is no longer needed.
  await run.write(() => undefined);
  const { next, oldSource } = await nextKey(store, options);
  return new Rotation(store, options, next, oldSource);
}

class Rotation implements KeyRotation {
  readonly total: number;
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };
  readonly #store: RotatedStore;
  readonly #next: SealingKey;
  readonly #options: RotationOptions;
  readonly #oldSource: string;
  /** By id; what the old key cannot open is not in it, and stays as it is. */
  readonly #moved = new Map<number, Uint8Array>();
  /** Of the same ids: what takes their place, if rows are to be resealed. */
  readonly #resealed = new Map<number, Uint8Array>();
  #last = 0;
  #done = 0;

  constructor(store: RotatedStore, options: RotationOptions, next: SealingKey, oldSource: string) {
    this.#statements = prepareAll(store.db, SQL);
    this.#store = store;
    this.#options = options;
    this.#next = next;
    this.#oldSource = oldSource;
    this.total = Number(this.#statements.count.get()!.count);
  }

  get done(): number {
    return this.#done;
  }

  async prepare(): Promise<void> {
    const { storeId, binding, key } = this.#store;
    const { publicKey } = this.#next;
    const of = { storeId, binding, publicKey };
    for (const { id, sealed } of this.#statements.next.all(this.#last, KEYS_AT_ONCE)) {
      const moved = await moveDataKey(key, of, sealed as Uint8Array);
      if (moved !== undefined) this.#moved.set(Number(id), moved);
      if (moved !== undefined && this.#options.reseal) {
        this.#resealed.set(Number(id), await newDataKey(of));
      }
      this.#last = Number(id);
      this.#done++;
    }
  }

  async handOver(): Promise<void> {}

  async finish(): Promise<RotatedKey> {
    const { key, onMoved, source, resealing } = this.#store;
    const { to: inVariable, onStep } = this.#options;
    while (this.#isMore) await this.prepare();
    const use = await this.#commit();
    use();
    onMoved(this.#next, inVariable ?? source);
    onStep?.('store sealed');
    const to = inVariable ?? (await this.#name());
    return {
      from: sealingKeyId(key.publicKey),
      to: sealingKeyId(this.#next.publicKey),
      source: to,
      oldSource: this.#oldSource,
      dataKeys: this.#done,
      toReseal: resealing.left,
    };
  }

  cancel(): void {
    if (this.#options.to === undefined) dropNextKey(this.#store.source);
  }

  get #isMore(): boolean {
    return this.#statements.next.get(this.#last, 1) !== undefined;
  }

  /** Returns what makes the rows go by the new key. What a commit that fails may leave needs both keys. */
  async #commit(): Promise<() => void> {
    const { storeId, binding, rows, run, resealing } = this.#store;
    const { set, setSealingKey, sealingKey } = this.#statements;
    const rowKey = this.#next.rowKey(storeId, binding);
    let use = (): void => undefined;
    try {
      return await run.call(() =>
        run.transaction(() => {
          if (this.#isMore)
            throw new Error('a data key was made while the sealing key was rotated');
          use = rows.move(rowKey);
          for (const [id, sealed] of this.#moved) set.run(sealed, id);
          setSealingKey.run(this.#next.publicKey);
          if (this.#options.reseal) resealing.begin(this.#resealed);
          return use;
        }, true),
      );
    } catch (error) {
      // What comes after the commit may fail, too.
      const recorded = sealingKey.get()!.sealing_key as Uint8Array | null;
      if (isKey(this.#next, recorded)) return use;
      throw error;
    }
  }

  /** Where the new key is by now: a start gives it the name that it could not get here. */
  async #name(): Promise<string> {
    const { source } = this.#store;
    try {
      await takeNextKey(source);
    } catch {
      return nextOf(source);
    }
    this.#options.onStep?.('named');
    return source;
  }
}
