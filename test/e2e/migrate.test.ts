/** The command that moves a store to PostgreSQL, as a process, and what all others say of what it leaves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { PROGRAM, stateHome, vanitypool } from '../support/cli.ts';
import { MovingScene } from '../support/moving-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresProxy } from '../support/postgres-proxy.ts';

suite('vanitypool migrate', { skip: await withoutPostgres(18) }, () => {
  test('says what to do then, and every other command where the store is', async () => {
    await using server = await PostgresServer.start();
    using scene = await MovingScene.make();
    const { directory } = scene;
    const run = (...args: string[]) =>
      vanitypool([...args, '--data', directory], { cwd: directory });
    const to = await server.database();
    const withPassword = to.replace('postgres@', 'postgres:geheim@');

    const missing = await vanitypool(['migrate', '--to', to, '--data', join(directory, 'none')]);
    assert.match(missing.stderr, /there is no store in this directory \(STORE_NOT_FOUND\)/);

    {
      await using _ = await scene.open();
      const { code, stderr } = await run('migrate', '--to', to);
      assert.equal(code, 1);
      assert.match(stderr, /process \d+ holds it; stop that one .*\(DATA_IN_USE\)/);
    }

    const moved = await run('migrate', '--to', withPassword);
    assert.equal(moved.code, 0, moved.stderr);
    assert.match(moved.stderr, /^moved \d+%$/m);
    assert.ok(
      moved.stdout.includes(`[store]\nurl = "${to}"\ndata = "${directory}"\n`),
      moved.stdout,
    );
    assert.match(moved.stdout, /^pool pet: 24 addresses$/m);
    assert.ok(existsSync(join(directory, 'node.json')));

    const again = await run('migrate', '--to', withPassword);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /was moved to postgres:\S+ before\n/);
    for (const { stdout, stderr } of [moved, again]) assert.doesNotMatch(stdout + stderr, /geheim/);

    const commands = [
      ['serve', '--port', '0'],
      ['status'],
      ['audit'],
      ['dispense', 'pet'],
      ['backup', 'copy'],
      ['pool', 'list'],
      ['token', 'list'],
      ['key', 'rotate'],
      ['adopt', '--moved'],
      ['adopt', '--restored'],
    ];
    for (const command of commands) {
      const { code, stdout, stderr } = await run(...command);
      assert.equal(code, 1, command.join(' '));
      assert.match(
        stdout + stderr,
        /moved to postgres:.*set store\.url to that/,
        command.join(' '),
      );
    }
  });

  test('ends with 130 at a signal, and leaves the store where it is', async () => {
    await using server = await PostgresServer.start();
    using scene = await MovingScene.make();
    const { directory } = scene;
    await using proxy = await PostgresProxy.before(server.port);
    const to = proxy.through(await server.database());
    const args = ['migrate', '--to', to, '--data', directory];
    const env = { ...process.env, XDG_STATE_HOME: stateHome(directory) };
    const child = spawn(PROGRAM, args, { env, stdio: 'ignore' });
    const exit = once(child, 'exit');
    // While it waits for the answer to that, all is copied, and nothing compared.
    proxy.judge = ({ text }) => {
      if (text.startsWith('ANALYZE')) child.kill('SIGTERM');
      return 'pass';
    };
    assert.deepEqual(await exit, [130, null]);
    await (await scene.open()).close();
    const { code, stderr } = await vanitypool(args, { cwd: directory });
    assert.equal(code, 0, stderr);
  });
});
