/** Reads the store of many nodes on a connection of its own. Runs in the thread that calls it. */
import { VanityError } from '../../errors.ts';
import { Unsealer } from '../../keypair/seal.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, keyToRead } from '../../keypair/sealing-key-files.ts';
import {
  type AuditedStore,
  type AuditedToken,
  type AuditPage,
  type AuditQuery,
  auditedStore,
  type FoundAddress,
  type StoreReader,
  type Taken,
} from '../audit-store.ts';
import type { StoreNodes } from '../node-store.ts';
import { auditedToken, takenBy } from '../token-rows.ts';
import { Addresses } from './addresses.ts';
import { find, pageOf, takenSince } from './audit.ts';
import { BoundRows } from './bound-rows.ts';
import type { Connection } from './connection.ts';
import { DataKeys } from './data-keys.ts';
import { type ClusterRow, clusterOf, connectToRead } from './look.ts';
import { listNodes } from './nodes.ts';
import { allRows } from './pool-rows.ts';
import type { ConnectionSettings } from './settings.ts';
import { fixedKeys } from './store-keys.ts';
import { allTokens } from './tokens.ts';
import type { Query } from './transaction.ts';

const UNSETTLED = `SELECT n.name FROM vanitypool.epochs AS e JOIN vanitypool.nodes AS n ON n.id = e.node_id
  WHERE e.state <> 'settled' GROUP BY n.id ORDER BY min(e.epoch)`;

export interface PostgresReaderOptions {
  readonly settings: ConnectionSettings;
  /** 'file:PATH' or 'env:NAME'. */
  readonly sealingKey: string;
}

export class PostgresReader implements StoreReader {
  readonly #connection: Connection;
  /** As it was when this was opened. */
  readonly #cluster: ClusterRow;
  readonly #key: SealingKey;
  readonly #addresses: Addresses;
  readonly #rows: BoundRows;

  /** Errors: SEALING_KEY_INVALID, and those of look.ts. */
  static async open({ settings, sealingKey }: PostgresReaderOptions): Promise<PostgresReader> {
    await using resources = new AsyncDisposableStack();
    const connection = resources.use(await connectToRead(settings));
    const cluster = await connection.read(({ query }) => clusterOf(query));
    const { key } = await findSealingKey(sealingKey, cluster.sealing_key);
    const itsKey = keyToRead(sealingKey, key, cluster.sealing_key);
    resources.move();
    return new PostgresReader(connection, cluster, itsKey);
  }

  private constructor(connection: Connection, cluster: ClusterRow, key: SealingKey) {
    this.#connection = connection;
    this.#cluster = cluster;
    this.#key = key;
    // Without one nothing in it is right.
    const { store_id, binding } = { ...cluster, binding: cluster.binding ?? '' };
    const keys = fixedKeys(key, store_id, binding);
    const dataKeys = new DataKeys(store_id, keys);
    this.#addresses = new Addresses(new Unsealer(store_id, binding, key), dataKeys, keys);
    this.#rows = new BoundRows(keys);
  }

  isCurrent(): Promise<boolean> {
    return this.#read((query) => this.#isIn(query));
  }

  store(): Promise<AuditedStore> {
    return this.#read(async (query) => {
      const { store_id: storeId, epoch } = await clusterOf(query);
      return auditedStore({ storeId, epoch }, await allRows(query));
    });
  }

  async gap(): Promise<string | undefined> {
    const names = (await this.unsettled()).join(', ');
    if (names === '') return undefined;
    return `${this.#connection.name}: these nodes serve it, or have not said what left of their last run: ${names}`;
  }

  /** Names of the nodes that serve the store, or have not said what left of their last run: no list is complete. */
  unsettled(): Promise<string[]> {
    return this.#read(async (query) => {
      const { rows } = await query<{ name: string }>(UNSETTLED);
      return rows.map(({ name }) => name);
    });
  }

  page(query: AuditQuery): Promise<AuditPage> {
    return this.#readSealed((ask) => pageOf(ask, this.#addresses, query));
  }

  tokens(): Promise<AuditedToken[]> {
    return this.#readSealed((query) => this.#tokens(query));
  }

  find(publicKey: Uint8Array): Promise<FoundAddress | undefined> {
    return this.#read((query) => find(query, publicKey));
  }

  taken(since: number): Promise<Taken[]> {
    return this.#readSealed(async (query) =>
      takenBy(await takenSince(query, since), await this.#tokens(query)),
    );
  }

  nodes(): Promise<StoreNodes> {
    return listNodes(this.#connection);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }

  async #tokens(query: Query): Promise<AuditedToken[]> {
    const right = await this.#rows.rightOnes(query, 'token', await allTokens(query));
    return right.map(auditedToken);
  }

  #read<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return this.#connection.read(({ query }) => work(query));
  }

  /** What only the key of the store can read. */
  #readSealed<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return this.#read(async (query) => {
      if (await this.#isIn(query)) return work(query);
      const detail = `${this.#connection.name}: another sealing key, or another store, since it was opened; ask again`;
      throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
    });
  }

  async #isIn(query: Query): Promise<boolean> {
    const { store_id, binding, sealing_key } = await clusterOf(query);
    const isSame = store_id === this.#cluster.store_id && binding === this.#cluster.binding;
    return isSame && (sealing_key === null || isKey(this.#key, sealing_key));
  }
}
