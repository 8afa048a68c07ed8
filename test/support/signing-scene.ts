/** A pool that is asked to sign, and the Solana runtime that executes what comes of it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { AccountRole, type Address, type Instruction, type Transaction } from '@solana/kit';
import type { LiteSVM } from 'litesvm';
import { signMessage } from '../../src/keypair/sign.ts';
import {
  parseSignPolicy,
  type SigningSettings,
  type SignPolicy,
} from '../../src/keypair/sign-policy.ts';
import {
  clusterWith,
  failureOf,
  party,
  signedBy,
  transactionOf,
  type Version,
} from './mint-transactions.ts';

export const OPERATOR = party(randomBytes(32));
export const THIEF = party(randomBytes(32));

/** A cluster, and an address of the pool that nobody has used. */
export class SigningScene {
  readonly svm: LiteSVM = clusterWith(OPERATOR, THIEF);
  readonly mint = party(randomBytes(32));

  transaction(
    instructions: readonly Instruction[],
    payer = THIEF.address,
    version: Version = 0,
  ): Transaction {
    return transactionOf(this.svm, version, payer, instructions);
  }

  /** The signature that the pool gives. */
  sign({ messageBytes }: Transaction, settings: Partial<SigningSettings>): Uint8Array {
    const { seed: key, publicKey } = this.mint;
    return signMessage(
      { keyType: 'seed', key, publicKey },
      messageBytes.slice(),
      policyOf(settings),
    );
  }

  refuses(transaction: Transaction, settings: Partial<SigningSettings>, why: RegExp): void {
    assert.throws(() => this.sign(transaction, settings), {
      code: 'MESSAGE_REFUSED',
      message: why,
    });
  }

  /** As it would be if the pool signed it; `others` sign, too. */
  execute(transaction: Transaction, ...others: readonly (typeof THIEF)[]): void {
    const needed = [...others, this.mint].filter(
      ({ address }) => address in transaction.signatures,
    );
    assert.equal(failureOf(this.svm, signedBy(transaction, ...needed)), undefined);
  }

  lamports(address: Address): bigint {
    return this.svm.getBalance(address) ?? 0n;
  }

  ownerOf(address: Address): Address | undefined {
    const account = this.svm.getAccount(address);
    return account.exists ? account.programAddress : undefined;
  }
}

export function policyOf(settings: Partial<SigningSettings>): SignPolicy {
  const none = { name: 'vault', signPrograms: [], signWith: [], signFeePayer: false };
  return parseSignPolicy({ ...none, ...settings });
}

/** One that only names the address as a signer. */
export function listing(program: Address, data: Uint8Array, address: Address): Instruction {
  return {
    programAddress: program,
    accounts: [{ address, role: AccountRole.READONLY_SIGNER }],
    data,
  };
}
