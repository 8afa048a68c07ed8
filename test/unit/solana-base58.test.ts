/** Base58 of the client, compared with another implementation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base58 } from '@scure/base';
import fc from 'fast-check';
import { decodeBase58, encodeBase58 } from '../../src/client/solana/base58.ts';

const FC = { numRuns: Number(process.env.FC_RUNS ?? 200) };
/** Zeros in front are the case that is easy to get wrong. */
const bytes = (length: number) =>
  fc
    .tuple(fc.nat(length), fc.uint8Array({ minLength: length, maxLength: length }))
    .map(([zeros, all]) => all.fill(0, 0, zeros));

test('it is the base58 of others, both ways', () => {
  for (const length of [32, 64]) {
    fc.assert(
      fc.property(bytes(length), (value) => {
        const text = base58.encode(value);
        assert.equal(encodeBase58(value), text);
        assert.deepEqual(decodeBase58(text, length), value);
      }),
      FC,
    );
  }
});

test('what is no base58 of so many bytes is nothing', () => {
  const text = base58.encode(new Uint8Array(32).fill(255));
  const wrong = ['', '1', text.slice(2), `${text}1`, `1${text}`, `${text.slice(1)}0`];
  const odd = ['l'.repeat(43), `${text.slice(1)} `, '😀'.repeat(22), '1'.repeat(33)];
  for (const one of [...wrong, ...odd, 'z'.repeat(44), 'z'.repeat(1_000_000)]) {
    assert.equal(decodeBase58(one, 32), undefined, one.slice(0, 50));
  }
  assert.deepEqual(decodeBase58('1'.repeat(32), 32), new Uint8Array(32));
});
