import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { GrinderStats } from '../../src/grinder/grinder.ts';
import { proveHits } from '../../src/grinder/worker.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import { job, type LogLine } from '../support/grinding.ts';

function keypair(): Uint8Array {
  return keypairOf(randomBytes(32));
}

const lastOf = (key: Uint8Array) => addressOf(key.subarray(32)).at(-1)!;
const isWiped = (key: Uint8Array) => key.every((byte) => byte === 0);

test('hits that are what they claim pass, in order and in their own buffers', () => {
  const [first, second] = [keypair(), keypair()];
  const jobs = [job('x', lastOf(first)), job('y', lastOf(second))];
  const hits = [
    { ...signingKeyOf(first), pattern: 0 },
    { ...signingKeyOf(second), pattern: 1 },
  ];
  const proof = proveHits(hits, jobs);
  assert.equal(proof.faults, 0);
  assert.deepEqual(
    proof.hits.map(({ pool }) => pool),
    ['x', 'y'],
  );
  assert.equal(proof.hits[0]!.key, first);
  assert.equal(proof.hits[1]!.key, second);
});

test('a wrong hit is found out and wiped, whatever is wrong with it; a right one beside it stays', () => {
  const right = keypair();
  const end = lastOf(right);
  const jobs = [job('x', end)];
  const other = job('x', end === 'a' ? 'b' : 'a');
  const seedBit = right.slice();
  seedBit[0]! ^= 1;
  const signBit = right.slice();
  signBit[63]! ^= 0x80;
  const short = right.slice(0, 63);
  for (const [key, pattern, of] of [
    [seedBit, 0, jobs],
    [signBit, 0, jobs],
    [short, 0, jobs],
    [right.slice(), 1, jobs],
    [right.slice(), 0, [other]],
    [right.slice(), 0, []],
  ] as const) {
    const proof = proveHits([{ ...signingKeyOf(key), pattern }], of);
    assert.deepEqual(proof, { hits: [], faults: 1 });
    assert.ok(isWiped(key));
  }
  const hits = [seedBit, right, signBit].map((key) => ({ ...signingKeyOf(key), pattern: 0 }));
  const proof = proveHits(hits, jobs);
  assert.deepEqual(proof, { hits: [{ pool: 'x', ...signingKeyOf(right) }], faults: 2 });
  assert.ok(!isWiped(right));
});

test('an expanded key is proved as such, and is no keypair, nor a keypair an expanded key', () => {
  const made = keypair();
  const publicKey = made.slice(32);
  const expanded = expandedKeyOf(made.subarray(0, 32));
  const seedJob = job('x', lastOf(made));
  const expandedJob = { ...seedJob, keyType: 'expanded' as const };
  const key = { keyType: 'expanded', key: expanded, publicKey } as const;
  const hit = { ...key, pattern: 0 };
  assert.deepEqual(proveHits([hit], [expandedJob]), {
    hits: [{ pool: 'x', ...key }],
    faults: 0,
  });
  const wrongScalar = expanded.slice();
  wrongScalar[0]! ^= 1;
  const wrongSign = publicKey.slice();
  wrongSign[31]! ^= 0x80;
  for (const [wrong, of] of [
    [{ ...hit, key: wrongScalar }, expandedJob],
    [{ ...hit, key: expanded.slice(), publicKey: wrongSign }, expandedJob],
    [{ ...hit, key: expanded.slice() }, seedJob],
    [{ ...hit, key: made.slice() }, expandedJob],
    [{ ...signingKeyOf(made.slice()), pattern: 0 }, expandedJob],
    [{ ...hit, keyType: 'seed', key: expanded.slice() }, seedJob],
  ] as const) {
    assert.deepEqual(proveHits([wrong], [of]), { hits: [], faults: 1 });
    assert.ok(isWiped(wrong.key));
  }
});

interface Outcome {
  readonly wrong: number;
  readonly isComplete: boolean;
  readonly stats: GrinderStats;
  readonly lines: readonly LogLine[];
}

async function grindWithLies(how: string): Promise<Outcome> {
  const path = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', path('lying-kernel.ts'), path('lying-grinder.ts')],
    // A grinder that never stops must not outlive the test.
    { env: { ...process.env, LYING_KERNEL: how }, timeout: 300_000, killSignal: 'SIGKILL' },
  );
  return JSON.parse(stdout) as Outcome;
}

for (const how of ['key', 'pattern', 'index', 'seen']) {
  test(`a thread whose kernel lies (${how}) stops and is replaced; only true hits come`, {
    timeout: 300_000,
  }, async () => {
    const { wrong, isComplete, stats, lines } = await grindWithLies(how);
    assert.equal(wrong, 0);
    assert.ok(isComplete, 'the true hits are all stored');
    assert.ok(stats.hits >= 3 * 4, `${stats.hits} hits`);
    assert.ok(stats.faults >= stats.restarts, `${stats.faults} faults`);
    assert.equal(stats.isa, 'lying');
    const count = (msg: string) => lines.filter((line) => line.msg === msg).length;
    assert.equal(count('this kernel lies'), 1, 'the warning comes once, not once a thread');
    assert.equal(count('a grinder thread ended; it is replaced'), stats.restarts);
    assert.equal(count('wrong hits were dropped: this machine miscomputes'), stats.faults);
  });
}
