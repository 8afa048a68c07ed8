/** Transactions as @solana/kit writes them, and what is refused of them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { getTransactionDecoder, getTransactionEncoder, type Transaction } from '@solana/kit';
import { parseMessage } from '../../src/keypair/message.ts';
import { signMessage } from '../../src/keypair/sign.ts';
import {
  assertSignatures,
  parseTransaction,
  withSignature,
} from '../../src/keypair/transaction.ts';
import { ANY_POLICY } from '../support/messages.ts';
import {
  clusterWith,
  failureOf,
  mintInstructions,
  party,
  signedBy,
  transactionOf,
  VERSIONS,
  type Version,
} from '../support/mint-transactions.ts';

const PAYER = party(randomBytes(32));
const MINT = party(randomBytes(32));
const SVM = clusterWith(PAYER);
const KEY = { keyType: 'seed', key: MINT.seed, publicKey: MINT.publicKey } as const;

function wireOf(transaction: Transaction): Uint8Array {
  return Uint8Array.from(getTransactionEncoder().encode(transaction));
}

function launch(version: Version, svm = SVM): Transaction {
  return transactionOf(svm, version, PAYER.address, mintInstructions(PAYER.address, MINT.address));
}

function refused(bytes: Uint8Array, code: string, message: RegExp | string): void {
  assert.throws(() => parseTransaction(bytes), { code, message });
}

for (const version of VERSIONS) {
  test(`version ${version}: our signature goes to its place, and the runtime executes it`, () => {
    const svm = clusterWith(PAYER);
    const wire = wireOf(signedBy(launch(version, svm), PAYER));
    const before = wire.slice();
    const parsed = parseTransaction(wire);
    assert.deepEqual(parsed.message, parseMessage(parsed.messageBytes));
    assert.equal(parsed.message.version, version);
    assertSignatures(wire, parsed);
    const signature = signMessage(KEY, parsed.messageBytes, ANY_POLICY);
    const signed = withSignature(wire, parsed, MINT.publicKey, signature);
    assert.deepEqual(wire, before);
    assert.deepEqual(signed, wireOf(signedBy(launch(version, svm), PAYER, MINT)));
    assert.equal(failureOf(svm, getTransactionDecoder().decode(signed)), undefined);
    assert.equal(svm.getAccount(MINT.address)?.exists, true);
    assertSignatures(signed, parseTransaction(signed));
  });

  test(`version ${version}: signatures may be absent, and a wrong one is named`, () => {
    const unsigned = wireOf(launch(version));
    const parsed = parseTransaction(unsigned);
    assertSignatures(unsigned, parsed);
    for (const [index, { address }] of [PAYER, MINT].entries()) {
      const other = wireOf(signedBy(launch(version), PAYER, MINT));
      const at = parsed.signaturesAt + 64 * index;
      for (const byte of [0, 31, 63]) {
        const wrong = other.slice();
        wrong[at + byte]! ^= 1;
        assert.throws(() => assertSignatures(wrong, parseTransaction(wrong)), {
          code: 'SIGNATURE_INVALID',
          message: `transaction: the signature of ${address} is wrong; allowed: a right one, or 64 zero bytes`,
        });
      }
      // One bit of 64 bytes is not absent.
      const almost = unsigned.slice();
      almost[at + 63] = 1;
      assert.throws(() => assertSignatures(almost, parseTransaction(almost)), {
        code: 'SIGNATURE_INVALID',
      });
    }
  });

  test(`version ${version}: one that is cut, or longer, is refused`, () => {
    const wire = wireOf(signedBy(launch(version), PAYER));
    for (let length = 0; length < wire.length; length++) {
      assert.throws(
        () => parseTransaction(wire.subarray(0, length)),
        (error) => /^(TRANSACTION|MESSAGE)_INVALID$/.test((error as { code: string }).code),
      );
    }
    for (const more of [1, 64]) {
      const longer = Buffer.concat([wire, Buffer.alloc(more)]);
      assert.throws(() => parseTransaction(longer), { code: 'MESSAGE_INVALID' });
    }
  });
}

test('legacy and version 0 have as many signatures as required signers, counted in front', () => {
  for (const version of ['legacy', 0] as const) {
    const { messageBytes } = launch(version);
    const wire = (count: number) =>
      Buffer.concat([Buffer.of(count), Buffer.alloc(64 * count), Uint8Array.from(messageBytes)]);
    assert.ok(parseTransaction(wire(2)));
    for (const count of [0, 1, 3]) {
      const detail = `transaction: ${count} signatures for 2 required signers`;
      refused(wire(count), 'TRANSACTION_INVALID', detail);
    }
    // Two bytes for a count that fits into one.
    const long = Buffer.concat([Buffer.of(0x82, 0), wire(2).subarray(1)]);
    refused(long, 'TRANSACTION_INVALID', /^transaction: first byte 0x82; allowed: /);
  }
});

test('version 1 has its signatures behind its message, and no other version has', () => {
  const message = Uint8Array.from(launch(1).messageBytes);
  const front = Buffer.concat([Buffer.of(2), Buffer.alloc(128), message]);
  refused(
    front,
    'TRANSACTION_INVALID',
    'transaction: version 1 has its signatures behind its message',
  );
  refused(message.subarray(0, 60), 'TRANSACTION_INVALID', /60 bytes are too few for 2 signatures/);
  refused(message, 'MESSAGE_INVALID', /^message: /);
  const zero = Buffer.concat([Uint8Array.from(launch(0).messageBytes), Buffer.alloc(128)]);
  refused(zero, 'TRANSACTION_INVALID', /^transaction: first byte 0x80; allowed: /);
});

test('bytes that are no transaction are refused', () => {
  refused(new Uint8Array(0), 'TRANSACTION_INVALID', 'transaction: no bytes');
  refused(Buffer.of(1), 'TRANSACTION_INVALID', 'transaction: no message behind 1 signatures');
  refused(Buffer.alloc(4097, 1), 'TRANSACTION_INVALID', 'transaction: 4097 bytes; at most 4096');
  for (let first = 0x82; first < 0x100; first++) {
    refused(Buffer.alloc(300, first), 'TRANSACTION_INVALID', /^transaction: first byte 0x/);
  }
});
