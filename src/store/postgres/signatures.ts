/**
 * Signatures with the keys of dispensed addresses, for pools whose secrets never leave. Runs in the store
 * thread. The second node that takes the same number for an address is refused by the database, and looks again.
 */
import { VanityError } from '../../errors.ts';
import { encodeBase58 } from '../../keypair/address.ts';
import { publicKeyHash } from '../../keypair/seal.ts';
import type { SignatureOrder, SignatureStore, SignerOf } from '../signature-store.ts';
import type { Addresses, PoolOfRows } from './addresses.ts';
import { tokenOf } from './hand-outs.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

const SQL = {
  address: `SELECT k.id AS address_id, s.state, p.id, p.name, p.keys, p.handout
    FROM vanitypool.keys AS k
      JOIN vanitypool.lane_ends AS e ON e.lane = k.id >> 20
      JOIN vanitypool.pools AS p ON p.id = e.pool_id
      LEFT JOIN vanitypool.address_states AS s ON s.id = k.id
    WHERE k.key_hash = $1`,
  /** Nobody else signs with it meanwhile. */
  lock: 'SELECT 1 FROM vanitypool.keys WHERE key_hash = $1 FOR UPDATE',
  again: `SELECT signature FROM vanitypool.signatures WHERE address_id = $1 AND message_hash = $2`,
  /** Nobody knows what else was signed with what left before the database went back. */
  count: `SELECT count(*) AS count, EXISTS (SELECT FROM vanitypool.cluster AS c
      JOIN vanitypool.leases AS l ON l.epoch <= c.signed_epoch
      WHERE l.first <= $1 AND l.last >= $1) AS "isUnknown"
    FROM vanitypool.signatures WHERE address_id = $1`,
  add: `INSERT INTO vanitypool.signatures (address_id, number, token_id, at, message_hash, signature)
    VALUES ($1, $2, $3, $4, $5, $6)`,
} as const;

interface Count {
  readonly count: number;
  readonly isUnknown: boolean;
}

interface Row extends PoolOfRows {
  readonly address_id: number;
  readonly state: string | null;
  readonly id: number;
}

export class PostgresSignatures implements SignatureStore {
  readonly #run: Run;
  readonly #addresses: Addresses;

  constructor(run: Run, addresses: Addresses) {
    this.#run = run;
    this.#addresses = addresses;
  }

  sign(order: SignatureOrder): Promise<Uint8Array> {
    const messageHash = Buffer.from(order.messageHash);
    return this.#run.repeated(async (query) => {
      await this.#run.assertSound(query);
      const row = await rowOf(query, order);
      await query(SQL.lock, [publicKeyHash(order.publicKey)]);
      const { address_id: id } = row;
      const [known] = (await query<{ signature: Uint8Array }>(SQL.again, [id, messageHash])).rows;
      if (known !== undefined) return known.signature;
      const { count: done, isUnknown } = (await query<Count>(SQL.count, [id])).rows[0]!;
      const limit = order.limits.get(row.name)!;
      if (isUnknown || done >= limit) {
        const known = isUnknown ? 'signed before the database went back in time' : `${done} signed`;
        const detail = `${encodeBase58(order.publicKey)}: ${known}, ${limit} allowed`;
        throw new VanityError('SIGN_LIMIT_REACHED', detail);
      }
      const range = { first: id, last: id };
      const { addresses } = await this.#addresses.unseal(query, row, [range]);
      const [address] = addresses;
      if (address === undefined) throw notFound(order, 'its secret is destroyed');
      let signature: Uint8Array;
      try {
        signature = order.sign(address, row.name);
      } finally {
        address.key.fill(0);
      }
      const token = order.token === 0 ? null : order.token;
      const signed = [messageHash, Buffer.from(signature)];
      await query(SQL.add, [id, done + 1, token, this.#run.now, ...signed]);
      if (done + 1 >= limit) {
        const remains = await this.#addresses.remainsOf(query, row, [range]);
        await this.#addresses.destroy(query, remains);
      }
      return signature;
    });
  }

  async assertSigner(whose: SignerOf): Promise<void> {
    await this.#run.transaction((query) => rowOf(query, whose));
  }
}

/**
 * Only what was dispensed, and to this token. An address of others gets the same answer as one that does not
 * exist, and is looked for in the same way.
 */
async function rowOf(query: Query, order: SignerOf): Promise<Row> {
  const hash = publicKeyHash(order.publicKey);
  const [row] = (await query<Row>(SQL.address, [hash])).rows;
  const token = await tokenOf(query, row?.address_id ?? 0);
  const isTheirs = row?.state === 'dispensed' && token === order.token;
  if (row !== undefined && isTheirs && order.limits.has(row.name)) return row;
  throw notFound(order, 'was not dispensed to this token by a pool that signs');
}

function notFound({ publicKey }: SignerOf, why: string): VanityError {
  return new VanityError('ADDRESS_NOT_FOUND', `${encodeBase58(publicKey)}: ${why}`);
}
