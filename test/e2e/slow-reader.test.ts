/**
 * Clients that read slowly or not at all, at a real server whose own times pass for real; they are all
 * there at once, as each takes half a minute.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UNREAD_LOOK_MS, UNREAD_LOOKS } from '../../src/http/in-flight.ts';
import { assertWholeBackup } from '../../src/store/sqlite/backup-file.ts';
import { type Server, Workspace } from '../support/server.ts';
import { slowReaders } from '../support/slow-reader.ts';
import { openStoreIn } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const LIMIT = { timeout: 300_000 };
/** The same reply again and again, of 330 kB: more than is kept for a connection that takes little. */
const BODY = JSON.stringify({ count: 1000 });
const HEADERS = { 'idempotency-key': 'slow', 'content-type': 'application/json' };
const AGAIN = [
  'POST /v1/pools/pet/dispense HTTP/1.1',
  ...['host: localhost', `content-length: ${BODY.length}`],
  ...Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}`),
  ...['', BODY],
].join('\r\n');
const SCRIPT = 'GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n';

/** A backup of so many is some megabytes, more than systems keep for a connection. */
const STORED = 10_000;

/** A server of that store, with `[http]` as it is given. */
async function serve(workspace: Workspace, setting: string): Promise<Server> {
  const { name, suffix } = poolNamed('pet');
  workspace.configure([{ name, suffix, target: 1 }], '[http]', setting);
  const store = await openStoreIn(workspace.data);
  await store.definePool(poolNamed('pet'));
  await store.insert(hitsFor('pet', STORED));
  await store.close();
  return workspace.serve('--threads', '0');
}

const portOf = ({ url }: Server) => Number(new URL(url).port);
const adminToken = ({ data }: Workspace) => readFileSync(join(data, 'admin.token'), 'utf8').trim();
const backupRequest = (token: string) =>
  [
    'POST /v1/backups HTTP/1.1',
    ...['host: localhost', 'connection: close', 'content-length: 0'],
    ...[`authorization: Bearer ${token}`, '', ''],
  ].join('\r\n');

/** The whole body of the one reply. */
function bodyOf(bytes: Buffer): Buffer {
  const end = bytes.indexOf('\r\n\r\n');
  const head = bytes.toString('latin1', 0, end);
  assert.match(head, /^HTTP\/1\.1 200 /);
  const body = bytes.subarray(end + 4);
  assert.equal(body.length, Number(/^content-length: (\d+)$/im.exec(head)![1]));
  return body;
}

test(
  'who reads 4 kB/s gets a whole backup; who takes 40 bytes a second or none is cut, and his place is free',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    const server = await serve(workspace, 'max_connections = 4');
    const look = async () => (await server.ask('GET', '/healthz')).status;
    const read = slowReaders(workspace.path);
    const port = portOf(server);
    const small = { port, isSmall: true, slowSeconds: 100 };
    const requests = backupRequest(adminToken(workspace));
    using readers = new DisposableStack();
    const start = () => ({
      backup: readers.use(
        read({ port, requests, isSmall: false, perSecond: 4000, slowSeconds: 45 }),
      ),
      cut: [
        { requests: AGAIN.repeat(8), perSecond: 0 },
        { requests: AGAIN.repeat(8), perSecond: 40 },
        { requests: SCRIPT, perSecond: 40 },
      ].map((reading) => readers.use(read({ ...small, ...reading }))),
    });
    assert.equal(await look(), 200);
    let started = start();
    for (;;) {
      const { backup, cut } = started;
      await Promise.all([backup, ...cut].map(({ connected }) => connected));
      if ((await look()) === 503) break;
      // One of them was the fifth: the last look's connection was still there.
      for (const reader of [backup, ...cut]) reader[Symbol.dispose]();
      await Promise.all([backup, ...cut].map(({ ended }) => ended));
      started = start();
    }
    while ((await look()) === 503) await sleep(100);
    for (const { ended } of started.cut) {
      const { end, ms, bytes } = await ended;
      assert.equal(end, 'reset');
      assert.ok(bytes.length < 5000, `${bytes.length} bytes`);
      assert.ok(ms > (UNREAD_LOOKS - 1) * UNREAD_LOOK_MS, `${ms} ms`);
      // As documented; timers are late where others have the processors.
      assert.ok(ms < 2 * (UNREAD_LOOKS + 1) * UNREAD_LOOK_MS, `${ms} ms`);
    }
    const { end, bytes } = await started.backup.ended;
    assert.equal(end, 'closed');
    const file = join(workspace.path, 'pool.backup');
    writeFileSync(file, bodyOf(bytes));
    await assertWholeBackup(file);
  },
);

test('a newer backup of the same token, and a stop, end one that is sent', LIMIT, async () => {
  await using workspace = new Workspace();
  const server = await serve(workspace, 'drain_seconds = 3600');
  const token = adminToken(workspace);
  const body = { name: 'other', scopes: ['admin'] };
  const other = (await server.ask('POST', '/v1/tokens', { token, body })).body.token;
  const read = slowReaders(workspace.path);
  // Each would take longer than the test may.
  const reading = { port: portOf(server), isSmall: true, perSecond: 4000, slowSeconds: 1000 };
  using older = read({ ...reading, requests: backupRequest(token) });
  await older.begun;
  const refused = await server.ask('POST', '/v1/backups', { token: other });
  assert.deepEqual([refused.status, refused.body.code], [409, 'BACKUP_RUNNING']);
  using newer = read({ ...reading, requests: backupRequest(token) });
  assert.equal((await older.ended).end, 'reset');
  await newer.begun;
  const stopped = server.kill('SIGTERM');
  const { end, bytes } = await newer.ended;
  assert.equal(end, 'reset');
  assert.match(bytes.toString('latin1'), /^HTTP\/1\.1 200 /);
  assert.equal(await stopped, 0);
});
