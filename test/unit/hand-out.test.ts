/** What is reported of a hand-out that failed. The command at work is tested in test/e2e. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { again, idsOf, readKey } from '../../src/cli/hand-out.ts';
import { quoted } from '../../src/cli/options.ts';
import type { Place } from '../../src/cli/or-store.ts';

test('ids are printed in ranges', () => {
  assert.equal(idsOf([7]), 'id 7');
  assert.equal(idsOf([7, 8]), 'ids 7-8');
  assert.equal(idsOf([1, 3, 4, 5, 9, 11, 12]), 'ids 1, 3-5, 9, 11-12');
});

test('the command that asks again says all that it depends on, as a shell reads it', () => {
  const order = { pool: 'pet', count: 3, key: 'k', format: 'json' } as const;
  const commandOf = (place: Place = {}, out?: string) =>
    again({ ...order, place, out })
      .trimEnd()
      .split('\n')
      .at(-1);
  assert.equal(commandOf(), '  vanitypool dispense pet --count 3 --key k');
  assert.equal(
    commandOf({ url: 'http://[::1]:5057' }, 'my keys'),
    "  vanitypool dispense pet --count 3 --key k --url 'http://[::1]:5057' --out 'my keys'",
  );
  assert.equal(
    commandOf({ config: 'a.toml', data: '/d' }),
    '  vanitypool dispense pet --count 3 --key k --config a.toml --data /d',
  );
  assert.match(again({ ...order, key: '-k', place: {}, out: '-o' }), / --key=-k --out=-o\n$/);
  const toFiles = { ...order, place: {}, out: 'o' };
  assert.match(again({ ...toFiles, format: 'base58' }), / --key k --out o --format base58\n$/);
  assert.match(again({ ...toFiles, format: 'lines' }), / --key k\n$/);
  for (const word of [
    '',
    ' ',
    "it's",
    '$(x) `y` "z" \\',
    '*',
    '~',
    '-n',
    'a\nb',
    'plain/word.json',
  ]) {
    const { stdout } = spawnSync('sh', ['-c', `printf %s ${quoted(word)}`], { encoding: 'utf8' });
    assert.equal(stdout, word);
  }
});

test('a key is new each time unless it is given', () => {
  assert.match(readKey(undefined), /^[0-9a-f]{32}$/);
  assert.notEqual(readKey(undefined), readKey(undefined));
  for (const key of ['k', ' ', '~'.repeat(255)]) assert.equal(readKey(key), key);
  for (const key of ['', '~'.repeat(256), 'a\nb', 'ü']) {
    assert.throws(() => readKey(key), { code: 'USAGE_INVALID' });
  }
});
