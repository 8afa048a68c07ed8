/**
 * The sealing key as a node has it, and what is derived of it for this store: it gives way to another one when a
 * node rotates it (rotation.ts). Runs in the store thread.
 *
 * Which key the store goes by says the row of the cluster. A transaction that finds something wrong looks there
 * (`assertKey`), and is made again under the key of that row, if this node has it: it was handed it before.
 */
import type { KeyObject } from 'node:crypto';
import { VanityError } from '../../errors.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, takeNextKey, wrongKey } from '../../keypair/sealing-key-files.ts';
import type { PlacedKey } from '../next-key.ts';
import type { Query } from './transaction.ts';

const SQL = { key: 'SELECT sealing_key FROM vanitypool.cluster' } as const;

/** Thrown inside a transaction of which nothing counts: the store goes by another key than it began with. */
export class SealingKeyMoved extends Error {
  readonly publicKey: Uint8Array;

  constructor(publicKey: Uint8Array) {
    super('the store goes by another sealing key');
    this.publicKey = publicKey;
  }
}

/** What seals and binds rows: as it is now. */
export interface StoreKeys {
  readonly rowKey: KeyObject;
  readonly nodeKey: KeyObject;
  /** That the store goes by it, and did when the transaction began. Error: SealingKeyMoved. */
  readonly assertKey: (query: Query) => Promise<void>;
}

/** Of who reads one state of the database, whose key it has found. */
export function fixedKeys(key: SealingKey, storeId: string, binding: string): StoreKeys {
  return {
    rowKey: key.rowKey(storeId, binding),
    nodeKey: key.nodeKey(storeId, binding),
    assertKey: async () => undefined,
  };
}

/** What a run follows (run.ts). */
export interface FollowedKey {
  readonly publicKey: Uint8Array;
  /** Error: SEALING_KEY_INVALID for one that this node does not have. */
  follow(publicKey: Uint8Array): Promise<void>;
}

export async function keyInUse(query: Query): Promise<Uint8Array> {
  const [row] = (await query<{ sealing_key: Uint8Array | null }>(SQL.key)).rows;
  return row!.sealing_key ?? Buffer.alloc(0);
}

export class HeldKey implements StoreKeys, FollowedKey {
  readonly storeId: string;
  readonly exchange: SealingKey;
  readonly assertKey: StoreKeys['assertKey'];
  /** Hear of each key that takes the place of the one before. Must not throw. */
  readonly users = new Set<(key: SealingKey, source: string) => void>();
  #now: PlacedKey;
  /** That may take its place: made or handed here. */
  #next: PlacedKey | undefined;
  #derived: Pick<StoreKeys, 'rowKey' | 'nodeKey'> & { readonly handingKey: KeyObject };
  #binding = '';

  /** `exchange`: made with this process, whose memory alone has it; other keys are handed to that one. */
  constructor(
    storeId: string,
    now: PlacedKey,
    exchange: SealingKey,
    assertKey: StoreKeys['assertKey'],
  ) {
    this.storeId = storeId;
    this.exchange = exchange;
    this.#now = now;
    this.assertKey = assertKey;
    this.#derived = this.#derive();
  }

  get key(): SealingKey {
    return this.#now.key;
  }

  /** Where that is: 'file:PATH' or 'env:NAME'. */
  get source(): string {
    return this.#now.source;
  }

  get publicKey(): Uint8Array {
    return this.key.publicKey;
  }

  get rowKey(): KeyObject {
    return this.#derived.rowKey;
  }

  get nodeKey(): KeyObject {
    return this.#derived.nodeKey;
  }

  get handingKey(): KeyObject {
    return this.#derived.handingKey;
  }

  get binding(): string {
    return this.#binding;
  }

  /** What the store is bound with. */
  set binding(binding: string) {
    this.#binding = binding;
    this.#derived = this.#derive();
  }

  isExpected(key: SealingKey): boolean {
    return this.#next?.key === key;
  }

  /** From now on the store may go by this one; undefined: by none that was to be expected. */
  expect(next: PlacedKey | undefined): void {
    this.#next = next;
  }

  async follow(publicKey: Uint8Array): Promise<void> {
    if (isKey(this.key, publicKey)) return;
    const { source } = this;
    const found = await findSealingKey(source, publicKey);
    const isThere = found.key !== undefined && isKey(found.key, publicKey);
    const expected = this.#next && isKey(this.#next.key, publicKey) ? this.#next : undefined;
    const next = expected ?? (isThere ? { key: found.key!, source } : undefined);
    if (next === undefined) {
      const detail = `the store goes by another key (${wrongKey(source, this.key, publicKey)})`;
      const remedy = 'if it was rotated, copy the new one from another node, and start again';
      throw new VanityError('SEALING_KEY_INVALID', `${source}: ${detail}; ${remedy}`);
    }
    // One that cannot get the name now is found beside it by the next start.
    if (next.source === source && found.isNext) await takeNextKey(source).catch(() => undefined);
    this.#now = next;
    this.#derived = this.#derive();
    for (const use of this.users) use(next.key, next.source);
  }

  #derive() {
    const [id, binding] = [this.storeId, this.#binding];
    return {
      rowKey: this.key.rowKey(id, binding),
      nodeKey: this.key.nodeKey(id, binding),
      handingKey: this.key.handingKey(id, binding),
    };
  }
}
