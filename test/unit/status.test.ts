import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BURNED } from '../../src/cli/status.ts';
import type { BurnCause } from '../../src/store/sqlite/segments.ts';

/** By its type, no cause is missing. */
const CAUSES: Readonly<Record<BurnCause, true>> = {
  crash: true,
  unsealable: true,
  restored: true,
  released: true,
  expired: true,
  deleted: true,
};

test('each cause of burning is described in words, here and in the documents', () => {
  const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  assert.deepEqual(Object.keys(BURNED).toSorted(), Object.keys(CAUSES).toSorted());
  for (const cause of Object.keys(CAUSES)) {
    assert.ok(BURNED[cause]!.split(' ').length > 2, cause);
    assert.match(operations, new RegExp(`^\\|[^|]*\`${cause}\`[^|]*\\|`, 'm'), cause);
  }
});
