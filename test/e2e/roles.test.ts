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
import {
  assertIdentity,
  DILIGENT,
  EASY_POOL,
  type PoolFigures,
  type Server,
  Workspace,
} from '../support/server.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
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
async function grinderOf(api: Node, url: string, lines: readonly string[] = DILIGENT) {
  const shown = await api.type('vanitypool key show');
  assert.equal(shown.code, 0, shown.stderr);
  const [, line] = shown.lines;
  assert.match(line!, /^store\.sealing_key = "public:[0-9a-f]{64}"$/);
  const grinder = new Node('grinder', url, line!, ...lines).configure([]);
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

function isFull({ available, leased, target }: PoolFigures): boolean {
  return available + leased >= target;
}

/** When a grinder that stops has stored all that it found. */
async function atRest(figures: () => Promise<PoolFigures>): Promise<PoolFigures> {
  for (let before = await figures(); ; ) {
    await sleep(1500);
    const now = await figures();
    if (now.ground === before.ground) return now;
    before = now;
  }
}

/** While a grinder could have found more, had it searched on. */
async function assertStill(figures: () => Promise<PoolFigures>): Promise<void> {
  const { ground } = await figures();
  await sleep(1500);
  assert.equal((await figures()).ground, ground);
}

async function poolAt(server: Server, token: string, pool = 'pet'): Promise<PoolFigures> {
  return (await server.ask('GET', `/v1/pools/${pool}`, { token })).body;
}

async function dispenseAt(server: Server, token: string): Promise<void> {
  const answer = await server.ask('POST', '/v1/pools/pet/dispense', { token, body: { count: 1 } });
  assert.equal(answer.status, 200, answer.text);
}

/** As another node does it to one of which it hears nothing. */
const GIVE_UP = `
  UPDATE vanitypool.lane_ends SET writer = NULL WHERE writer IN (
    SELECT epoch FROM vanitypool.epochs WHERE role = 'grinder');
  UPDATE vanitypool.epochs SET state = 'expired' WHERE role = 'grinder' AND state = 'open'`;

const tokenOf = ({ workspace: { data } }: Node) =>
  readFileSync(join(data, 'admin.token'), 'utf8').trim();

test('a node that hands out, and one that grinds for it', LIMIT, async (t) => {
  const url = await postgres.database();
  await using api = new Node('api', url).configure([EASY_POOL]);
  const server = await api.serve();
  await sleep(500);
  assert.equal((await server.pool()).ground, 0);
  await using grinder = await grinderOf(api, url);

  await t.test('what the one finds leaves the other, and comes back', async () => {
    await server.until(isFull);
    const full = await atRest(() => server.pool());
    assertIdentity(full);
    assert.equal(full.burned, 0);
    // It may be above its target by then.
    const missing = full.available + full.leased - full.target + 50;
    for (const { address, secretKey } of await server.dispense(missing)) {
      assert.ok(address.endsWith('t'), address);
      prove(address, secretKey);
    }
    await server.until(({ ground }) => ground >= full.ground + 50);
  });

  await t.test('the grinder has no sealing key', () => {
    const key = readFileSync(join(api.workspace.data, 'sealing.key'), 'utf8').trim();
    const bytes = Buffer.from(key, 'hex');
    const all = readdirSync(grinder.workspace.path, { recursive: true, withFileTypes: true });
    const files = all.filter((one) => one.isFile());
    assert.ok(files.some(({ name }) => name === 'node.json'));
    for (const { parentPath, name } of files) {
      assert.notEqual(name, 'sealing.key');
      const content = readFileSync(join(parentPath, name));
      assert.ok(!content.includes(key) && !content.includes(bytes), name);
    }
  });

  await t.test('the grinder says how it is doing, and nothing else', async () => {
    const ask = (path: string, token?: string, method = 'GET') =>
      fetch(`${grinder.server.url}${path}`, {
        method,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      });
    const own = tokenOf(grinder);
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
    const asked = await grinder.type('vanitypool dispense pet');
    assert.match(asked.stderr, /this is a grinder node.*\(ROUTE_NOT_FOUND\)/);
  });

  await t.test('what changes on the one steers the other', async () => {
    const change = async (method: string, path: string, body?: object) => {
      const asking = { token: tokenOf(api), ...(body && { body }) };
      const answer = await server.ask(method, path, asking);
      assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`);
    };
    const pool = () => poolAt(server, tokenOf(api), 'new');
    const until = async (isThere: (figures: PoolFigures) => boolean) => {
      while (!isThere(await pool())) await sleep(50);
    };
    await change('POST', '/v1/pools', { name: 'new', suffix: 'u', target: 30 });
    await until(isFull);
    await change('PATCH', '/v1/pools/new', { target: 90 });
    await until(isFull);
    await change('POST', '/v1/pools/new/pause');
    await change('PATCH', '/v1/pools/new', { target: 100_000 });
    // What was under way when it was paused.
    await sleep(1000);
    await assertStill(pool);
    const { ground } = await pool();
    await change('POST', '/v1/pools/new/resume');
    await until((now) => now.ground > ground);
    await change('DELETE', '/v1/pools/new', { burn: 'new' });
  });

  await t.test('without its server the grinder opens nothing either', async () => {
    assert.equal(await grinder.server.kill('SIGTERM'), 0);
    const failed = grinder.server.log.filter(({ level }) => level === 'error');
    assert.deepEqual(failed, []);
    for (const command of ['dispense pet', 'token list', 'key rotate']) {
      const { stderr } = await grinder.type(`vanitypool ${command}`);
      assert.match(stderr, /this is a grinder node.*\(SEALING_KEY_INVALID\)/, command);
    }
  });

  await t.test('the target of a configured pool is that of the last start', async () => {
    assert.equal(await server.kill('SIGTERM'), 0);
    const again = await api.configure([{ ...EASY_POOL, target: 500 }]).serve();
    const figures = () => poolAt(again, tokenOf(api));
    await grinder.serve();
    while (!isFull(await figures())) await sleep(50);
    assert.equal((await figures()).target, 500);
  });

  await t.test('a grinder that was given up goes on in a new run', async () => {
    const database = new URL(url).pathname.slice(1);
    await postgres.sql(GIVE_UP, [], database);
    const { log } = grinder.server;
    while (!log.some(({ msg }) => msg === 'a new run has begun')) {
      // Its next insert, or its next beat, is refused.
      await dispenseAt(api.server, tokenOf(api));
      await sleep(100);
    }
    while (!isFull(await poolAt(api.server, tokenOf(api)))) await sleep(50);
  });
});

const GRINDERS = 4;

test('several grinders end little above the target', LIMIT, async () => {
  const batch = 8;
  const url = await postgres.database();
  await using api = new Node('api', url).configure([{ ...EASY_POOL, suffix: 'st', target: 200 }]);
  const server = await api.serve();
  const lines = [`grinder.batch = ${batch}`, 'grinder.priority = "normal"'];
  await using grinders = new AsyncDisposableStack();
  for (let count = 0; count < GRINDERS; count++) {
    grinders.use(await grinderOf(api, url, lines));
  }
  const { ground: before, target } = await server.pool();
  const began = performance.now();
  const { ground: then } = await server.until(isFull);
  const perSecond = ((then - before) * 1000) / (performance.now() - began);
  // One that has not seen it yet still searches.
  const { ground } = await atRest(() => server.pool());
  // A second of each, or some where the machine is slow to look.
  const bound = target + Math.max(GRINDERS * 2 * batch, 5 * perSecond);
  assert.ok(ground <= bound, `${ground}, at most ${bound}`);
});
