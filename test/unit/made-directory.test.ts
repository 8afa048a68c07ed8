/** Directories that tools make: whole, or as they were before. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isMadeFrom, makeDirectory } from '../../tools/made-directory.mjs';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));

function place(t: TestContext) {
  const directory = mkdtempSync(join(BUILD, 'test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const source = join(directory, 'source');
  const sources = () => [source.slice(BUILD.length - 'build'.length)];
  const output = join(directory, 'output');
  const make = (text: string, isWhole = true) =>
    makeDirectory(output, sources, async (made) => {
      writeFileSync(join(made, 'file'), text);
      return isWhole;
    });
  return { directory, source, sources, output, make };
}

test('a directory is made again only when a source has changed', async (t) => {
  const { source, sources, output, make } = place(t);
  assert.equal(isMadeFrom(output, sources), false, 'sources that are not there are not read');
  writeFileSync(source, 'one');
  assert.equal(await make('made'), true);
  assert.equal(isMadeFrom(output, sources), true);
  writeFileSync(source, 'two');
  assert.equal(isMadeFrom(output, sources), false);
});

test('what fails leaves the directory as it was, and nothing beside it', async (t) => {
  const { directory, source, output, make } = place(t);
  writeFileSync(source, 'one');
  await make('before');
  const own = () => readdirSync(BUILD).filter((name) => name.startsWith('output-'));
  assert.equal(await make('half', false), false);
  const failing = makeDirectory(
    output,
    () => [],
    () => Promise.reject(new Error('no disk')),
  );
  await assert.rejects(failing, /no disk/);
  assert.equal(readFileSync(join(output, 'file'), 'utf8'), 'before');
  assert.deepEqual([own(), readdirSync(directory).sort()], [[], ['output', 'source']]);
});
