/** A server that may have few file descriptors: Node.js itself raises the soft limit to the hard one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PROGRAM } from '../support/cli.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const missing = process.platform === 'linux' ? undefined : '/proc is of Linux';
const LIMIT = { timeout: 300_000, ...(missing !== undefined && { skip: missing }) };
const ASKED = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';

/** What starts a program that may have so many descriptors. */
const withFiles = (most: number) => ['sh', '-c', 'ulimit -n "$0" && exec "$@"', String(most)];

async function metric(server: Server, name: string): Promise<number> {
  const { text } = await server.ask('GET', '/metrics');
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`vanitypool_${name} `))!
      .split(' ')[1],
  );
}

/** A connection with a request, and what became of it: a status, or 'closed' without a word. */
async function asked(port: number, sockets: Map<Socket, string>): Promise<void> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(ASKED);
  // What it sent may be refused unread.
  const close = () => 'closed';
  const status = once(socket, 'data').then(
    ([bytes]) => /^HTTP\/1.1 (\d+)/.exec(String(bytes))![1]!,
    close,
  );
  const closed = once(socket, 'close').then(close, close);
  sockets.set(socket, await Promise.race([status, closed]));
}

test(
  'a start that cannot have what it needs is refused in one line with the figure',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    const start = (most: number) => {
      const [command, ...rest] = [...withFiles(most), PROGRAM, 'serve', '--port', '0'];
      const options = { cwd: workspace.path, encoding: 'utf8' } as const;
      const { status, stderr } = spawnSync(command!, rest, options);
      assert.equal(status, 1, stderr);
      return stderr;
    };
    workspace.configure([EASY_POOL]);
    assert.match(
      start(64),
      /^vanitypool: one more pool with http\.threads = 1: \d+ file .*RLIMIT_NOFILE is 64; .*\n$/,
    );
    const many = Array.from({ length: 256 }, (_, index) => ({ ...EASY_POOL, name: `p${index}` }));
    workspace.configure(many, '[http]', 'threads = 8');
    const told = start(1024);
    assert.match(
      told,
      /^vanitypool: 256 pools with http\.threads = 8: .*RLIMIT_NOFILE is 1024; .*\n$/,
    );
    // Two for each journal, of which each pool has nine.
    const needed = Number(/(\d+) file descriptors/.exec(told)![1]);
    assert.ok(needed > 256 * 9 * 2 && needed < 256 * 9 * 2 + 500, told);
  },
);

test(
  'connections too many are refused with a word, counted, and cost nobody else anything',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL]);
    workspace.launcher = withFiles(180);
    const server = await workspace.serve('--threads', '1');
    const said = server.log.find(({ msg }) => msg.startsWith('fewer connections are served than'));
    const most = await metric(server, 'connections_max');
    assert.deepEqual(
      [said?.connections, said?.maxConnections, said?.openFiles],
      [most, 10_000, 180],
    );
    assert.ok(most >= 16 && most < 120, String(most));

    const port = Number(new URL(server.url).port);
    const sockets = new Map<Socket, string>();
    await Promise.all(Array.from({ length: 300 }, () => asked(port, sockets)));
    const served = [...sockets].filter(([, became]) => became === '200').map(([socket]) => socket);
    // The test's own client may hold two.
    assert.ok(served.length <= most && served.length >= most - 2, `${served.length} of ${most}`);
    for (const socket of served.splice(0, 6)) socket.destroy();
    const admin = { token: readFileSync(join(workspace.data, 'admin.token'), 'utf8') };
    // Of the closed ones the server hears when it comes to it.
    while ((await server.ask('GET', '/healthz').catch(() => undefined))?.status !== 200)
      await sleep(20);
    const refused = await metric(server, 'http_errors_total{code="OVERLOADED"}');
    assert.ok(refused >= 300 - most, `${refused} are counted`);
    assert.ok(server.log.some(({ msg }) => msg.startsWith('connections are refused')));
    assert.equal((await server.ask('GET', '/v1/audit', admin)).status, 200);
    assert.equal((await server.ask('POST', '/v1/backups', admin)).status, 200);
    assert.deepEqual(
      server.log.filter(({ level }) => level === 'error'),
      [],
    );
    for (const socket of served) socket.destroy();
    assert.equal(await server.kill('SIGTERM'), 0);
  },
);

test(
  'a pool that takes more than there is left is not made, and connections make room',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL]);
    workspace.launcher = withFiles(160);
    const server = await workspace.serve('--threads', '0');
    const admin = { token: readFileSync(join(workspace.data, 'admin.token'), 'utf8') };
    const before = await metric(server, 'connections_max');
    const make = (name: string) =>
      server.ask('POST', '/v1/pools', { ...admin, body: { name, suffix: 't' } });
    let made = 0;
    let reply = await make('p0');
    for (; reply.status === 201; reply = await make(`p${made}`)) made++;
    assert.ok(made > 0);
    assert.deepEqual([reply.status, reply.body.code], [503, 'SYSTEM_LIMIT_REACHED']);
    assert.match(
      reply.body.detail,
      /^one more pool with http.threads = 1: \d+ file descriptors are/,
    );
    const after = await metric(server, 'connections_max');
    assert.ok(after < before && after >= 12, `${after} of ${before}`);
    assert.equal((await server.ask('GET', `/v1/pools/p${made}`, admin)).status, 404);
    // What was deleted makes room for another.
    await server.ask('DELETE', `/v1/pools/p0`, { ...admin, body: { burn: 'p0' } });
    while ((await make('again')).status !== 201) await sleep(100);
    assert.equal(await server.kill('SIGTERM'), 0);
  },
);
