import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { Pool } from '../../src/pool/pool.ts';
import { countsBoard, sharePool } from '../../src/pool/shared-pool.ts';
import { vanitypool } from '../support/cli.ts';
import { testApp } from '../support/http-app.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';
import { Terminal } from '../support/terminal.ts';

const LIMIT = { timeout: 300_000 };

test(
  'one status a line, over a restart of the server, and Ctrl-C is a good end',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL], '[auth]', 'required = true');
    const first = await workspace.serve();
    const { port } = new URL(first.url);
    // It asks where the configuration says, with the token of the server that runs there.
    const env = { VANITYPOOL_HTTP__PORT: port };
    const read: { at: string; pools: { name: string }[]; readiness: object }[] = [];
    let said = '';
    const outcome = await vanitypool(['top', '--json'], {
      cwd: workspace.path,
      env,
      onFirstOutput: (top) => {
        top.stderr!.on('data', (text) => {
          said += text;
        });
        void (async () => {
          await first.kill('SIGTERM');
          const second = await workspace.serve('--port', port);
          let lines = 0;
          top.stdout!.on('data', (text: string) => {
            lines += text.split('\n').length - 1;
            if (lines === 2) top.kill('SIGINT');
          });
          await second.exited;
        })().catch(() => undefined);
      },
    });
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(said, /the server has ended the stream; trying again/);
    for (const line of outcome.lines) read.push(JSON.parse(line));
    assert.ok(read.length >= 3);
    for (const { at, pools, readiness } of read) {
      assert.match(at, /^\d{4}-\d\d-\d\dT/);
      assert.equal(pools[0]!.name, 'pet');
      assert.deepEqual(Object.keys(readiness), ['status', 'reasons']);
    }
  },
);

test('where there is nothing to show it on, or nobody to ask, it says so', LIMIT, async () => {
  const screenless = await vanitypool(['top']);
  assert.equal(screenless.code, 2);
  assert.match(screenless.stderr, /no terminal; "vanitypool top --json"/);
  assert.equal(screenless.stdout, '');
  const nobody = await vanitypool(['top', '--json', '--url', 'http://127.0.0.1:1']);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /no server answers/);
});

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const LONG = 'a-pool-with-a-name-of-thirty-two';
const ROWS = 24;

/** Both pools are there. */
const isWhole = (lines: readonly string[]) => lines.at(-1)?.startsWith('pet ') === true;

/** A server of two pools, one with large figures and a long name; its URL. */
async function serverOfTwo(t: TestContext): Promise<string> {
  const [pet] = loadConfig({ cwd: '/' }).pools;
  const hands = {
    refill: () => Promise.resolve(),
    prepare: () => undefined,
    record: () => undefined,
  };
  const shared = [LONG, 'pet'].map((name) => sharePool({ ...pet!, name, target: 100_000 }));
  countsBoard(shared[0]!).write({ available: 98_765, dispensed: 1_234_567, ground: 1_333_332 });
  const pools = new Map(shared.map((one) => [one.name, new Pool(one, hands)]));
  const { app } = await testApp(hands.refill, true, hands.record, { pools });
  t.after(() => app.close());
  return await app.listen({ host: '127.0.0.1', port: 0 });
}

test(
  'it fits terminals of any width, with whole numbers, and each whose size changes',
  LIMIT,
  async (t) => {
    const url = await serverOfTwo(t);
    await using terminal = new Terminal(['top', '--url', url], { columns: 200, rows: ROWS });
    const headings: string[][] = [];
    for (const columns of [200, 120, 80, 60, 40]) {
      await terminal.resize({ columns, rows: ROWS });
      const isDrawn = (lines: readonly string[]) => {
        const widest = Math.max(...lines.map(({ length }) => length));
        return isWhole(lines) && widest <= columns && widest > (columns === 200 ? 120 : 0);
      };
      const [heads, long, pet] = (await terminal.frame(isDrawn)).slice(-3);
      headings.push(heads!.split(/ {2,}/));
      assert.match(long!, /^a-pool.*-two .* 98,765 +100,000 /, `${columns}`);
      assert.match(pet!, /^pet .* 0 +100,000 /);
      if (columns >= 60) assert.match(long!, / 1,234,567 /);
    }
    assert.deepEqual(
      headings.map(({ length }) => length),
      [12, 12, 8, 6, 4],
    );
    assert.deepEqual(headings.at(-1), ['pool', 'stock', 'target', 'grinding']);
    await terminal.resize({ columns: 300, rows: ROWS });
    await terminal.frame((lines) => lines.at(-2)?.startsWith(`${LONG} `) === true);
    terminal.type('q');
    assert.equal(await terminal.ended(), 0);
  },
);

for (const [how, end] of [
  // Another key does nothing, and is not shown.
  ['q', (terminal: Terminal) => terminal.type('xq')],
  ['Ctrl-C', (terminal: Terminal) => terminal.type('x\x03')],
  ['SIGTERM', (terminal: Terminal) => terminal.kill('SIGTERM')],
  ['SIGINT', (terminal: Terminal) => terminal.kill('SIGINT')],
  ['SIGHUP', (terminal: Terminal) => terminal.kill('SIGHUP')],
] as const) {
  test(`${how} ends it, and the terminal is as it was`, LIMIT, async (t) => {
    const url = await serverOfTwo(t);
    await using terminal = new Terminal(['top', '--url', url], { columns: 80, rows: ROWS });
    await terminal.frame(isWhole);
    await end(terminal);
    assert.equal(await terminal.ended(), 0);
    assert.equal(terminal.output.split(ENTER).length, 2);
    assert.equal(terminal.output.split(LEAVE).length, 2);
    const after = terminal.output.split(LEAVE)[1]!;
    assert.match(after, /^after=\S+\r\ncode=0\r\n$/, 'nothing is drawn over the old text');
  });
}

test('Ctrl-Z stops it, with the terminal as it was, and fg shows it again', LIMIT, async (t) => {
  const url = await serverOfTwo(t);
  await using terminal = new Terminal(['top', '--url', url], { columns: 80, rows: ROWS });
  await terminal.frame(isWhole);
  terminal.type('\x1a');
  const [, stopped] = await terminal.until(/stopped=(\S+)\r/);
  const [, before] = await terminal.until(/before=(\S+)\r/);
  assert.equal(stopped, before);
  assert.ok(terminal.output.includes(LEAVE));
  const shown = terminal.output.length;
  terminal.type('\n');
  await terminal.until(new RegExp(`[^]{${shown},}\\x1b\\[\\?1049h`));
  await terminal.frame(isWhole);
  terminal.type('q');
  assert.equal(await terminal.ended(), 0);
});

test('without keys to read it ends by a signal', LIMIT, async (t) => {
  const url = await serverOfTwo(t);
  const size = { columns: 80, rows: ROWS };
  await using terminal = new Terminal(['top', '--url', url], size, { input: '/dev/null' });
  await terminal.frame(isWhole);
  await terminal.kill('SIGTERM');
  assert.equal(await terminal.ended(), 0);
});
