/**
 * Rows that are bound to the sealing key (row-macs.ts): those of tokens and pools, and what the cluster row says
 * of tokens. Runs in the store thread, inside a transaction of the caller.
 */
import { randomBytes } from 'node:crypto';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { isKey } from '../../keypair/sealing-key-files.ts';
import { forged, hasMac, type Kind, macOf, type Row } from '../row-macs.ts';
import { SealingKeyMoved, type StoreKeys } from './store-keys.ts';
import type { Query } from './transaction.ts';

const SQL = {
  cluster:
    'SELECT state, sealing_key, token_id, had_tokens, binding, mac FROM vanitypool.cluster FOR UPDATE',
  look: 'SELECT token_id, had_tokens, mac FROM vanitypool.cluster',
  bind: 'UPDATE vanitypool.cluster SET sealing_key = $1, binding = $2, mac = $3',
  setHistory: 'UPDATE vanitypool.cluster SET token_id = $1, had_tokens = $2, mac = $3',
  setToken: 'UPDATE vanitypool.tokens SET mac = $1 WHERE id = $2',
  setPool: 'UPDATE vanitypool.pools SET mac = $1 WHERE id = $2',
} as const;

const BINDING_BYTES = 16;

/** Of all that is stored: as the schema has them. */
export type ClusterState = 'sound' | 'suspect' | 'lost' | 'migrating';

interface ClusterRow {
  readonly state: ClusterState;
  readonly sealing_key: Uint8Array | null;
  readonly token_id: number;
  readonly had_tokens: boolean;
  readonly binding: string | null;
  readonly mac: Uint8Array | null;
}

export interface TokenHistory {
  /** Ids up to this one were given. */
  readonly lastId: number;
  readonly hadTokens: boolean;
}

export class BoundRows {
  readonly #keys: Pick<StoreKeys, 'rowKey' | 'assertKey'>;
  readonly #onForged: (row: string) => void;
  readonly #forged = new Set<string>();

  constructor(
    keys: Pick<StoreKeys, 'rowKey' | 'assertKey'>,
    onForged: (row: string) => void = () => undefined,
  ) {
    this.#keys = keys;
    this.#onForged = onForged;
  }

  /** Whether the row is as it was written by this program. */
  async isRight(query: Query, kind: 'token' | 'pool', row: Row): Promise<boolean> {
    if (hasMac(kind, row, this.#keys.rowKey)) return true;
    await this.#keys.assertKey(query);
    const name = `${kind} ${row.name}`;
    if (!this.#forged.has(name)) this.#onForged(name);
    this.#forged.add(name);
    return false;
  }

  /** Error: STORE_FORGED. */
  async assertRight(query: Query, kind: 'token' | 'pool', row: Row): Promise<void> {
    if (!(await this.isRight(query, kind, row))) throw forged(`${kind} ${row.name}`);
  }

  /** Those that are right, in their order. */
  async rightOnes(
    query: Query,
    kind: 'token' | 'pool',
    rows: readonly Row[],
  ): Promise<readonly Row[]> {
    const right: Row[] = [];
    for (const row of rows) if (await this.isRight(query, kind, row)) right.push(row);
    return right;
  }

  /** After a change, by which the row says this; with the row of the cluster locked: nobody rotates the key. */
  async bind(query: Query, kind: 'token' | 'pool', row: Row): Promise<void> {
    await this.#keys.assertKey(query);
    await query(kind === 'token' ? SQL.setToken : SQL.setPool, [this.#macOf(kind, row), row.id]);
  }

  /** Error: STORE_FORGED. */
  async history(query: Query): Promise<TokenHistory> {
    const [row] = (await query<ClusterRow>(SQL.look)).rows;
    if (!hasMac('meta', saidOf(row!), this.#keys.rowKey)) {
      await this.#keys.assertKey(query);
      throw forged('the note of whether tokens were made');
    }
    return { lastId: row!.token_id, hadTokens: row!.had_tokens };
  }

  async setHistory(query: Query, { lastId, hadTokens }: TokenHistory): Promise<void> {
    const mac = this.#macOf('meta', saidOf({ token_id: lastId, had_tokens: hadTokens, mac: null }));
    await query(SQL.setHistory, [lastId, hadTokens, mac]);
  }

  #macOf(kind: Kind, row: Row): Buffer {
    return macOf(kind, row, this.#keys.rowKey);
  }
}

/**
 * What the rows of a database and its data keys are bound with under its sealing key. One that nobody has used is
 * bound to this key. Errors: SealingKeyMoved, STORE_FORGED.
 */
export async function bindingOf(
  query: Query,
  storeId: string,
  key: SealingKey,
): Promise<{ readonly id: string; readonly state: ClusterState }> {
  const [row] = (await query<ClusterRow>(SQL.cluster)).rows;
  const { state, sealing_key, binding, mac, token_id, had_tokens } = row!;
  if (binding !== null && sealing_key !== null && mac !== null) {
    if (!isKey(key, sealing_key)) throw new SealingKeyMoved(sealing_key);
    const rowKey = key.rowKey(storeId, binding);
    if (!hasMac('meta', saidOf(row!), rowKey)) throw forged('the note of whether tokens were made');
    return { id: binding, state };
  }
  const next = randomBytes(BINDING_BYTES).toString('hex');
  const rowKey = key.rowKey(storeId, next);
  const said = saidOf({ token_id, had_tokens, mac: null });
  await query(SQL.bind, [Buffer.from(key.publicKey), next, macOf('meta', said, rowKey)]);
  return { id: next, state };
}

/** As the MACs of all databases have it. */
export function saidOf({
  token_id,
  had_tokens,
  mac,
}: Pick<ClusterRow, 'token_id' | 'had_tokens' | 'mac'>): Row {
  return { token_id, had_tokens: Number(had_tokens), mac };
}
