import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, test } from 'node:test';
import { memoryRoom, roomOn } from '../../src/system/memory-room.ts';

let roots: string[] = [];
afterEach(() => {
  for (const root of roots) rmSync(root, { recursive: true });
  roots = [];
});

function machine(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
  roots.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const MEMINFO = 'MemTotal:  2000000 kB\nMemFree:  1 kB\nMemAvailable:  1000 kB\n';
const VERSION_2 = {
  'proc/self/cgroup': '0::/a/b\n',
  'proc/self/mountinfo': '30 24 0:27 / /groups rw - cgroup2 cgroup2 rw\n',
};

test('what the machine has available is the room, if no group leaves less', () => {
  assert.deepEqual(memoryRoom(machine({ 'proc/meminfo': MEMINFO })), {
    bytes: 1_024_000,
    of: 'MemAvailable of the machine',
  });
});

test('the tightest group counts, with its pages of files and not those of tmpfs', () => {
  const root = machine({
    'proc/meminfo': MEMINFO,
    ...VERSION_2,
    'groups/a/memory.max': '10000\n',
    'groups/a/memory.current': '9000\n',
    'groups/a/memory.stat': 'anon 1\nfile 3000\nshmem 500\ninactive_file 7\n',
    'groups/a/b/memory.max': 'max\n',
    'groups/a/b/memory.current': '8000\n',
  });
  assert.deepEqual(memoryRoom(root), {
    bytes: 3500,
    of: 'the memory limit of the control group /groups/a',
  });
});

test('groups of version 1 are read by their own names', () => {
  const root = machine({
    'proc/self/cgroup': '4:memory:/a\n',
    'proc/self/mountinfo': '30 24 0:27 / /memory rw - cgroup cgroup rw,memory\n',
    'memory/a/memory.limit_in_bytes': '5000\n',
    'memory/a/memory.usage_in_bytes': '5200\n',
    'memory/a/memory.stat': 'cache 9\ntotal_cache 300\ntotal_shmem 50\n',
  });
  assert.equal(memoryRoom(root).bytes, 50);
});

test('what cannot be read is no limit', () => {
  assert.equal(memoryRoom(machine({})).bytes, Number.POSITIVE_INFINITY);
  assert.equal(roomOn('/nowhere'), Number.POSITIVE_INFINITY);
  assert.ok(Number.isFinite(roomOn('/')) && Number.isFinite(memoryRoom().bytes));
});
