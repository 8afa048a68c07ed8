/** Which of several addons is taken. What the files hold is made up here; real ones are tested with the package. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Addon, loadAddon } from '../../src/system/addon.ts';

const place = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
after(() => rmSync(place, { recursive: true, force: true }));
const [first, second] = [join(place, 'first'), join(place, 'second')];
for (const path of [first, second]) writeFileSync(path, '');
const PLACES = [
  ['prebuilt', () => first],
  ['compiled here', () => second],
] as const;

const { addon: real } = loadAddon();
assert.ok(real);

function loadedFrom(contents: Readonly<Record<string, Partial<Addon>>>, places = PLACES) {
  const { origin, problem } = loadAddon(places, (path) => {
    const content = contents[path];
    if (content === undefined) throw new Error('of another machine');
    return content as Addon;
  });
  return origin ?? problem;
}

test('the first addon that works is taken', () => {
  assert.equal(loadedFrom({ [first]: real, [second]: real }), 'prebuilt');
});

test('one that cannot be opened, lacks a function or computes wrong is followed by the next', () => {
  const wrong = { ...real, check: () => -1 };
  const { slice: _, ...older } = real;
  for (const [bad, problem] of [
    [undefined, 'the native grind kernel cannot be loaded (of another machine)'],
    [older, /^the native grind kernel is of another version/],
    [wrong, 'the native grind kernel computes wrong keys on this machine'],
  ] as const) {
    const broken = bad === undefined ? {} : { [first]: bad };
    assert.equal(loadedFrom({ ...broken, [second]: real }), 'compiled here');
    const alone = loadedFrom(broken);
    if (typeof problem === 'string') assert.equal(alone, problem);
    else assert.match(alone, problem);
  }
});

test('without any, that is what is said', () => {
  const none = [['prebuilt', () => undefined]] as const;
  assert.deepEqual(loadAddon(none), { problem: 'the native grind kernel is not built' });
});

test('the addon of this machine derives a published key right', () => {
  assert.equal(real.check(), 0);
});
