/** A SQLite store that has been through everything, to be moved, and what a store says of itself: the same by any. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../../src/config/config.ts';
import type { Hit } from '../../src/keypair/signing-key.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import type { SignatureOrder } from '../../src/store/signature-store.ts';
import type { Store } from '../../src/store/store.ts';
import type { PoolIdentity } from '../../src/store/stored-pool.ts';
import { DAY_MS } from '../../src/store/token-store.ts';
import { adoptIn, openStoreIn, removeDirectory, temporaryDirectory } from './sqlite-stores.ts';
import { ANY_AGE, hexOf, hitsFor, poolNamed } from './store-subject.ts';
import { headOf, turn } from './turns.ts';

const POOLS: readonly PoolIdentity[] = [
  poolNamed('pet'),
  poolNamed('pump', 'expanded'),
  { ...poolNamed('vault'), handout: 'sign-only' },
  poolNamed('gone'),
];
const LIMITS = new Map([['vault', 2]]);
const NEVER_MS = 10 * DAY_MS;

/** A key with the pool that it is of. */
interface Keyed {
  readonly key: Uint8Array;
  readonly pool: string;
}

export class MovingScene implements Disposable {
  readonly directory = temporaryDirectory();
  readonly hits: Hit[] = [];
  readonly keys: Keyed[] = [];
  readonly reservationKeys: Uint8Array[] = [];
  /** With the token of each. */
  readonly reservations: { readonly id: string; readonly token: number }[] = [];
  /** What was signed: orders, and the addresses that sign no more. */
  readonly signed: SignatureOrder[] = [];
  readonly exhausted: SignatureOrder[] = [];
  /** Of a message that its address may sign as the last one. */
  readonly next: SignatureOrder[] = [];
  readonly tokens: number[] = [];
  #store!: Store;

  static async make(): Promise<MovingScene> {
    const scene = new MovingScene();
    await scene.#beforeRestore();
    await scene.#afterRestore();
    await scene.#store.close();
    return scene;
  }

  get config(): Config {
    return configOf(this);
  }

  get sealingKey(): string {
    return `file:${join(this.directory, 'sealing.key')}`;
  }

  open(): Promise<Store> {
    return openStoreIn(this.directory);
  }

  [Symbol.dispose](): void {
    removeDirectory(this.directory);
  }

  /** Ends with a crash, and a copy that is taken for the store: all that is left is burned, and ids go on far above. */
  async #beforeRestore(): Promise<void> {
    await this.#open();
    await this.#store.definePools(POOLS);
    for (const count of [3, 1, 4]) await this.#insert(['pet', 'pump', 'vault'], count);
    await this.#token('shop');
    const [token] = this.tokens;
    await this.#turn('pet', 0, 6);
    await this.#turn('pet', 4, 0, [this.#keyed('pet', 0, 3, token), { position: 3, token: 0 }]);
    await this.#turn('vault', 0, 2);
    await this.#turn('vault', 2, 0, [{ position: 0, token: token!, count: 2 }]);
    await this.#sign(this.#order(this.#of('vault')[0]!, token!));
    await this.#store.close();
    await this.#open();
    await this.#store.close();
    await adoptIn({ directory: this.directory, as: 'restored' });
    await this.#open();
    this.exhausted.push(this.#order(this.#of('vault')[1]!, token!));
  }

  async #afterRestore(): Promise<void> {
    const before = this.hits.length;
    const store = this.#store;
    for (const count of [3, 1, 4, 5]) {
      await this.#insert(['pump', 'pet', 'vault', 'gone'], count);
    }
    await this.#insert(['pump', 'pet'], 3, 'imported');
    for (const name of ['new', 'revoked']) await this.#token(name);
    await store.tokens.revoke('revoked');
    const token = this.tokens[1]!;
    await store.tokens.noteUse([token]);
    await this.#turn('pet', 0, 3);
    await this.#turn('pet', 3, 0, [this.#keyed('pet', 0, 2, token)]);
    while ((await store.destroySecrets(ANY_AGE)) > 0);
    for (const pool of ['pet', 'pump']) await this.#held(pool, token);
    const vault = this.#of('vault', before);
    await this.#turn('vault', 0, 5);
    await this.#turn('vault', 3, 0, [{ position: 0, count: 3, token }]);
    for (const which of [0, 1, 1]) await this.#sign(this.#order(vault[which]!, token));
    this.next.push(this.#order(vault[0]!, token));
    await this.#turn('gone', 0, 2);
    await this.#turn('gone', 1, 0, [{ position: 0, token }]);
    await store.removePool('gone', await headOf(store, 'gone'));
    await store.changePool('pump', { isPaused: true });
    await store.saveCounters({ attempts: 12_345_678, 'attempts.expanded': 9, hits: 7 });
    for (const pool of ['pet', 'pump', 'vault']) {
      await store.endQueues([{ pool, head: await headOf(store, pool) }], 'return');
    }
  }

  /** Reservations in all states, beside what left with a key and without one. */
  async #held(pool: string, token: number): Promise<void> {
    const from = await headOf(this.#store, pool);
    const { reservations } = this.#store;
    await this.#turn(pool, 0, 9);
    const hold = (position: number, ttlMs = NEVER_MS) =>
      ({ ...this.#reserved(position, token), reservation: this.#hold(token, ttlMs) }) as const;
    await this.#turn(pool, 8, 0, [
      this.#keyed(pool, from, 3, token),
      ...[3, 4, 5, 6].map((behind) => hold(from + behind)),
      hold(from + 7, -1),
    ]);
    const [, dispensed, reused, burned] = this.reservations.slice(-5).map(({ id }) => id);
    await reservations.dispense(dispensed!, token, pool);
    await reservations.release(reused!, token, true);
    await reservations.release(burned!, token, false);
    await reservations.expire(() => false);
  }

  #hold(token: number, ttlMs: number) {
    const id = randomBytes(16).toString('hex');
    this.reservations.push({ id, token });
    return { id, ttlMs };
  }

  #reserved(position: number, token: number) {
    const key = randomBytes(32);
    this.reservationKeys.push(key);
    return { position, token, key, body: randomBytes(32), mayBeRefused: true } as const;
  }

  #keyed(pool: string, position: number, count: number, token = 0) {
    const key = randomBytes(32);
    this.keys.push({ key, pool });
    return { position, count, token, key, body: randomBytes(32), mayBeRefused: true } as const;
  }

  async #open(): Promise<void> {
    this.#store = await this.open();
  }

  async #insert(pools: readonly string[], count: number, origin: 'ground' | 'imported' = 'ground') {
    for (const pool of pools) {
      const hits = hitsFor(pool, count, pool === 'pump' ? 'expanded' : 'seed');
      await this.#store.insert(hits, origin);
      this.hits.push(...hits);
    }
  }

  #of(pool: string, from = 0): Hit[] {
    return this.hits.slice(from).filter((hit) => hit.pool === pool);
  }

  async #token(name: string): Promise<void> {
    const limits = { pools: ['pet', 'vault'], quota: 100, expiresAt: Date.now() + NEVER_MS };
    const scopes = ['dispense', 'read'] as const;
    const made = await this.#store.tokens.create({
      name,
      hash: randomBytes(32),
      scopes,
      ...limits,
    });
    this.tokens.push(made.id);
  }

  async #turn(
    pool: string,
    popped: number,
    wanted: number,
    records: readonly (Partial<HandOut> & Pick<HandOut, 'position' | 'token'>)[] = [],
  ): Promise<void> {
    const at = Date.now();
    const told = records.map((record) => ({ count: 1, at, ...record }));
    await turn(this.#store, pool, popped, wanted, { records: told, journals: new Map() });
  }

  #order({ publicKey }: Hit, token: number): SignatureOrder {
    const sign = () => randomBytes(64);
    return { publicKey, token, limits: LIMITS, messageHash: randomBytes(32), sign };
  }

  async #sign(order: SignatureOrder): Promise<void> {
    await this.#store.signatures.sign(order);
    this.signed.push(order);
  }
}

/** Of a command that works in the directory. */
export function configOf({ directory, sealingKey }: Pick<MovingScene, 'directory' | 'sealingKey'>) {
  const store = { directory, data: directory, sealingKey, durability: 'leased', copies: 'guarded' };
  return { store } as unknown as Config;
}

/** What a store says of itself, but for ids of what is available. */
export async function saidBy(store: Store, scene: MovingScene): Promise<Record<string, unknown>> {
  const day = Math.floor(Date.now() / DAY_MS);
  const { tokens, reservations, signatures } = store;
  const handOuts = [];
  for (const { key, pool } of scene.keys) {
    const found = await store.handOut(key, pool);
    const { at, body, addresses } = found!;
    const left = addresses?.map((one) => `${one.id} ${one.origin} ${one.createdAt} ${hexOf(one)}`);
    handOuts.push([at, Buffer.from(body).toString('hex'), left]);
  }
  const held = [];
  for (const { id, token } of scene.reservations) held.push(await reservations.get(id, token));
  const made = [];
  for (const key of scene.reservationKeys) {
    const { at, body, reservation } = (await reservations.madeWith(key))!;
    made.push([at, Buffer.from(body).toString('hex'), reservation]);
  }
  const signed = [];
  for (const order of scene.signed) {
    signed.push(Buffer.from(await signatures.sign(order)).toString('hex'));
  }
  return {
    id: store.id,
    pools: (await store.pools()).map(({ position: _, target: __, ...pool }) => pool),
    tokens: (await tokens.all()).map((one) => ({ ...one, hash: hashOf(one.hash) })),
    hadTokens: await tokens.wereMade(),
    used: await Promise.all(scene.tokens.map((token) => tokens.used(token, day))),
    ...{ handOuts, held, made, signed },
    counters: await store.counters(),
  };
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** All that waits in the pool, as it would be handed out. */
export async function waitingIn(store: Store, pool: string): Promise<string[]> {
  const { leased } = await turn(store, pool, 0, 1000);
  await store.endQueues([{ pool, head: await headOf(store, pool) }], 'return');
  return leased.map((one) => `${one.origin} ${one.createdAt} ${hexOf(one)}`);
}
