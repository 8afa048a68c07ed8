/**
 * Data keys: how they come into the database, and which of them count. Each is signed by the node that sealed it,
 * for the store and the epoch in which it did, and counts if that node is enrolled (enrolment.ts). Runs in the
 * store thread.
 */
import { createPublicKey, verify } from 'node:crypto';
import { Sealer } from '../../keypair/seal.ts';
import { isEnrolled } from './enrolment.ts';
import type { NodeIdentity, Run } from './run.ts';
import type { StoreKeys } from './store-keys.ts';
import type { Query } from './transaction.ts';

const SQL = {
  /** Nothing if the store goes by another sealing key; who rotates it waits for this one. */
  add: `INSERT INTO vanitypool.data_keys (epoch, sealed, signature, created_at)
    SELECT $1::bigint, $2::bytea, $3::bytea, $4::bigint FROM vanitypool.cluster
    WHERE sealing_key = $5 FOR SHARE RETURNING id`,
  signed: `SELECT d.id, d.epoch, d.sealed, d.signature, n.id AS node, n.sign_key, n.enrolment
    FROM vanitypool.data_keys AS d
    JOIN vanitypool.epochs AS e ON e.epoch = d.epoch JOIN vanitypool.nodes AS n ON n.id = e.node_id
    WHERE d.id = ANY($1::bigint[])`,
} as const;

/** Of which it is known whether they count. */
const REMEMBERED_MAX = 4096;

export interface DataKeyRow {
  readonly data_key_id: number;
  readonly data_key: Uint8Array | null;
}

interface SignedRow {
  readonly id: number;
  readonly epoch: number;
  readonly sealed: Uint8Array;
  readonly signature: Uint8Array;
  readonly node: string;
  readonly sign_key: Uint8Array;
  readonly enrolment: Uint8Array | null;
}

/** Seals under data keys of this run, to the public half of the sealing key. */
export function sealerOf(run: Run, binding: string, publicKey: Uint8Array): Sealer {
  const { storeId, node } = run;
  return new Sealer({
    ...{ storeId, binding, publicKey },
    save: async (sealed, publicKey) => {
      for (;;) {
        const id = await run.aside(async (query) => {
          const { epoch, now } = run;
          const signature = signDataKey(node, storeId, epoch, sealed);
          const row = [epoch, Buffer.from(sealed), signature, now, Buffer.from(publicKey)];
          return (await query<{ id: number }>(SQL.add, row)).rows[0]?.id;
        });
        if (id !== undefined) return id;
        await run.aside((query) => run.assertKey(query));
        // Then it is sealed again, to the other one, and nobody asks for this id.
        if (Buffer.compare(run.key!.publicKey, publicKey) !== 0) return 0;
      }
    },
  });
}

/** Inside a transaction of the caller. */
export class DataKeys {
  readonly #storeId: string;
  readonly #keys: Pick<StoreKeys, 'nodeKey' | 'assertKey'>;
  readonly #onForged: (row: string) => void;
  /** By `nameOf`. */
  readonly #known = new Map<string, boolean>();

  constructor(
    storeId: string,
    keys: Pick<StoreKeys, 'nodeKey' | 'assertKey'>,
    onForged: (row: string) => void = () => undefined,
  ) {
    this.#storeId = storeId;
    this.#keys = keys;
    this.#onForged = onForged;
  }

  /** Ids of those that an enrolled node has sealed. Asks the database about each data key once. */
  async genuine(query: Query, rows: readonly DataKeyRow[]): Promise<ReadonlySet<number>> {
    const names = new Map<number, string>();
    for (const { data_key_id: id, data_key: sealed } of rows) {
      if (sealed !== null && !names.has(id)) names.set(id, nameOf(id, sealed));
    }
    const unknown = [...names].filter(([, name]) => !this.#known.has(name)).map(([id]) => id);
    if (unknown.length > 0) {
      for (const row of (await query<SignedRow>(SQL.signed, [unknown])).rows) {
        await this.#judge(query, row);
      }
    }
    const genuine = [...names].filter(([, name]) => this.#known.get(name) === true);
    return new Set(genuine.map(([id]) => id));
  }

  async #judge(query: Query, row: SignedRow): Promise<void> {
    const isGenuine = this.#isGenuine(row);
    if (!isGenuine) {
      await this.#keys.assertKey(query);
      this.#onForged(`data key ${row.id}`);
    }
    this.#known.set(nameOf(row.id, row.sealed), isGenuine);
    if (this.#known.size > REMEMBERED_MAX) this.#known.delete(this.#known.keys().next().value!);
  }

  #isGenuine({ node: id, epoch, sealed, signature, sign_key, enrolment }: SignedRow): boolean {
    if (!isEnrolled(this.#keys.nodeKey, { id, sign_key, enrolment })) return false;
    return isSigned(signedOf(this.#storeId, id, epoch, sealed), sign_key, signature);
  }
}

function isSigned(message: Uint8Array, signKey: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(signKey).toString('base64url');
  const key = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });
  return verify(null, message, key, signature);
}

/** A sealed data key, as text: an id may get another one, and one that is copied another id. */
function nameOf(id: number, sealed: Uint8Array): string {
  return `${id} ${Buffer.from(sealed).toString('latin1')}`;
}

/** By which others know who sealed it. */
export function signDataKey(
  node: NodeIdentity,
  storeId: string,
  epoch: number,
  sealed: Uint8Array,
): Buffer {
  return Buffer.from(node.sign(signedOf(storeId, node.id, epoch, sealed)));
}

/** What a node signs of a data key that it sealed. */
function signedOf(storeId: string, node: string, epoch: number, sealed: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`vanitypool data key of ${storeId} ${node} ${epoch} `),
    sealed,
  ]);
}
