import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { takeLockFile } from '../../src/disk/lock-file.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const MODULE = new URL('../../src/disk/lock-file.ts', import.meta.url).href;
const MEMORY = '/dev/shm';
const TMPFS = 0x01021994;
const isTmpfs = (path: string) => existsSync(path) && statfsSync(path).type === TMPFS;
const root = temporaryDirectory();
after(() => removeDirectory(root));

/** A process that runs `program` with `takeLockFile` at hand and `path` as its argument. */
function start(program: string, path: string) {
  const source = `import { takeLockFile } from ${JSON.stringify(MODULE)};
    import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
    const path = process.argv[1];
    ${program}`;
  return spawn(process.execPath, ['--input-type=module', '--eval', source, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('a file is locked once in a process, until it is let go', () => {
  const path = join(root, 'once');
  const lock = takeLockFile(path)!;
  assert.equal(statSync(path).mode & 0o777, 0o600);
  for (let tries = 0; tries < 3; tries++) assert.equal(takeLockFile(path), undefined);
  assert.equal(statSync(path).size, 0, 'nothing is written into it');
  lock[Symbol.dispose]();
  takeLockFile(path)![Symbol.dispose]();
});

test('a lock of another process holds until that is killed', LIMIT, async () => {
  const path = join(root, 'other');
  const child = start(
    `globalThis.lock = takeLockFile(path);
    console.log(String(globalThis.lock !== undefined));
    setInterval(() => {}, 1000);`,
    path,
  );
  const exited = once(child, 'exit');
  try {
    assert.equal((await once(createInterface(child.stdout), 'line'))[0], 'true');
    assert.equal(takeLockFile(path), undefined);
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
  assert.ok(existsSync(path));
  using lock = takeLockFile(path);
  assert.ok(lock);
});

test('in tmpfs the holder may remove the file, and two never hold it', LIMIT, async (t) => {
  if (!isTmpfs(MEMORY)) return t.skip(`${MEMORY} is no tmpfs`);
  const directory = mkdtempSync(join(MEMORY, 'vanitypool-test-'));
  t.after(() => removeDirectory(directory));
  const path = join(directory, 'removed');
  // Each owner makes a directory: a second one at the same time fails to.
  const program = `
    for (let rounds = 0; rounds < 1000; ) {
      const lock = takeLockFile(path);
      if (lock === undefined) continue;
      mkdirSync(path + '.owner');
      rmdirSync(path + '.owner');
      rmSync(path);
      lock[Symbol.dispose]();
      rounds++;
    }`;
  const children = Array.from({ length: 3 }, () => start(program, path));
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
  assert.deepEqual(codes, [0, 0, 0]);
  using lock = takeLockFile(path);
  assert.ok(lock);
});

test('where no file can be made the error is the system’s', () => {
  assert.throws(() => takeLockFile(join(root, 'missing', 'lock')), { code: 'ENOENT' });
});
