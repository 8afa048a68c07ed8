/** A server whose store thread dies: it ends, and says of what. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EASY_POOL, Workspace } from '../support/server.ts';

/** Loaded by every thread; throws in that of the store when the file is there. */
const PRELOADED = `
  const { threadName } = require('node:worker_threads');
  const { existsSync } = require('node:fs');
  const look = () => {
    if (existsSync(process.env.STORE_FAILS)) throw new Error('it was made to fail');
  };
  if (threadName === 'store') setInterval(look, 50).unref();
`;

test('a server without its store thread ends with 1 and says why', {
  timeout: 300_000,
}, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const [preloaded, sign] = [join(workspace.path, 'preloaded.cjs'), join(workspace.path, 'fail')];
  writeFileSync(preloaded, PRELOADED);
  workspace.environment = { NODE_OPTIONS: `--require ${preloaded}`, STORE_FAILS: sign };
  const server = await workspace.serve('--threads', '0');
  writeFileSync(sign, '');
  assert.equal(await server.exited, 1);
  const fatal = server.log.find(({ level }) => level === 'fatal');
  assert.deepEqual([fatal?.msg, fatal?.reason], ['the store thread failed', 'it was made to fail']);
  assert.match(server.output, /^vanitypool: the store thread failed; the log says why \(STORE_UN/m);
});
