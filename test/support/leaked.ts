/** A real store with rows in every state, whose sealing key is said to have leaked. */

import type { Store } from '../../src/store/store.ts';
import { unsealStore } from './secrets.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from './sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from './store-subject.ts';
import { turn } from './turns.ts';

/** That have a secret. */
export const ROWS = 300;
/** Of a store of so many rows: 256 rows each, ids that are of no row, the end. */
export const STEPS = 4;

/** A store with rows of both types in every state, under several data keys. */
export class Leaked implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  store!: Store;

  static async make(): Promise<Leaked> {
    const leaked = new Leaked();
    await leaked.open();
    await leaked.store.definePools([poolNamed('pet'), poolNamed('big', 'expanded')]);
    await leaked.insert('pet', 4);
    await turn(leaked.store, 'pet', 0, 4);
    await turn(leaked.store, 'pet', 4, 0);
    while ((await leaked.store.destroySecrets(ANY_AGE)) > 0);
    for (let part = 0; part < 3; part++) {
      await leaked.insert('pet', ROWS / 6);
      await leaked.insert('big', ROWS / 6);
      // What is leased then is burned.
      await turn(leaked.store, 'big', 0, 2);
      await leaked.store.close();
      // As in a store that was restored: its ids go on where the lost one may have been.
      withDatabase(leaked.directory, (db) => db.exec('UPDATE meta SET next_id = next_id + 10000'));
      await leaked.open();
    }
    const { store } = leaked;
    await turn(store, 'pet', 0, 20);
    const reservation = { id: 'ab'.repeat(16), ttlMs: 86_400_000 };
    const records = [{ position: 0, count: 1, at: Date.now(), token: 0, reservation }];
    await turn(store, 'pet', 8, 0, { records, journals: new Map() });
    return leaked;
  }

  async open(): Promise<void> {
    this.store = await openStoreIn(this.directory);
  }

  async insert(pool: 'pet' | 'big', count: number): Promise<void> {
    await this.store.insert(hitsFor(pool, count, pool === 'pet' ? 'seed' : 'expanded'));
  }

  async rotate(reseal = true): Promise<number> {
    return (await (await this.store.beginRotation({ reseal })).finish()).toReseal;
  }

  async reseal(): Promise<void> {
    while ((await this.store.reseal()) > 0);
  }

  /** Every row that has a secret, opened, with its state. */
  async rows(): Promise<string[]> {
    const rows = await unsealStore(this.directory);
    return rows.map(({ pool, state, keypair }) => {
      return `${pool} ${state} ${keypair && Buffer.from(keypair).toString('hex')}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    checkStore(this.directory);
    removeDirectory(this.directory);
  }
}
