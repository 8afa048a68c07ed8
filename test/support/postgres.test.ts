/** Servers of tests are gone when the test is, whatever ends it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withoutPostgres } from './postgres-program.ts';

const skip = await withoutPostgres(18);

/** Names its server, and waits for ever. */
const USER = `
  import { PostgresServer } from ${JSON.stringify(new URL('postgres.ts', import.meta.url).href)};
  const { pid, directory } = await PostgresServer.start();
  console.log(JSON.stringify({ pid, directory }));
  setInterval(() => undefined, 1000);`;

test('a test that is killed leaves no server and no file', { skip }, async () => {
  const user = spawn(process.execPath, ['--input-type=module', '--eval', USER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(user.stdout, 'data');
  const { pid, directory } = JSON.parse(String(line)) as { pid: number; directory: string };
  assert.ok(existsSync(directory));
  process.kill(pid, 0);
  user.kill('SIGKILL');
  while (existsSync(directory)) await sleep(20);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});
