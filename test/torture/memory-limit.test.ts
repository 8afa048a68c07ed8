/**
 * A server that may reserve little memory: what V8 would end in a stack of C is reported in one
 * line.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROGRAM } from '../support/cli.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const missing = process.platform === 'linux' ? undefined : 'only Linux holds these limits';
const LIMIT = { timeout: 300_000, ...(missing !== undefined && { skip: missing }) };
/** Of the shell, for a limit in MiB. */
const LIMITS = { RLIMIT_AS: '-v', RLIMIT_DATA: '-d' } as const;

function limited(option: string, mib: number): string[] {
  return ['sh', '-c', `ulimit ${option} "$0" && exec "$@"`, String(mib * 1024)];
}

for (const [name, option] of Object.entries(LIMITS)) {
  test(
    `${name}: too little is refused in one line, and with what the line says it serves`,
    LIMIT,
    async () => {
      await using workspace = new Workspace();
      workspace.configure([{ ...EASY_POOL, target: 300 }]);
      const run = (mib: number, ...args: string[]) => {
        const [command, ...rest] = [...limited(option, mib), PROGRAM, ...args];
        const { status, stderr } = spawnSync(command!, rest, {
          cwd: workspace.path,
          encoding: 'utf8',
        });
        assert.equal(status, 1, stderr);
        return stderr;
      };
      const serve = ['serve', '--port', '0', '--threads', '1'];
      const isForNode = new RegExp(
        `^vanitypool: Node\\.js needs \\d+ MiB of ${name}, which is \\d+ MiB;.*\\n$`,
      );
      for (const mib of [100, 700]) assert.match(run(mib, ...serve), isForNode);
      const told = run(1600, ...serve);
      const isForAll = `^vanitypool: the server with http\\.threads = 1 and grinder\\.threads = 1: \\d+ MiB .*${name} is 1600 MiB.*\\n$`;
      assert.match(told, new RegExp(isForAll));
      assert.match(
        run(1600, 'grind', '--suffix', 'x', '--threads', '3'),
        new RegExp(`^vanitypool: the grinder: \\d+ MiB .*${name} is 1600 MiB.*\\n$`),
      );
      const needed = Number(/(\d+) MiB/.exec(told)![1]);
      // Its own figure grows by some MiB with what Node.js has reserved by then.
      workspace.launcher = limited(option, needed + 100);
      const server = await workspace.serve('--threads', '1');
      await server.until(({ stock }) => stock >= 300);
      const token = readFileSync(join(workspace.data, 'admin.token'), 'utf8');
      assert.equal((await server.ask('GET', '/v1/audit', { token })).status, 200);
      assert.equal((await server.ask('POST', '/v1/backups', { token })).status, 200);
      assert.equal(await server.kill('SIGTERM'), 0);
    },
  );
}
