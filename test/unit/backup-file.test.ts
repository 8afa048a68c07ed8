import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  assertBackup,
  assertWholeBackup,
  completeBackup,
  copyBackup,
} from '../../src/store/sqlite/backup-file.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const RUNS = Number(process.env.FC_RUNS ?? 200);
const LINE_BYTES = 85;

const root = temporaryDirectory();
after(() => removeDirectory(root));
const path = join(root, 'backup');
const copy = join(root, 'copy');

/** More than one piece. */
const BYTES = randomBytes(2 ** 20 + 12_345);

async function newBackup(bytes: Uint8Array): Promise<void> {
  writeFileSync(path, bytes);
  await completeBackup(path);
}

test('a copy of a backup is what was backed up, readable by its owner alone', async () => {
  await newBackup(BYTES);
  assert.equal(statSync(path).size, BYTES.length + LINE_BYTES);
  await assertBackup(path);
  await copyBackup(path, copy);
  assert.deepEqual(readFileSync(copy), BYTES);
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  await assert.rejects(copyBackup(path, copy), { code: 'EEXIST' });
  rmSync(copy);
});

test('a backup of which one bit was changed is refused, wherever it is', async () => {
  const bytes = BYTES.subarray(0, 5000);
  const size = bytes.length + LINE_BYTES;
  await fc.assert(
    fc.asyncProperty(fc.nat(size - 1), fc.nat(7), async (at, bit) => {
      await newBackup(bytes);
      const changed = readFileSync(path);
      changed[at]! ^= 1 << bit;
      writeFileSync(path, changed);
      rmSync(copy, { force: true });
      const code = at < bytes.length ? 'STORE_CORRUPT' : /^STORE_(CORRUPT|FOREIGN)$/;
      await assert.rejects(copyBackup(path, copy), { code });
    }),
    { numRuns: RUNS },
  );
});

test('a backup that was cut is refused, wherever it was', async () => {
  for (const length of [0, 1, LINE_BYTES - 1, LINE_BYTES, 4096, BYTES.length, -1]) {
    await newBackup(BYTES);
    const cut = length >= 0 ? length : BYTES.length + LINE_BYTES - 1;
    truncateSync(path, cut);
    await assert.rejects(assertBackup(path), { code: 'STORE_FOREIGN', message: /cut short/ });
    rmSync(copy, { force: true });
    await assert.rejects(copyBackup(path, copy), { code: 'STORE_FOREIGN' });
  }
});

test('completing and copying end with the signal', async () => {
  await newBackup(BYTES);
  const signal = AbortSignal.abort(new Error('enough'));
  rmSync(copy, { force: true });
  await assert.rejects(copyBackup(path, copy, signal), /enough/);
  await assert.rejects(completeBackup(path, signal), /enough/);
});

test('what has come whole is distinguished from what has not', async () => {
  await newBackup(BYTES);
  await assertWholeBackup(path);
  const whole = readFileSync(path);
  for (const at of [0, 2 ** 20, BYTES.length - 1]) {
    const changed = Buffer.from(whole);
    changed[at]! ^= 1;
    writeFileSync(path, changed);
    await assert.rejects(assertWholeBackup(path), { code: 'STORE_CORRUPT' });
  }
  writeFileSync(path, whole.subarray(0, -1));
  await assert.rejects(assertWholeBackup(path), { code: 'STORE_FOREIGN' });
});
