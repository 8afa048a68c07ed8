/** Limits are read from trees of files as systems have them, and as none has. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import {
  commandThreads,
  coresIn,
  quotaOf,
  readCpuLimits,
  serverThreads,
} from '../../src/system/cores.ts';

const base = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(base, { recursive: true }));

/** The limits of a system of these files; it has 16 cores. */
function limitsOf(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(base, 'root-'));
  const all = { 'proc/self/status': 'Name:\tnode\nCpus_allowed_list:\t0-15\n', ...files };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return readCpuLimits(root);
}

const quotaIn = (files: Readonly<Record<string, string>>) => limitsOf(files).quota;

const V2 = {
  'proc/self/mountinfo': `22 28 0:21 / /proc rw,nosuid shared:14 - proc proc rw
30 24 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n`,
  'proc/self/cgroup': '0::/system.slice/pool.service/inner\n',
};
const V1 = {
  'proc/self/mountinfo': `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n`,
  'proc/self/cgroup': '4:cpuset:/other\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n',
};
const V1_GROUP = 'sys/fs/cgroup/cpu,cpuacct/docker/abc';

test('version 2: the smallest quota counts of all groups from the own one up', () => {
  const slice = 'sys/fs/cgroup/system.slice';
  assert.equal(quotaIn(V2), undefined, 'no files at all');
  const files = {
    ...V2,
    [`${slice}/cpu.max`]: 'max 100000\n',
    [`${slice}/pool.service/cpu.max`]: '250000 100000\n',
    [`${slice}/pool.service/inner/cpu.max`]: '40000 10000\n',
    [`${slice}/other.service/cpu.max`]: '10000 100000\n',
  };
  assert.equal(quotaIn(files), 2.5);
  assert.equal(quotaIn({ ...files, [`${slice}/cpu.max`]: '150000 100000\n' }), 1.5);
  assert.equal(quotaIn({ ...files, 'sys/fs/cgroup/cpu.max': '100000 100000\n' }), 1);
  assert.equal(quotaIn({ ...files, [`${slice}/pool.service/cpu.max`]: 'max 100000\n' }), 4);
});

test('version 1: the controller cpu, wherever it is mounted, and its groups above', () => {
  const quota = (us: string) => ({
    ...V1,
    [`${V1_GROUP}/cpu.cfs_quota_us`]: us,
    [`${V1_GROUP}/cpu.cfs_period_us`]: '100000\n',
  });
  assert.equal(quotaIn(quota('-1\n')), undefined);
  assert.equal(quotaIn(quota('350000\n')), 3.5);
  const above = {
    ...quota('350000\n'),
    'sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us': '100000\n',
    'sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us': '50000\n',
  };
  assert.equal(quotaIn(above), 2);
  const elsewhere = {
    ...V1,
    'sys/fs/cgroup/cpuset/other/cpu.cfs_quota_us': '100000',
    'sys/fs/cgroup/cpuset/other/cpu.cfs_period_us': '100000',
  };
  assert.equal(quotaIn(elsewhere), undefined, 'another controller');
});

test('in a container the root of the mount is the group, whatever it is called', () => {
  const own = { 'sys/fs/cgroup/cpu.max': '200000 100000' };
  assert.equal(quotaIn({ ...V2, ...own, 'proc/self/cgroup': '0::/\n' }), 2, 'own namespace');
  const outside = { 'sys/fs/outside/cpu.max': '50000 100000' };
  assert.equal(quotaIn({ ...V2, ...own, ...outside, 'proc/self/cgroup': '0::/../outside\n' }), 2);
  const bound = {
    'proc/self/mountinfo': V2['proc/self/mountinfo'].replace('0:27 /', '0:27 /docker/abc'),
    'sys/fs/cgroup/inner/cpu.max': '100000 100000',
    'sys/fs/cgroup/d/cpu.max': '50000 100000',
    ...own,
  };
  assert.equal(quotaIn({ ...bound, 'proc/self/cgroup': '0::/docker/abc\n' }), 2);
  assert.equal(quotaIn({ ...bound, 'proc/self/cgroup': '0::/docker/abc/inner\n' }), 1);
  assert.equal(quotaIn({ ...bound, 'proc/self/cgroup': '0::/docker/abcd/inner\n' }), 2);
});

test('both versions at once: each shows what it knows', () => {
  const files = {
    'proc/self/mountinfo': `${V1['proc/self/mountinfo']}34 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n`,
    'proc/self/cgroup': `${V1['proc/self/cgroup']}0::/user.slice\n`,
    [`${V1_GROUP}/cpu.cfs_quota_us`]: '300000',
    [`${V1_GROUP}/cpu.cfs_period_us`]: '100000',
  };
  assert.equal(quotaIn(files), 3);
  const v2 = { 'sys/fs/cgroup/unified/user.slice/cpu.max': '150000 100000' };
  assert.equal(quotaIn({ ...files, ...v2 }), 1.5);
});

test('a quota that leaves all cores is none', () => {
  const files = { ...V2, 'proc/self/cgroup': '0::/' };
  assert.equal(quotaIn({ ...files, 'sys/fs/cgroup/cpu.max': '1600000 100000' }), undefined);
  assert.equal(quotaIn({ ...files, 'sys/fs/cgroup/cpu.max': '1599999 100000' }), 15.99999);
});

test('what is missing, damaged or foreign is no quota, and never an error', () => {
  assert.deepEqual(readCpuLimits(join(base, 'nowhere')), {
    cores: availableParallelism(),
    quota: undefined,
  });
  const noise = ['', '\n', ' - ', 'a b c', '0::', '::', '\0\xff', '1:cpu', 'max', '9'.repeat(500)];
  for (const text of noise) {
    for (const path of [...Object.keys(V2), 'proc/self/status', 'sys/fs/cgroup/cpu.max']) {
      assert.equal(quotaIn({ ...V2, [path]: text }), undefined, `${path}: ${text}`);
    }
  }
  mkdirSync(join(base, 'proc/self/status'), { recursive: true });
  assert.equal(readCpuLimits(base).quota, undefined, 'a directory for a file');
});

test('a quota is two whole numbers, neither of them 0', () => {
  assert.equal(quotaOf('50000 100000\n'), 0.5);
  assert.equal(quotaOf('50000\n 100000\n'), 0.5);
  for (const text of ['max 100000', '-1 100000', '0 100000', '5 0', '5', '5 6 7', '1e5 5', '']) {
    assert.equal(quotaOf(text), undefined, text);
  }
});

test('cores are those of the affinity', () => {
  const cores = (list: string) =>
    coresIn(`Cpus_allowed:\tff\nCpus_allowed_list:\t${list}\nNext:\t1`);
  assert.equal(cores('0'), 1);
  assert.equal(cores('0-1'), 2);
  assert.equal(cores('0-3,8,10-11'), 7);
  for (const list of ['', 'x', '3-', '5-1', '1,,2']) assert.equal(cores(list), undefined, list);
  assert.equal(limitsOf({}).cores, 16);
});

test('a server leaves a core of a quota to requests; a command uses all', () => {
  for (const [cores, quota, server, command] of [
    [16, undefined, 16, 16],
    [1, undefined, 1, 1],
    [16, 0.5, 1, 1],
    [16, 1, 1, 1],
    [16, 1.5, 1, 2],
    [16, 2, 1, 2],
    [16, 2.9, 1, 3],
    [16, 3.5, 2, 4],
    [16, 15.99, 14, 16],
    [2, 2, 2, 2],
    [4, 8, 4, 4],
  ] as const) {
    const limits = { cores, quota };
    const threads = [serverThreads(limits), commandThreads(limits)];
    assert.deepEqual(threads, [server, command], `${quota} of ${cores}`);
  }
});
