/** Limits are read from trees of files as systems have them, and as none has. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { assertThreads, poolThreads, threadRoom } from '../../src/system/thread-limits.ts';

const base = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(base, { recursive: true }));

function roomIn(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(base, 'root-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return threadRoom(root);
}

const NONE = { threads: Number.POSITIVE_INFINITY, limit: 'no limit' };
const V2 = {
  'proc/self/mountinfo': '30 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
  'proc/self/cgroup': '0::/slice/pool\n',
};
const V1 = {
  'proc/self/mountinfo': '32 31 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n',
  'proc/self/cgroup': '9:pids:/docker/abc\n8:cpu:/\n',
};
const group = (directory: string, max: string, current: number) => ({
  [`sys/fs/cgroup/${directory}/pids.max`]: `${max}\n`,
  [`sys/fs/cgroup/${directory}/pids.current`]: `${current}\n`,
});

test('the group that leaves the least counts, from the own one up', () => {
  assert.deepEqual(roomIn({ ...V2, ...group('slice/pool', 'max', 7) }), NONE);
  const own = { ...V2, ...group('slice/pool', '20', 7) };
  assert.deepEqual(roomIn(own), {
    threads: 13,
    limit: '/sys/fs/cgroup/slice/pool/pids.max is 20 with 7 in use',
  });
  assert.equal(roomIn({ ...own, ...group('slice', '100', 96) }).threads, 4);
  assert.equal(roomIn({ ...own, ...group('other', '1', 1) }).threads, 13);
  assert.equal(roomIn({ ...own, ...group('slice', '5', 9) }).threads, 0, 'lowered below its use');
  assert.equal(roomIn({ ...V1, ...group('pids/docker/abc', '64', 60) }).threads, 4);
});

const LIMITS = (soft: string) => ({
  'proc/self/limits': `Limit                     Soft Limit           Hard Limit           Units
Max processes             ${soft}                 96364                processes
Max open files            20000                20000                files\n`,
});
const status = (user: number, threads: number, effective = '0000000000000000') =>
  `Name:\tnode\nUid:\t${user}\t0\t0\t0\nThreads:\t${threads}\nCapEff:\t${effective}\n`;
const WHOLE = { 'proc/self/uid_map': '         0          0 4294967295\n' };
const USER = {
  ...WHOLE,
  ...LIMITS('30'),
  'proc/self/status': status(1000, 6),
  'proc/17/status': status(1000, 6),
  'proc/18/status': status(1000, 11),
  'proc/19/status': status(1001, 400),
};

test('of a user all threads count together, but for root and who may pass over limits', () => {
  assert.deepEqual(roomIn(USER), { threads: 13, limit: 'RLIMIT_NPROC is 30 with 17 in use' });
  assert.deepEqual(roomIn({ ...USER, ...LIMITS('unlimited') }), NONE);
  assert.equal(roomIn({ ...USER, ...V2, ...group('slice/pool', '20', 16) }).threads, 4);
  for (const own of [
    status(0, 6),
    status(1000, 6, '0000000001000000'),
    status(1000, 6, '0000000000200000'),
  ]) {
    assert.deepEqual(roomIn({ ...USER, 'proc/self/status': own }), NONE);
  }
  const inNamespace = { ...USER, 'proc/self/uid_map': '0 1000 1\n' };
  const root = { 'proc/self/status': status(0, 6), 'proc/18/status': status(0, 12) };
  assert.equal(roomIn({ ...inNamespace, ...root }).threads, 18, 'root of a namespace is bound');
});

test('what is missing or damaged is no limit, and never an error', () => {
  assert.deepEqual(threadRoom(join(base, 'nowhere')), NONE);
  for (const text of ['', '\n', 'max', '-1', '1e3', '12 13', '\0']) {
    const files = { ...V2, 'sys/fs/cgroup/slice/pool/pids.max': text };
    const current = { 'sys/fs/cgroup/slice/pool/pids.current': '3' };
    assert.deepEqual(roomIn({ ...files, ...current }), NONE, text);
    assert.deepEqual(roomIn({ ...V2, ...group('slice/pool', '9', Number.NaN) }), NONE);
    assert.deepEqual(roomIn({ ...USER, 'proc/self/limits': text }), NONE, text);
    assert.deepEqual(roomIn({ ...USER, 'proc/self/status': text }), NONE, text);
  }
});

test('what is needed is compared with what is left', () => {
  const room = { threads: 3, limit: 'pids.max is 9 with 6 in use' };
  assertThreads(3, 'the server', room);
  assert.throws(() => assertThreads(4, 'the server', room), {
    code: 'SYSTEM_LIMIT_REACHED',
    message: /^the server: 4 more threads are needed, and pids.max is 9 with 6 in use, so 3 can/,
  });
});

test("libuv's pool is as large as C makes it", () => {
  const asked = [undefined, '', '0', '1', '8', '8x', 'many', '2000'];
  assert.deepEqual(
    asked.map((text) => poolThreads(text ?? undefined)).slice(1),
    [1, 1, 1, 8, 8, 1, 1024],
  );
});
