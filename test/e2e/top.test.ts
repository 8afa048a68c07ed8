import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vanitypool } from '../support/cli.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 120_000 };

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
