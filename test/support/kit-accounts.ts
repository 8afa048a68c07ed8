/** Accounts of random messages, in the words of @solana/kit. */
import { AccountRole, type Address } from '@solana/kit';
import { addressOf } from '../../src/keypair/address.ts';

export const ROLES = [
  AccountRole.READONLY,
  AccountRole.WRITABLE,
  AccountRole.READONLY_SIGNER,
  AccountRole.WRITABLE_SIGNER,
];

/** Different ones: each of 32 times one byte, `first` and those behind it. */
export function addresses(first: number, count: number): Address[] {
  return Array.from(
    { length: count },
    (_, index) => addressOf(new Uint8Array(32).fill(first + index)) as string as Address,
  );
}
