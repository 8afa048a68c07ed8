import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entry } from '../../src/entry.ts';

test('sources start sources, and compiled files compiled ones', () => {
  const started = (caller: string, path: string) => entry(caller, path).href;
  assert.equal(started('file:///a/src/b/c.ts', './worker'), 'file:///a/src/b/worker.ts');
  assert.equal(started('file:///a/build/b/c.js', '../d/worker'), 'file:///a/build/d/worker.js');
});

test('dots elsewhere, and what an import added, are no ending', () => {
  const { href } = entry('file:///a.b/c.d/e.ts?f=g.js', './h');
  assert.equal(href, 'file:///a.b/c.d/h.ts');
});
