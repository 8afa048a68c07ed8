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
import { addressOf, decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import {
  keypairFileText,
  readKeyFile,
  writeExpandedKeyFile,
  writeKeypairFile,
} from '../../src/keypair/key-file.ts';
import { keypairOf, SEED_BYTES } from '../../src/keypair/keypair.ts';
import { publicKeyOfExpanded } from '../support/expanded-oracle.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));
const freshDirectory = () => mkdtempSync(join(root, 'keys-'));

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
    import { writeKeypairFile } from ${JSON.stringify(new URL('../../src/keypair/key-file.ts', import.meta.url).href)};
    import { keypairOf } from ${JSON.stringify(new URL('../../src/keypair/keypair.ts', import.meta.url).href)};
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

test('an expanded key has a file of its own kind', () => {
  const expandedKey = expandedKeyOf(randomBytes(32));
  const publicKey = publicKeyOfExpanded(expandedKey);
  const directory = mkdtempSync(join(root, 'expanded-'));
  const path = writeExpandedKeyFile(directory, publicKey, expandedKey);
  const address = addressOf(publicKey);
  assert.equal(path, join(directory, `${address}.expanded.json`));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const written = JSON.parse(readFileSync(path, 'utf8'));
  assert.deepEqual(Object.keys(written), ['type', 'address', 'expandedKey']);
  assert.deepEqual([written.address, written.type], [address, 'expanded']);
  assert.deepEqual(Buffer.from(decodeBase58(written.expandedKey)), Buffer.from(expandedKey));
  assert.throws(() => writeExpandedKeyFile(directory, publicKey, expandedKey), {
    code: 'FILE_EXISTS',
  });
});

test('what was written is read back, in both formats', () => {
  const directory = freshDirectory();
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  const address = addressOf(keypair.subarray(SEED_BYTES));
  const path = writeKeypairFile(directory, keypair);
  assert.deepEqual(readKeyFile(path), { address, keyType: 'seed', key: keypair });
  const expandedKey = Uint8Array.from(expandedKeyOf(keypair.subarray(0, SEED_BYTES)));
  const publicKey = publicKeyOfExpanded(expandedKey);
  const { key, ...others } = readKeyFile(writeExpandedKeyFile(directory, publicKey, expandedKey));
  assert.deepEqual(Uint8Array.from(key), expandedKey);
  assert.deepEqual(others, { address: addressOf(publicKey), keyType: 'expanded' });
});

test('a byte order mark, which an editor has put there, is no part of the file', () => {
  const path = join(freshDirectory(), 'key.json');
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  writeFileSync(path, `\uFEFF${keypairFileText(keypair)}\r\n`);
  assert.deepEqual(readKeyFile(path).key, keypair);
});

test('a file that holds no key of its address is refused, and nothing of it is shown', () => {
  const path = join(freshDirectory(), 'key.json');
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  const swapped = Uint8Array.from(keypair);
  swapped[0]! ^= 1;
  const numbers = [...keypair];
  const address = addressOf(keypair.subarray(SEED_BYTES));
  const foreignKey = encodeBase58(expandedKeyOf(randomBytes(SEED_BYTES)));
  const expanded = (key: unknown) =>
    JSON.stringify({ address, keyType: 'expanded', expandedKey: key });
  for (const text of [
    '',
    'null',
    '17',
    '{}',
    keypairFileText(swapped),
    JSON.stringify(numbers.slice(1)),
    JSON.stringify([...numbers, 1]),
    JSON.stringify([...numbers.slice(1), '7']),
    JSON.stringify([...numbers.slice(1), 256]),
    JSON.stringify([...numbers.slice(1), 1.5]),
    keypairFileText(keypair).slice(0, -1),
    `${keypairFileText(keypair)}${' '.repeat(4096)}`,
    expanded(foreignKey),
    expanded(`0${foreignKey}`),
    expanded(17),
  ]) {
    writeFileSync(path, text);
    assert.throws(
      () => readKeyFile(path),
      (error) => {
        assert.ok(error instanceof VanityError);
        assert.equal(error.code, 'KEY_FILE_INVALID', text);
        assert.ok(error.message.startsWith(`${path}: `));
        const told = error.message.slice(path.length);
        assert.ok(!told.includes(numbers.slice(40, 43).join()) && !told.includes(foreignKey));
        return true;
      },
    );
  }
  const missing = join(freshDirectory(), 'none.json');
  assert.throws(() => readKeyFile(missing), { code: 'KEY_FILE_INVALID' });
});
