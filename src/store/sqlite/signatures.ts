/**
 * Signatures with the keys of dispensed addresses, for pools whose secrets never leave. Runs in the
 * store thread. A signature is counted on disk before it leaves, and kept: the same message again
 * gets the same one, also when the secret is destroyed.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import { encodeBase58 } from '../../keypair/address.ts';
import { publicKeyHash } from '../../keypair/seal.ts';
import {
  type SignatureOrder,
  type SignatureStore,
  type SignerOf,
  signsNoMore,
} from '../signature-store.ts';
import type { PoolOfRows } from './addresses.ts';
import { prepareAll } from './database.ts';
import type { Books } from './reservations.ts';
import type { Runner } from './tokens.ts';

const SQL = {
  address: `SELECT a.id AS address_id, a.seq, p.id, p.name, p.keys, p.handout
    FROM addresses AS a JOIN pools AS p ON p.id = a.pool_id
    WHERE a.key_hash = ?`,
  again: 'SELECT signature FROM signatures WHERE address_id = ? AND message_hash = ?',
  count: 'SELECT count(*) AS count FROM signatures WHERE address_id = ?',
  lost: 'SELECT count FROM lost_signatures WHERE address_id = ?',
  add: `INSERT INTO signatures (address_id, token_id, at, message_hash, signature)
    VALUES (?, ?, ?, ?, ?)`,
} as const;

interface Row extends PoolOfRows {
  readonly address_id: number;
  readonly seq: number;
}

export class SqliteSignatures implements SignatureStore {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };
  readonly #run: Runner;
  readonly #books: Books;

  constructor(db: DatabaseSync, run: Runner, books: Books) {
    this.#statements = prepareAll(db, SQL);
    this.#run = run;
    this.#books = books;
  }

  sign(order: SignatureOrder): Promise<Uint8Array> {
    return this.#run.afterEffects(async () => {
      const row = this.#rowOf(order);
      const { again } = this.#statements;
      const known = again.get(row.address_id, order.messageHash);
      if (known !== undefined) return known.signature as Uint8Array;
      const done = this.#signed(row.address_id, order);
      const limit = order.limits.get(row.name)!;
      if (done >= limit) {
        const detail = `${encodeBase58(order.publicKey)}: ${done} signed, ${limit} allowed`;
        throw new VanityError('SIGN_LIMIT_REACHED', detail);
      }
      const range = { first: row.seq, last: row.seq };
      const { addresses } = await this.#books.addresses.unseal(row, [range]);
      const [address] = addresses;
      if (address === undefined) throw notFound(order, 'its secret is destroyed');
      const isLast = done + 1 >= limit;
      let signature: Uint8Array;
      try {
        signature = order.sign(address, row.name);
      } finally {
        address.key.fill(0);
      }
      const remains = isLast ? await this.#books.addresses.remains(row, range) : undefined;
      this.#run.effect(() => {
        const { address_id: id } = row;
        const token = order.token === 0 ? null : order.token;
        this.#statements.add.run(id, token, this.#run.now, order.messageHash, signature);
        if (remains === undefined) return;
        this.#books.addresses.overwrite(row, remains);
        this.#books.segments.markDestroyed(row.id, range);
      });
      return signature;
    });
  }

  assertSigner(whose: SignerOf): Promise<void> {
    return this.#run.afterEffects(async () => void this.#rowOf(whose));
  }

  /** Here and in the lost store. Error: SIGN_LIMIT_REACHED where nobody knows how many. */
  #signed(id: number, order: SignatureOrder): number {
    const { count, lost } = this.#statements;
    const missing = lost.get(id);
    if (missing?.count !== null) return Number(count.get(id)!.count) + Number(missing?.count ?? 0);
    throw signsNoMore(order);
  }

  /**
   * Only what was dispensed, and to this token. An address of others gets the same answer as one that
   * does not exist, and is looked for in the same way.
   */
  #rowOf(order: SignerOf): Row {
    const hash = publicKeyHash(order.publicKey);
    const row = this.#statements.address.get(hash) as unknown as Row | undefined;
    const { id, seq } = row ?? { id: 0, seq: 0 };
    const { segments, handOuts } = this.#books;
    const held = segments.find(id, seq);
    const token = handOuts.tokenOf({ pool: id, epoch: held?.epoch ?? 0 }, seq);
    const isTheirs = held?.state === 'dispensed' && token === order.token;
    if (row !== undefined && isTheirs && order.limits.has(row.name)) return row;
    throw notFound(order, 'was not dispensed to this token by a pool that signs');
  }
}

function notFound({ publicKey }: SignerOf, why: string): VanityError {
  return new VanityError('ADDRESS_NOT_FOUND', `${encodeBase58(publicKey)}: ${why}`);
}
