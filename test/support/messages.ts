/** Messages of Solana transactions, for tests that sign them. */

/** A legacy message with one signer, who pays, and one instruction that carries `memo`, 0 to 255. */
export function legacyMessage(signer: Uint8Array, memo: number): Uint8Array {
  const program = Buffer.alloc(32, 9);
  const blockhash = Buffer.alloc(32, memo);
  const header = [1, 0, 1];
  const instruction = [1, 0, 1, memo]; // program, no accounts, one byte
  return Buffer.from([...header, 2, ...signer, ...program, ...blockhash, 1, ...instruction]);
}
