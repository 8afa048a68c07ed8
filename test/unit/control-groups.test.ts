import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupDirectories, mountsOf } from '../../src/system/control-groups.ts';

test('a place with a space is found, and a group has all above it', () => {
  const line = '30 24 0:27 / /my\\040groups rw - cgroup2 cgroup2 rw\n';
  const [mount, ...none] = mountsOf('cpu', line);
  assert.deepEqual([mount, none], [{ version: 2, root: '/', directory: '/my groups' }, []]);
  assert.deepEqual(groupDirectories('cpu', mount!, '1:cpu:/no\n0::/a/b\n'), [
    '/my groups',
    '/my groups/a',
    '/my groups/a/b',
  ]);
});
