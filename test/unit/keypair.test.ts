import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { addressOf } from '../../src/keypair/address.ts';
import {
  KEYPAIR_BYTES,
  keypairFileText,
  keypairOf,
  proveKeypair,
  publicKeyOf,
  SEED_BYTES,
  writeKeypairFile,
} from '../../src/keypair/keypair.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));
const freshDirectory = () => mkdtempSync(join(root, 'keys-'));

test('a seed has 32 bytes: the 64 of a keypair or an expanded key are refused', () => {
  for (const length of [0, 31, 33, 64]) {
    assert.throws(() => publicKeyOf(new Uint8Array(length)), {
      name: 'RangeError',
      message: `a seed has 32 bytes, not ${length}`,
    });
  }
});

test('a keypair is the seed, then its public key, and shares no memory with the seed', () => {
  const seed = randomBytes(SEED_BYTES);
  const keypair = keypairOf(seed);
  assert.equal(keypair.length, KEYPAIR_BYTES);
  assert.deepEqual(keypair.subarray(0, SEED_BYTES), Uint8Array.from(seed));
  assert.deepEqual(keypair.subarray(SEED_BYTES), publicKeyOf(seed));
  assert.notEqual(keypair.buffer, seed.buffer);
  assert.equal(keypair.buffer.byteLength, KEYPAIR_BYTES, 'it can be transferred');
});

test('the proof fails for one flipped bit anywhere, and for another length', () => {
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  assert.equal(proveKeypair(keypair), true);
  for (let byte = 0; byte < KEYPAIR_BYTES; byte++) {
    const wrong = keypair.slice();
    wrong[byte]! ^= 1 << (byte % 8);
    assert.equal(proveKeypair(wrong), false, `byte ${byte}`);
  }
  assert.equal(proveKeypair(keypair.subarray(0, 63)), false);
  assert.equal(proveKeypair(Uint8Array.of(...keypair, 0)), false);
  assert.equal(proveKeypair(new Uint8Array(0)), false);
});

test('the file is a JSON array of 64 numbers, readable by its owner alone', () => {
  const directory = freshDirectory();
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  const path = writeKeypairFile(directory, keypair);
  assert.equal(path, join(directory, `${addressOf(keypair.subarray(SEED_BYTES))}.json`));
  assert.deepEqual(Uint8Array.from(JSON.parse(readFileSync(path, 'utf8'))), keypair);
  assert.equal(readFileSync(path, 'utf8'), keypairFileText(keypair));
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('a file that is there is kept as it is', () => {
  const directory = freshDirectory();
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  const path = join(directory, `${addressOf(keypair.subarray(SEED_BYTES))}.json`);
  writeFileSync(path, 'precious');
  assert.throws(
    () => writeKeypairFile(directory, keypair),
    (error) =>
      error instanceof VanityError &&
      error.code === 'FILE_EXISTS' &&
      error.message.startsWith(path),
  );
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('a directory that is missing or is a file is an error that names the path', () => {
  const directory = freshDirectory();
  const file = join(directory, 'file');
  writeFileSync(file, '');
  for (const bad of [join(directory, 'missing'), file]) {
    assert.throws(
      () => writeKeypairFile(bad, keypairOf(randomBytes(SEED_BYTES))),
      (error) =>
        error instanceof VanityError &&
        error.code === 'FILE_NOT_WRITABLE' &&
        error.message.startsWith(join(bad, '/')),
    );
  }
  assert.deepEqual(readdirSync(directory), ['file']);
});

test('a write that fails half-way leaves no file', () => {
  // The limit on file sizes is one of the process: a child tries it, with 0 bytes allowed.
  const directory = freshDirectory();
  chmodSync(directory, 0o700);
  const program = `
    import { keypairOf, writeKeypairFile } from ${JSON.stringify(new URL('../../src/keypair/keypair.ts', import.meta.url).href)};
    process.on('SIGXFSZ', () => {});
    try { writeKeypairFile(${JSON.stringify(directory)}, keypairOf(new Uint8Array(32))); }
    catch (error) { process.exit(error.code === 'FILE_NOT_WRITABLE' ? 3 : 4); }`;
  const { status } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 0 && exec "$0" --input-type=module -e "$1"', process.execPath, program],
    { stdio: 'ignore' },
  );
  assert.equal(status, 3);
  assert.ok(existsSync(directory));
  assert.deepEqual(readdirSync(directory), []);
});
