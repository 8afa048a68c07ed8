/** `vanitypool bench`: which program it runs with what, and how it ends. No benchmark runs here. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bench } from '../../src/cli/bench.ts';
import { flagsOf } from '../../src/cli/help.ts';

const NAMES = [
  ...['grind', 'api', 'durability', 'store', 'cluster', 'ring', 'journal', 'start', 'busy'],
  ...['flood', 'events', 'memory', 'destroy', 'idle', 'sign'],
];

/** A directory of programs that keep their arguments in `args.json` and exit with 7. */
function programs(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(path, { recursive: true }));
  const source = `require('node:fs').writeFileSync('${path}/args.json', JSON.stringify(process.argv.slice(2)));
    process.exit(7);`;
  writeFileSync(join(path, 'store.ts'), source);
  writeFileSync(join(path, 'package.json'), '{}');
  return `${path}/`;
}

test('the program gets all but its name, wherever that stands, and its exit code is ours', async (t) => {
  const directory = programs(t);
  for (const args of [
    ['store', '--directory', 'store', '--json'],
    ['--directory', 'store', 'store', '--json'],
  ]) {
    assert.equal(await bench(args, directory), 7);
    const passed = JSON.parse(readFileSync(join(directory, 'args.json'), 'utf8'));
    assert.deepEqual(passed, ['--directory', 'store', '--json']);
  }
});

test('an installation without benchmarks says so', async () => {
  for (const name of NAMES) {
    await assert.rejects(bench([name], '/nowhere/'), {
      code: 'BENCH_NOT_FOUND',
      message: /^\/nowhere\/\w+\.ts: not there; the benchmarks come with a checkout/,
    });
  }
});

test('what is no benchmark is wrong usage', async () => {
  const refused = (args: string[], message: RegExp) =>
    assert.rejects(bench(args), { code: 'USAGE_INVALID', message });
  await refused([], new RegExp(`^bench: which benchmark\\? give one of ${NAMES.join(', ')}$`));
  await refused(['rong'], /^there is no benchmark "rong"; did you mean ring\? \(benchmarks: grind/);
  await refused(['toString'], /^there is no benchmark "toString" \(/);
  await refused(['ring', 'api'], /^bench: takes one benchmark, ring, not also api$/);
});

test('every flag that a benchmark takes can be given, and every other is none', () => {
  const taken = NAMES.flatMap((name) => {
    const file = name === 'api' ? 'serve' : name;
    const source = readFileSync(new URL(`../../bench/${file}.ts`, import.meta.url), 'utf8');
    const own = [...source.matchAll(/(\w+): \{ type: '(?:string|boolean)'/g)];
    const [, numbers = ''] = /readOptions\(\{([^}]+)\}\)/.exec(source) ?? [];
    return [...own, ...numbers.matchAll(/(\w+):/g)].map(([, name]) => `--${name}`);
  });
  assert.deepEqual(
    flagsOf('bench').toSorted(),
    [...new Set([...taken, '--json', '--help'])].toSorted(),
  );
});
