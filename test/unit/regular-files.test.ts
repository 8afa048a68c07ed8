import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  linkSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  isDangling,
  isNull,
  openRegular,
  readRegular,
  readText,
  withoutMark,
  writeRegular,
} from '../../src/disk/regular-files.ts';

test('a byte order mark before a text is not a part of it; one within it is', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(base, { recursive: true }));
  const path = join(base, 'text');
  for (const [written, read] of [
    ['\uFEFFa\uFEFFb', 'a\uFEFFb'],
    ['ab', 'ab'],
    ['\uFEFF', ''],
    ['', ''],
  ] as const) {
    writeFileSync(path, written);
    assert.equal(readText(path), read);
    assert.equal(withoutMark(written), read);
  }
});

function base(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('what is no regular file is neither read nor written, and nobody waits for it', async (t) => {
  const directory = base(t);
  const [fifo, socket, nowhere] = ['fifo', 'socket', 'nowhere'].map((name) =>
    join(directory, name),
  );
  execFileSync('mkfifo', [fifo!]);
  symlinkSync('gone', nowhere!);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => server.close());
  for (const [path, kind] of [
    [fifo!, 'a FIFO'],
    [socket!, 'a socket'],
    [directory, 'a directory'],
    ['/dev/zero', 'a device'],
    ['/dev/null', 'a device'],
  ] as const) {
    const refused = { message: `${kind}; allowed: a regular file, or a link to one` };
    assert.throws(() => openRegular(path), refused);
    assert.throws(() => readRegular(path, 10), refused);
    assert.throws(() => writeRegular(path, 'text'), refused);
  }
  assert.throws(() => openRegular(nowhere!), { message: 'a link that leads to nothing' });
  assert.throws(() => openRegular(join(directory, 'none')), { code: 'ENOENT' });
  // Also one that somebody reads from at this moment.
  const reader = openSync(fifo!, 'r+');
  assert.throws(() => writeRegular(fifo!, 'text'), /^Error: a FIFO/);
  closeSync(reader);
});

test('links to a regular file are that file', (t) => {
  const directory = base(t);
  const [file, soft, hard] = ['file', 'soft', 'hard'].map((name) => join(directory, name));
  writeRegular(file!, 'a longer text');
  assert.equal(statSync(file!).mode & 0o777, 0o600);
  symlinkSync('file', soft!);
  linkSync(file!, hard!);
  writeRegular(soft!, 'text');
  for (const path of [file!, soft!, hard!]) assert.equal(readText(path), 'text');
});

test('a file has at most so many bytes, whatever its size says', (t) => {
  const path = join(base(t), 'file');
  writeFileSync(path, 'x'.repeat(100));
  assert.equal(readRegular(path, 100).length, 100);
  assert.throws(() => readRegular(path, 99), { message: 'too large; allowed: at most 99 bytes' });
  // One that reports no size.
  assert.equal(statSync('/proc/self/maps').size, 0);
  assert.throws(() => readRegular('/proc/self/maps', 100), /too large/);
  assert.ok(readRegular('/proc/self/maps', 1 << 20).length > 100);
  const file = openSync(path, 'r+');
  writeSync(file, 'x', 1 << 30); // sparse
  closeSync(file);
  assert.throws(() => readRegular(path, 1000), /too large/);
});

test('what leads to nothing, and what is always empty, are distinguished from files', (t) => {
  const directory = base(t);
  const [file, dangling, none] = ['file', 'dangling', 'null'].map((name) => join(directory, name));
  writeFileSync(file!, '');
  symlinkSync('gone', dangling!);
  symlinkSync('/dev/null', none!);
  const paths = [file!, dangling!, none!, join(directory, 'nothing'), '/dev/null', '/dev/zero'];
  assert.deepEqual(paths.filter(isDangling), [dangling]);
  assert.deepEqual(paths.filter(isNull), [none, '/dev/null']);
});
