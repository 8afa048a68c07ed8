/**
 * What clients of a store got, over all its lives, and what must therefore not come again: the judge
 * of a store whose files were put back. Runs in the thread that has the store open.
 */
import { hash, randomBytes } from 'node:crypto';
import { VanityError } from '../../src/errors.ts';
import { decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import type { SigningKey } from '../../src/keypair/signing-key.ts';
import type { Store } from '../../src/store/store.ts';
import { turn } from './turns.ts';

export const SIGN_LIMIT = 3;

/** Times are counts of events. */
export interface Leased {
  readonly address: string;
  readonly leasedAt: number;
}

export interface Left extends Leased {
  readonly leftAt: number;
  readonly epoch: number;
}

export type IsForgiven = (left: Left) => boolean;

export class WhatLeft {
  /** By address. */
  readonly left = new Map<string, Left>();
  /** What an idempotency key got. */
  readonly keys = new Map<string, string[]>();
  /** Messages that were signed, by address. */
  readonly signed = new Map<string, Set<string>>();
  readonly reservations = new Set<string>();
  readonly dispensedReservations = new Set<string>();
  /** Names of tokens that nobody may use any more. */
  readonly revoked = new Set<string>();

  /** Those of the pool without secrets that a client has, and may still sign with. */
  signable(): string[] {
    return [...this.signed].filter(([, { size }]) => size < SIGN_LIMIT).map(([address]) => address);
  }

  /** In words. It is used up by this: all that it still has comes out. */
  async wrongIn(store: Store, burned: number, isForgiven: IsForgiven): Promise<string[]> {
    const wrong: string[] = [];
    await this.#judgeKeys(store, burned, isForgiven, wrong);
    await this.#judgeSignatures(store, wrong);
    await this.#judgeTokens(store, wrong);
    await this.#judgeAddresses(store, isForgiven, wrong);
    return wrong;
  }

  /** One may be unknown if journals are lost: then what it got is burned. */
  async #judgeKeys(
    store: Store,
    burned: number,
    isForgiven: IsForgiven,
    wrong: string[],
  ): Promise<void> {
    for (const [key, addresses] of this.keys) {
      const found = await store.handOut(Buffer.from(key, 'hex'), 'pet');
      const now = found?.addresses?.map(addressIn);
      if (now !== undefined && now.join() !== addresses.join()) {
        wrong.push('a key has another address than before');
      }
      if (found !== undefined || burned > 0) continue;
      const isOld = addresses.every((address) => isForgiven(this.left.get(address)!));
      if (!isOld) wrong.push('a key that was answered is unknown, and would get another address');
    }
  }

  async #judgeSignatures(store: Store, wrong: string[]): Promise<void> {
    for (const [address, messages] of this.signed) {
      let count = messages.size;
      for (let more = 0; more <= SIGN_LIMIT; more++) {
        try {
          await signWith(store, address, `judge ${more}`);
          count++;
        } catch (error) {
          if (!(error instanceof VanityError)) throw error;
        }
      }
      if (count > SIGN_LIMIT) wrong.push(`${count} signatures of ${SIGN_LIMIT} with one key`);
    }
  }

  async #judgeTokens(store: Store, wrong: string[]): Promise<void> {
    const valid = (await store.tokens.all()).filter(({ revokedAt }) => revokedAt === undefined);
    if (valid.some(({ name }) => this.revoked.has(name))) wrong.push('a revoked token is valid');
  }

  async #judgeAddresses(store: Store, isForgiven: IsForgiven, wrong: string[]): Promise<void> {
    for (const id of this.dispensedReservations) {
      // What left cannot be given back.
      await store.reservations.release(id, 0, true).catch(() => undefined);
    }
    for (const { name, counts } of await store.pools()) {
      const { leased } = await turn(store, name, 0, counts.available);
      const again = leased
        .map((one) => this.left.get(addressIn(one)))
        .filter((left) => left !== undefined && !isForgiven(left));
      if (again.length > 0) wrong.push(`pool ${name}: ${again.length} come out again`);
    }
  }
}

export function addressIn({ publicKey }: SigningKey): string {
  return encodeBase58(publicKey);
}

/** A message that is known by its text. */
export function signWith(store: Store, address: string, message: string): Promise<Uint8Array> {
  return store.signatures.sign({
    publicKey: decodeBase58(address),
    token: 0,
    messageHash: hash('sha256', message, 'buffer'),
    limits: new Map([['sign', SIGN_LIMIT]]),
    sign: () => randomBytes(64),
  });
}
