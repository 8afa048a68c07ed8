/** Messages of Solana transactions, for tests that sign them. */
import { parseSignPolicy, type SignPolicy } from '../../src/keypair/sign-policy.ts';

/** Of a pool that signs whatever asks for it. */
export const ANY_POLICY: SignPolicy = parseSignPolicy({
  name: 'vault',
  signPrograms: [],
  signWith: [],
  signFeePayer: true,
});

/** A legacy message that another account pays for, and one instruction that carries `memo`, 0 to 255. */
export function legacyMessage(signer: Uint8Array, memo: number): Uint8Array {
  const payer = Buffer.alloc(32, 8);
  const program = Buffer.alloc(32, 9);
  const blockhash = Buffer.alloc(32, memo);
  const header = [2, 0, 1];
  const instruction = [2, 0, 1, memo]; // program, no accounts, one byte
  return Buffer.from([
    ...[...header, 3, ...payer, ...signer, ...program],
    ...[...blockhash, 1, ...instruction],
  ]);
}

/** Its transaction, in which nobody has signed. */
export function unsignedLegacy(signer: Uint8Array, memo: number): Uint8Array {
  return Buffer.concat([Buffer.of(2), Buffer.alloc(128), legacyMessage(signer, memo)]);
}
