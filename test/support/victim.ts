/**
 * A real store that somebody changes by SQL between two of its runs, and what it reports of that: for
 * tests of rows that are bound to the sealing key.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { PoolIdentity } from '../../src/store/stored-pool.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import {
  checkStore,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

export const FORGED = { code: 'STORE_FORGED' };
export const VAULT: PoolIdentity = { ...poolNamed('vault'), handout: 'sign-only' };

/** A store with a token, a pool and a sign-only one, each with addresses, that somebody gets at. */
export class Victim implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly forged: string[] = [];
  readonly bound: string[] = [];
  store!: Store;

  static async make(): Promise<Victim> {
    const victim = new Victim();
    await victim.open();
    for (const pool of [poolNamed('pet'), VAULT]) {
      await victim.store.definePool(pool);
      await victim.store.insert(hitsFor(pool.name, 3));
    }
    await victim.token('shop');
    assert.deepEqual([victim.forged, victim.bound], [[], []]);
    return victim;
  }

  async open(): Promise<void> {
    const { directory } = this;
    this.store = await openSqliteStore({
      directory,
      sealingKey: `file:${join(directory, 'sealing.key')}`,
      onForged: (row) => this.forged.push(row),
      onBound: (rows) => this.bound.push(...rows),
    });
  }

  token(name: string): Promise<unknown> {
    const nothing = { pools: undefined, quota: undefined, expiresAt: undefined };
    const hash = tokenHash(newToken());
    return this.store.tokens.create({ name, hash, scopes: ['read'], ...nothing });
  }

  /** Between two runs. */
  async attack(how: string | ((db: DatabaseSync) => void)): Promise<void> {
    await this.store.close();
    withDatabase(this.directory, (db) => (typeof how === 'string' ? db.exec(how) : how(db)));
    await this.open();
  }

  /** By name: whether it is one. */
  async tokens(): Promise<Record<string, boolean>> {
    const tokens = await this.store.tokens.all();
    return Object.fromEntries(tokens.map(({ name, isForged }) => [name, !isForged]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    checkStore(this.directory);
    removeDirectory(this.directory);
  }
}
