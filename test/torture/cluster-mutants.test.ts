/**
 * What the store of many nodes rests on, one rule at a time: a program without it fails a test. Each mutant runs that
 * test in a process of its own, of which test/support/mutant.ts changes one place. Without CLUSTER_SECONDS three of
 * them run; of all others only this is looked at: the place and the test are there, once.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MUTANTS, type Mutant } from '../support/mutants.ts';
import { withoutPostgres } from '../support/postgres-program.ts';

const ROOT = new URL('../..', import.meta.url);
const PRELOADED = fileURLToPath(new URL('../support/mutant.ts', import.meta.url));
/** Of a test that waits for what does not happen any more; all others take seconds. */
const HANGS_MS = 120_000;
const IS_LONG = Number(process.env.CLUSTER_SECONDS ?? 0) > 0;
const FEW = [
  'a turn has no number by which an unanswered commit is found',
  'a turn ignores refusals',
  'a run that is not heard of gives back what may have left',
];
/** It runs, and does something else than it should. */
const IS_NO_PROGRAM =
  /ReferenceError|SyntaxError|bind message supplies|could not determine data type/;

const pathOf = ({ test }: Mutant) => `test/unit/${test}.test.ts`;
const partsOf = ({ named }: Mutant) => [named].flat();

/** Of a file of tests, with those that it takes from a suite of several stores. */
function textOf(url: URL): string {
  const text = readFileSync(url, 'utf8');
  const suites = text.matchAll(/from '([./a-z-]+-conformance\.ts)'/g);
  return [text, ...suites.map(([, path]) => textOf(new URL(path!, url)))].join('\n');
}

test('each rule stands in one place, and the test of it is there', () => {
  for (const [name, mutant] of Object.entries(MUTANTS)) {
    const source = readFileSync(new URL(`src/${mutant.file}`, ROOT), 'utf8');
    assert.equal(source.split(mutant.from).length - 1, 1, name);
    const text = textOf(new URL(pathOf(mutant), ROOT));
    for (const part of partsOf(mutant)) assert.ok(text.includes(part), `${name}: ${part}`);
  }
  for (const name of FEW) assert.ok(name in MUTANTS, name);
});

/** Its exit code, and what it wrote. */
async function run(mutant: Mutant): Promise<[number | null, string]> {
  // A run of tests of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { file, from, to } = mutant;
  const named = partsOf(mutant)
    .join('')
    .replaceAll(/[^\w ]/g, '\\$&');
  // Only a run of files fails with what fails after their tests.
  const args = ['--test', `--test-timeout=${HANGS_MS}`, '--test-name-pattern', named];
  const child = spawn(process.execPath, ['--import', PRELOADED, ...args, pathOf(mutant)], {
    cwd: ROOT,
    env: { ...env, MUTANT_FILE: `/src/${file}`, MUTANT_FROM: from, MUTANT_TO: to },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return [code, output];
}

const OPTIONS = { concurrency: IS_LONG ? 2 : 1, skip: await withoutPostgres(18) };

suite('without one of its rules the store of many nodes fails', OPTIONS, () => {
  for (const name of IS_LONG ? Object.keys(MUTANTS) : FEW) {
    test(name, { timeout: 2 * HANGS_MS }, async () => {
      const [code, output] = await run(MUTANTS[name]!);
      assert.match(output, /^mutated$/m);
      assert.equal(code, 1, output);
      assert.doesNotMatch(output, IS_NO_PROGRAM);
    });
  }
});
