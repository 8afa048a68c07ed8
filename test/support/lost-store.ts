/**
 * Stores that are backed up, lost and restored, for tests: a pool 'pet' whose addresses the test
 * knows, and the list of what left it, as `vanitypool audit --json` writes it.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf } from '../../src/keypair/address.ts';
import type { KeyType } from '../../src/keypair/signing-key.ts';
import type { Store } from '../../src/store/store.ts';
import { openStoreIn, removeDirectory, temporaryDirectory, withDatabase } from './sqlite-stores.ts';
import { hitsFor, poolNamed } from './store-subject.ts';
import { returnLease, turn } from './turns.ts';

export const AT = Date.parse('2026-11-20T12:00:00.500Z');

/** What a list says of one address. */
export interface Listed {
  readonly id: number;
  readonly state?: string;
  readonly at?: number;
  readonly cause?: string | null;
}

export class LostStore implements Disposable {
  /** All that the test makes lies in here. */
  readonly root = temporaryDirectory();
  readonly directory = join(this.root, 'lost');
  readonly backup = join(this.root, 'backup');
  readonly list = join(this.root, 'list');
  /** The address with id n is the one at n - 1. */
  readonly addresses: string[] = [];
  readonly #keys: KeyType;
  storeId = '';
  epoch = 0;

  constructor(keys: KeyType = 'seed') {
    this.#keys = keys;
  }

  /** Opens it for one epoch, in which `work` is done, and closes it as a clean stop does. */
  async serve(work: (store: Store) => Promise<void>): Promise<void> {
    const store = await openStoreIn(this.directory);
    this.storeId = store.id;
    this.epoch = store.epoch;
    await store.definePool(poolNamed('pet', this.#keys));
    await work(store);
    await returnLease(store, 'pet');
    await store.close();
  }

  async insert(store: Store, count: number): Promise<void> {
    const hits = hitsFor('pet', count, this.#keys);
    await store.insert(hits);
    this.addresses.push(...hits.map(({ publicKey }) => addressOf(publicKey)));
  }

  /** Hands out the `count` oldest that are available; their ids. */
  async dispense(store: Store, count: number): Promise<number[]> {
    const { leased } = await turn(store, 'pet', 0, count);
    await turn(store, 'pet', count, 0);
    return leased.map(({ id }) => id);
  }

  /** Writes a list of these addresses; `summary` changes its last line. */
  writeList(listed: readonly Listed[], summary: object = {}): string {
    const lines = listed.map((one) => this.line(one));
    const { storeId, epoch } = this;
    const end = { storeId, epoch, addresses: lines.length, isComplete: true, ...summary };
    writeFileSync(this.list, `${[...lines, JSON.stringify(end)].join('\n')}\n`);
    return this.list;
  }

  line({ id, state = 'dispensed', at = AT, cause = null }: Listed): string {
    const address = this.addresses[id - 1];
    const time = new Date(at).toISOString();
    const rest = { token: null, idempotencyKeyHash: null, cause };
    return JSON.stringify({ id, address, pool: 'pet', state, at: time, ...rest });
  }

  /** A new directory that holds nothing but the sealing key, and the arguments of a restore into it. */
  place(name: string) {
    const directory = join(this.root, name);
    mkdirSync(directory, { mode: 0o700 });
    const key = join(directory, 'sealing.key');
    cpSync(join(this.directory, 'sealing.key'), key);
    return { file: this.backup, directory, sealingKey: `file:${key}` };
  }

  [Symbol.dispose](): void {
    removeDirectory(this.root);
  }
}

/** Ids by state, as the database of a store has them: '1-5' is what five neighbours have. */
export function statesIn(directory: string): Record<string, string> {
  return withDatabase(directory, (db) => {
    const rows = db
      .prepare(
        `SELECT segments.state, id FROM segments JOIN addresses USING (pool_id)
          WHERE seq BETWEEN first AND last ORDER BY id`,
      )
      .all();
    const ids = Object.groupBy(rows, ({ state }) => String(state));
    return Object.fromEntries(
      Object.entries(ids).map(([state, those]) => [
        state,
        runsOf(those!.map(({ id }) => Number(id))),
      ]),
    );
  });
}

function runsOf(ids: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const id of ids) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === id - 1) last[1] = id;
    else runs.push([id, id]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(' ');
}
