import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { placeName } from '../../src/disk/place.ts';

test('a place is named by the identity of its database, and says nothing of it', () => {
  const recorded = '12:1796012119262685629:v7';
  const name = placeName(recorded);
  assert.match(name, /^[0-9a-f]{16}$/);
  assert.equal(name, createHash('sha256').update(recorded).digest('hex').slice(0, 16));
  assert.equal(placeName(''), 'e3b0c44298fc1c14');
  assert.notEqual(placeName('12:1796012119262685629:v8'), name);
});
