/** Nodes of different roles on one database: who grinds, who hands out, and what each of them has. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { type Outcome, vanitypool } from '../support/cli.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { assertIdentity, DILIGENT, EASY_POOL, type Server, Workspace } from '../support/server.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 110_000, skip };
let postgres: PostgresServer;
before(async () => {
  if (skip === false) postgres = await PostgresServer.start();
});
after(async () => {
  await postgres?.[Symbol.asyncDispose]();
});

/** One node: a directory of its own, and of the others the database alone. */
class Node implements AsyncDisposable {
  readonly workspace = new Workspace();
  server!: Server;
  readonly #lines: readonly string[];

  constructor(role: string, url: string, ...lines: readonly string[]) {
    this.#lines = [`role = "${role}"`, `store.url = "${url}"`, ...lines];
  }

  configure(pools: readonly Record<string, unknown>[]): this {
    this.workspace.configure(pools, ...this.#lines);
    return this;
  }

  async serve(): Promise<Server> {
    this.server = await this.workspace.serve();
    return this.server;
  }

  /** A command as its operator types it here, whether or not its server runs. */
  async type(command: string): Promise<Outcome> {
    const [program, ...words] = command.split(' ');
    assert.equal(program, 'vanitypool');
    return vanitypool(words, { cwd: this.workspace.path });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.workspace[Symbol.asyncDispose]();
  }
}

/** What a node that may not start says. */
async function refusal(node: Node): Promise<string> {
  const { message } = await node.serve().then(
    () => assert.fail('it serves'),
    (error: Error) => error,
  );
  return message;
}

/** Enrolled by what its refused start says, typed on the other node. */
async function grinderOf(api: Node, url: string): Promise<Node> {
  const shown = await api.type('vanitypool key show');
  assert.equal(shown.code, 0, shown.stderr);
  const [, line] = shown.lines;
  assert.match(line!, /^store\.sealing_key = "public:[0-9a-f]{64}"$/);
  const grinder = new Node('grinder', url, line!, ...DILIGENT).configure([]);
  const refused = await refusal(grinder);
  assert.match(refused, /NODE_NOT_ENROLLED/);
  const [command] = /vanitypool nodes enrol [0-9a-f]{32} --key [0-9a-f]{64}/.exec(refused)!;
  const enrolled = await api.type(command);
  assert.equal(enrolled.code, 0, enrolled.stderr);
  await grinder.serve();
  return grinder;
}

function prove(address: string, secretKey: string): void {
  const keypair = Buffer.from(decodeBase58(secretKey));
  assert.deepEqual(keypair, Buffer.from(keypairOf(keypair.subarray(0, 32))));
  assert.equal(encodeBase58(keypair.subarray(32)), address);
}

test(
  'a grinder fills the pool of a node that does not grind, and has no secret',
  LIMIT,
  async () => {
    const url = await postgres.database();
    await using api = new Node('api', url).configure([EASY_POOL]);
    const server = await api.serve();
    await sleep(500);
    assert.equal((await server.pool()).ground, 0);
    await using grinder = await grinderOf(api, url);

    const full = await server.until(
      ({ available, leased, target }) => available + leased >= target,
    );
    assertIdentity(full);
    assert.equal(full.burned, 0);
    const handed = await server.dispense(50);
    for (const { address, secretKey } of handed) {
      assert.ok(address.endsWith('t'), address);
      prove(address, secretKey);
    }
    // What is taken comes back.
    await server.until(({ ground }) => ground >= full.ground + 50);

    const names = readdirSync(grinder.workspace.data).sort();
    assert.deepEqual(
      names.filter((name) => /seal/.test(name)),
      [],
      names.join(),
    );
    const key = readFileSync(join(api.workspace.data, 'sealing.key'), 'utf8').trim();
    const ofGrinder = readdirSync(grinder.workspace.path, { recursive: true, withFileTypes: true });
    for (const file of ofGrinder.filter((one) => one.isFile())) {
      const bytes = readFileSync(join(file.parentPath, file.name));
      assert.ok(!bytes.includes(key) && !bytes.includes(Buffer.from(key, 'hex')), file.name);
    }

    assert.equal(await grinder.server.kill('SIGTERM'), 0);
    assert.equal(await server.kill('SIGTERM'), 0);
  },
);

test('a grinder says how it is doing, to who has its token, and nothing else', LIMIT, async () => {
  const url = await postgres.database();
  await using api = new Node('api', url).configure([EASY_POOL]);
  await api.serve();
  await using grinder = await grinderOf(api, url);
  const ask = (path: string, token?: string, method = 'GET') =>
    fetch(`${grinder.server.url}${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
  const own = readFileSync(join(grinder.workspace.data, 'admin.token'), 'utf8').trim();
  const made = await api.type('vanitypool token create --name ops --scope admin --scope read');
  const ofStore = made.lines[0]!;

  assert.equal((await ask('/healthz')).status, 200);
  const ready = await ask('/readyz');
  assert.deepEqual([ready.status, await ready.json()], [200, { status: 'ready', reasons: [] }]);
  assert.equal((await ask('/metrics')).status, 401);
  assert.equal((await ask('/metrics', ofStore)).status, 401, 'it cannot check that');
  const metrics = await ask('/metrics', own);
  assert.equal(metrics.status, 200);
  assert.match(await metrics.text(), /^vanitypool_hits_total \d/m);
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/openapi.json'],
    ['GET', '/v1/pools'],
    ['POST', '/v1/pools/pet/dispense'],
    ['POST', '/v1/pools'],
    ['GET', '/v1/audit'],
    ['POST', '/v1/backups'],
    ['GET', '/get-keypair'],
  ] as const) {
    const closed = await ask(path, own, method);
    const body = (await closed.json()) as { code: string; detail: string };
    assert.deepEqual([closed.status, body.code], [404, 'ROUTE_NOT_FOUND'], path);
    assert.match(body.detail, /this is a grinder node/);
  }

  const outcome = await grinder.type('vanitypool dispense pet');
  assert.equal(outcome.code, 1);
  assert.match(outcome.stderr, /this is a grinder node/);
  await grinder.server.kill('SIGTERM');
  for (const command of ['dispense pet', 'token list', 'key rotate']) {
    const alone = await grinder.type(`vanitypool ${command}`);
    assert.match(alone.stderr, /this is a grinder node.*\(SEALING_KEY_INVALID\)/, command);
  }
});

/** While a grinder could have found more, had it searched on. */
async function assertStill(server: Server, pool: string): Promise<void> {
  const { ground } = await server.pool(pool);
  await sleep(1500);
  assert.equal((await server.pool(pool)).ground, ground);
}

test('what changes on one node steers the grinders of others', LIMIT, async () => {
  const url = await postgres.database();
  await using api = new Node('api', url).configure([EASY_POOL]);
  const server = await api.serve();
  await using grinder = await grinderOf(api, url);
  const isFull = ({
    available,
    leased,
    target,
  }: {
    available: number;
    leased: number;
    target: number;
  }) => available + leased >= target;
  await server.until(isFull);
  const own = readFileSync(join(api.workspace.data, 'admin.token'), 'utf8').trim();
  const change = async (method: string, path: string, body?: object) => {
    const answer = await server.ask(method, path, { token: own, ...(body && { body }) });
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`);
  };

  await change('POST', '/v1/pools', { name: 'new', suffix: 'u', target: 30 });
  await server.until(isFull, 'new');
  await sleep(1500);
  await assertStill(server, 'new');
  await change('PATCH', '/v1/pools/new', { target: 900 });
  await server.until(isFull, 'new');

  await change('POST', '/v1/pools/new/pause');
  await change('PATCH', '/v1/pools/new', { target: 5000 });
  // What was under way when it was paused.
  await sleep(1000);
  await assertStill(server, 'new');
  await change('POST', '/v1/pools/new/resume');
  const { ground } = await server.pool('new');
  await server.until((now) => now.ground > ground, 'new');
  await change('DELETE', '/v1/pools/new', { burn: 'new' });
  await grinder.server.kill('SIGTERM');
  const failed = grinder.server.log.filter(({ level }) => level === 'error');
  assert.deepEqual(failed, []);

  // Of a pool of the configuration the node says it that starts.
  await server.kill('SIGTERM');
  const again = await api.configure([{ ...EASY_POOL, target: 600 }]).serve();
  await grinder.serve();
  await again.until(isFull);
});
