/** The end of a terminal (SIGHUP) stops a program, unless that was ignored when it started. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { keepHangUpIgnored } from '../../src/cli/hang-up.ts';
import { PROGRAM, SMALL_MACHINE } from '../support/cli.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const IGNORING = {
  nohup: ['nohup'],
  "trap '' HUP": ['sh', '-c', `trap '' HUP; exec "$@"`, 'sh'],
  'setsid of one that ignores it': ['nohup', 'setsid', '--wait'],
} as const;
const OBEYING = { nothing: [], setsid: ['setsid', '--wait'] } as const;

/** What stopped a server that was started so and gets SIGHUP, then SIGTERM if it is still there. */
async function stoppedBy(launcher: readonly string[]): Promise<unknown[]> {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  // One process, whatever starts it: the group of `setsid` is found by its number.
  workspace.launcher = [...launcher, 'sh', '-c', 'echo "$$"; exec "$@"', 'sh'];
  const server = await workspace.serve('--threads', '0');
  const pid = Number.parseInt(server.output, 10);
  process.kill(pid, 'SIGHUP');
  // One after the other: of two signals that wait the system delivers either first.
  await Promise.race([server.exited, sleep(2000)]);
  if (server.process.exitCode === null) process.kill(pid, 'SIGTERM');
  assert.equal(await server.exited, 0, server.output);
  return server.log.filter(({ msg }) => msg.startsWith('stopping')).map(({ signal }) => signal);
}

suite('what ends with its terminal, and what does not', { concurrency: true }, () => {
  for (const [how, launcher] of Object.entries(IGNORING)) {
    test(`a server started by ${how} survives a hang-up`, LIMIT, async () => {
      assert.deepEqual(await stoppedBy(launcher), ['SIGTERM']);
    });
  }
  for (const [how, launcher] of Object.entries(OBEYING)) {
    test(`a server started by ${how} stops cleanly at a hang-up`, LIMIT, async () => {
      assert.deepEqual(await stoppedBy(launcher), ['SIGHUP']);
    });
  }

  for (const [how, launcher, end] of [
    ['as it is', [], [null, 'SIGHUP']],
    ['by nohup', IGNORING.nohup, [130, null]],
  ] as const) {
    test(`a search that was started ${how}`, LIMIT, async () => {
      // 3,364 attempts a hit: the first comes at once, and the last never.
      const args = ['grind', '--suffix', 'tt', '--count', '1000000', '--threads', '1'];
      const [command, ...rest] = [...launcher, PROGRAM, ...args, '--json', '--secrets'];
      const child = spawn(command!, rest, {
        env: { ...process.env, NODE_OPTIONS: SMALL_MACHINE },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 300_000,
      });
      let said = '';
      child.stderr.on('data', (text: Buffer) => {
        said += text;
      });
      child.stdout.once('data', () => {
        child.kill('SIGHUP');
        child.kill('SIGINT');
        child.stdout.resume();
      });
      assert.deepEqual(await once(child, 'close'), end, said);
    });
  }
});

test('what it starts itself is not affected', () => {
  const before = process.listeners('SIGHUP');
  const env = { VANITYPOOL_SIGHUP: 'ignored', OTHER: 'stays' };
  keepHangUpIgnored(env);
  assert.deepEqual(env, { OTHER: 'stays' });
  const added = process.listeners('SIGHUP').filter((one) => !before.includes(one));
  assert.equal(added.length, 1);
  process.off('SIGHUP', added[0]!);
});
