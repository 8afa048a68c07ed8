import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { isScalar, multiplyAdd, reduce } from '../../src/keypair/scalar.ts';
import { fromBytes, L, toBytes } from '../support/expanded-oracle.ts';

const LARGEST = Buffer.alloc(32, 0xff);
const EDGES = [
  0n,
  1n,
  2n ** 252n - 1n,
  2n ** 252n,
  L - 1n,
  L,
  L + 1n,
  2n * L,
  15n * L - 1n,
  15n * L,
];

function wide(value: bigint): Uint8Array {
  return Buffer.from(value.toString(16).padStart(128, '0'), 'hex').reverse();
}

const scalars = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.constantFrom(LARGEST, ...EDGES.map(toBytes)),
);

test('multiplyAdd is a * b + c modulo L, as by BigInt', () => {
  fc.assert(
    fc.property(scalars, scalars, scalars, (a, b, c) => {
      const expected = (fromBytes(a) * fromBytes(b) + fromBytes(c)) % L;
      assert.equal(fromBytes(multiplyAdd(a, b, c)), expected);
    }),
    { numRuns: Number(process.env.FC_RUNS ?? 300) },
  );
});

test('reduce is modulo L, as by BigInt, around all multiples of L that are near a power of two', () => {
  const most = 2n ** 512n - 1n;
  for (let bits = 0n; bits <= 259n; bits++) {
    for (const times of [2n ** bits - 1n, 2n ** bits, 2n ** bits + 1n]) {
      for (const near of [times * L - 1n, times * L, times * L + 1n, times << 252n]) {
        if (near < 0n || near > most) continue;
        assert.equal(fromBytes(reduce(wide(near))), near % L, `${near}`);
      }
    }
  }
  assert.equal(fromBytes(reduce(wide(most))), most % L);
  for (let round = 0; round < 100; round++) {
    const bytes = randomBytes(round % 2 === 0 ? 32 : 64);
    assert.equal(fromBytes(reduce(bytes)), fromBytes(bytes) % L);
  }
});

test('a scalar is from 1 to L - 1, in 32 bytes', () => {
  for (const value of EDGES) assert.equal(isScalar(toBytes(value)), value > 0n && value < L);
  for (const bytes of [LARGEST, randomBytes(31), randomBytes(33), new Uint8Array()]) {
    assert.equal(isScalar(bytes), false);
  }
  for (let byte = 0; byte < 32; byte++) {
    const one = new Uint8Array(32);
    one[byte] = 1;
    assert.equal(isScalar(one), true);
    const above = Buffer.from(toBytes(L));
    above[byte] = Math.min(above[byte]! + 1, 255);
    assert.equal(isScalar(above), false);
  }
});
