import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileBudget } from '../../src/pool/file-budget.ts';
import { fileLimit, filesOfServer } from '../../src/system/file-limits.ts';

const budget = (limit: number, threads = 2, wanted = 1000) =>
  FileBudget.of({ limit, ofServer: 100, threads, wanted });

test('without a limit connections are those of the configuration, shared by the threads', () => {
  for (const limit of [Number.POSITIVE_INFINITY, 100 + 2 * (500 + 256)]) {
    const files = budget(limit);
    assert.deepEqual(files.ofThread, { connections: 500, refused: 256 });
    assert.equal(files.connections, 1000);
  }
  assert.deepEqual(budget(9999, 3, 10).ofThread, { connections: 4, refused: 256 });
  assert.equal(budget(9999, 3, 10).connections, 10);
});

test('what pools and threads take is not there for connections, and some are for refusals', () => {
  const files = budget(300);
  assert.deepEqual(files.ofThread, { connections: 75, refused: 25 });
  // As another thread sees it.
  const seen = new FileBudget(files.buffer);
  files.setParts(20);
  assert.deepEqual(seen.ofThread, { connections: 60, refused: 20 });
  assert.equal(seen.connections, 120);
  files.setParts(500);
  assert.deepEqual(seen.ofThread, { connections: 1, refused: 0 }, 'never none');
});

test('pools that leave too few connections are refused with the figure', () => {
  const files = budget(100 + 2 * 30 + 2 * 16);
  files.assertPools(10, true);
  assert.throws(() => files.assertPools(11, true), {
    code: 'SYSTEM_LIMIT_REACHED',
    message: /^11 pools with http.threads = 2: 198 file descriptors.* RLIMIT_NOFILE is 192; /,
  });
  files.assertPools(1000, false);
  files.setParts(30);
  assert.equal(files.fits(0), true);
  assert.equal(files.fits(1), false);
  assert.throws(() => files.assertPools(1, true), { message: /^one more pool with/ });
  files.setParts(27);
  files.assertPools(1, true);
});

test('the limit is read from /proc, and what cannot be read is none', () => {
  const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
  try {
    assert.equal(fileLimit(root), Number.POSITIVE_INFINITY);
    const none = { httpThreads: 0, grinderThreads: 0 };
    const least = filesOfServer(none, root);
    mkdirSync(join(root, 'proc/self/fd'), { recursive: true });
    for (const name of ['0', '1', '17']) writeFileSync(join(root, 'proc/self/fd', name), '');
    assert.equal(filesOfServer(none, root), least + 3);
    assert.ok(filesOfServer({ httpThreads: 2, grinderThreads: 1 }, root) > least + 3);
    for (const [text, limit] of [
      ['Max open files            1024                 524288               files', 1024],
      ['Max open files            unlimited            unlimited            files', undefined],
      ['', undefined],
    ] as const) {
      writeFileSync(join(root, 'proc/self/limits'), `Limit  Soft Limit\n${text}\n`);
      assert.equal(fileLimit(root), limit ?? Number.POSITIVE_INFINITY);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});
