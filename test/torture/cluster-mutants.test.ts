/**
 * What the store of many nodes rests on, one rule at a time: a program without it fails a test. Each mutant runs one
 * test file in a process of its own, of which test/support/mutant.ts changes one line.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withoutPostgres } from '../support/postgres-program.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MUTANT = fileURLToPath(new URL('../support/mutant.ts', import.meta.url));
const LIMIT = { timeout: 300_000, skip: await withoutPostgres(18) };

interface Mutant {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Below test/unit, and which of its tests. */
  readonly test: string;
  readonly named: string;
}

const MUTANTS: Readonly<Record<string, Mutant>> = {
  'a commit without an answer is not looked for by the number of its turn': {
    file: '/src/store/postgres/queues.ts',
    from: 'if (own.unanswered === 0) return;',
    to: 'return;',
    test: 'postgres-lost-answers.test.ts',
    named: 'one after the other',
  },
  'refusals are ignored': {
    file: '/src/store/postgres/turns.ts',
    from: 'position: queue.reported, refused, burned',
    to: 'position: queue.reported, refused: [], burned',
    test: 'postgres-nodes.test.ts',
    named: 'a key and a quota are asked for in one order',
  },
  'the deadline is ignored': {
    file: '/src/pool/deadline.ts',
    from: "return monotonicMs() > monotonic || Date.now() > this.#board.get('wall');",
    to: 'return false;',
    test: 'shared-run.test.ts',
    named: 'past it no thread hands anything out',
  },
};

/** Its exit code, and what it wrote. */
async function run({ file, from, to, test, named }: Mutant): Promise<[number | null, string]> {
  // A run of tests of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ['--import', MUTANT, '--test-name-pattern', named, `test/unit/${test}`];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...env, MUTANT_FILE: file, MUTANT_FROM: from, MUTANT_TO: to },
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 200_000,
    killSignal: 'SIGKILL',
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return [code, output];
}

suite('without one of its rules the store of many nodes fails', LIMIT, () => {
  for (const [name, mutant] of Object.entries(MUTANTS)) {
    test(name, async () => {
      const [code, output] = await run(mutant);
      assert.match(output, /^mutated$/m);
      assert.equal(code, 1, output);
    });
  }
});
