import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BURNED, nodesLine } from '../../src/cli/status.ts';
import type { BurnCause } from '../../src/store/sqlite/segments.ts';

/** By its type, no cause is missing. */
const CAUSES: Readonly<Record<BurnCause | 'failover', true>> = {
  crash: true,
  unsealable: true,
  restored: true,
  released: true,
  expired: true,
  deleted: true,
  failover: true,
};

test('each cause of burning is described in words, here and in the documents', () => {
  const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  assert.deepEqual(Object.keys(BURNED).toSorted(), Object.keys(CAUSES).toSorted());
  for (const cause of Object.keys(CAUSES)) {
    assert.ok(BURNED[cause]!.split(' ').length > 2, cause);
    assert.match(operations, new RegExp(`^\\|[^|]*\`${cause}\`[^|]*\\|`, 'm'), cause);
  }
});

test('nodes are one line: how many, and what is wrong', () => {
  const all = { running: 1, lost: 0, missed: 0, stopped: 0 };
  assert.equal(nodesLine(all), '1 node');
  assert.equal(nodesLine({ ...all, stopped: 2 }), '3 nodes, 2 stopped');
  assert.equal(nodesLine({ ...all, running: 2, lost: 1 }), '3 nodes, 1 lost: see vanitypool nodes');
  const missed = { ...all, running: 0, lost: 1, missed: 2 };
  assert.equal(nodesLine(missed), '3 nodes, 1 lost, 2 missed: see vanitypool nodes');
});
