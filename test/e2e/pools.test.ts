/**
 * Pools at run time as operators and clients meet them: a real server with two HTTP threads, under
 * load, over HTTP and by the command line. What holds after a kill is in test/torture/pools-kill.test.ts,
 * and with four threads in four-threads.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ManagedServer } from '../support/managed-server.ts';
import {
  type Answer,
  assertIdentity,
  EASY_POOL,
  type Handed,
  type PoolFigures,
} from '../support/server.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
/** Connections are spread over the threads by chance: all of them are met by so many. */
const ASKED = 12;
const POOL = { ...EASY_POOL, target: 150 };
/** About 58 attempts a hit, and a small ring. */
const BODY = { name: 'new', suffix: 'x', target: 300, readyMax: 1000 };

class Setup extends ManagedServer {
  constructor(...lines: string[]) {
    super([POOL], '[http]', 'threads = 2', ...lines);
  }

  /** With the right to do everything. */
  send(method: string, path: string, body?: object): Promise<Answer> {
    return this.ask(method, path, { body });
  }

  /** Of many connections at once, so of all threads. */
  async askAll(method: string, path: string): Promise<string[]> {
    const replies = await Promise.all(Array.from({ length: ASKED }, () => this.send(method, path)));
    return [...new Set(replies.map(({ status, body }) => `${status} ${body.code ?? ''}`.trim()))];
  }

  /** Takes addresses of the pool until asked to stop. */
  load(pool: string): Load {
    return new Load(this, pool);
  }
}

class Load {
  readonly handed: Handed[] = [];
  readonly codes = new Set<string>();
  #isOver = false;
  readonly #clients: Promise<unknown>;

  constructor(setup: Setup, pool: string) {
    const client = async (): Promise<void> => {
      while (!this.#isOver) {
        const { status, body } = await setup.send('POST', `/v1/pools/${pool}/dispense`);
        if (status === 200) this.handed.push(...body.addresses);
        else this.codes.add(body.code);
        await sleep(5);
      }
    };
    this.#clients = Promise.all(Array.from({ length: 6 }, client));
  }

  async until(count: number): Promise<void> {
    while (this.handed.length < count) await sleep(20);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#clients;
  }
}

function figuresOf(setup: Setup, name: string): Record<string, unknown> {
  return withDatabase(setup.workspace.data, (db) => ({
    ...db.prepare('SELECT * FROM pools WHERE name = ?').get(name),
  }));
}

/** As `BODY`, in the words of the file. */
const BODY_OF_FILE = { suffix: 'x', target: 100, ready_max: 1000 };

/** Nothing of a deleted pool leaves after the answer: how many addresses the deletion burned. */
async function deletePool(setup: Setup, durability: 'leased' | 'committed'): Promise<number> {
  assert.equal((await setup.send('POST', '/v1/pools', BODY)).status, 201);
  await setup.server.until(({ available, leased }) => available + leased > 250, 'new');
  const held = await setup.send('POST', '/v1/pools/new/reservations', { ttlSeconds: 600 });
  assert.equal(held.status, 201);
  const load = setup.load('new');
  await load.until(100);
  const unsaid = await setup.send('DELETE', '/v1/pools/new', { burn: 'old' });
  assert.equal(unsaid.body.code, 'BODY_INVALID');
  const deleted = await setup.send('DELETE', '/v1/pools/new', { burn: 'new' });
  assert.equal(deleted.status, 200, JSON.stringify(deleted.body));
  // From here on each thread says the same.
  assert.deepEqual(await setup.askAll('POST', '/v1/pools/new/dispense'), ['404 POOL_NOT_FOUND']);
  assert.deepEqual(await setup.askAll('GET', '/v1/pools/new'), ['404 POOL_NOT_FOUND']);
  await load.stop();
  const late = await setup.send('POST', `/v1/reservations/${held.body.id}/dispense`);
  assert.equal(late.body.code, 'POOL_NOT_FOUND');
  const figures = figuresOf(setup, 'new');
  // A reply that waited for the disk when the gate closed is 404: its address may have left.
  if (durability === 'leased') assert.equal(figures.dispensed, load.handed.length);
  else assert.ok(Number(figures.dispensed) >= load.handed.length);
  assert.equal(new Set(load.handed.map(({ address }) => address)).size, load.handed.length);
  assert.equal(figures.burned, deleted.body.burned);
  assert.equal(Number(figures.dispensed) + Number(figures.burned), figures.ground);

  const again = await setup.send('POST', '/v1/pools', { ...BODY, suffix: 'y' });
  assert.deepEqual([again.status, again.body.code], [409, 'POOL_MISMATCH']);
  const back = await setup.send('POST', '/v1/pools', BODY);
  assert.equal(back.status, 201, 'the same one comes back');
  await setup.server.until(({ available, leased }) => available + leased > 100, 'new');
  const before = new Set(load.handed.map(({ address }) => address));
  const more = await setup.server.dispense(100, 'new');
  assert.ok(more.every(({ address }) => !before.has(address)));
  assertIdentity(await setup.server.pool('new'));
  return deleted.body.burned;
}

async function assertStopsCleanly(setup: Setup, burned: number): Promise<void> {
  assert.equal(await setup.server.kill('SIGTERM'), 0);
  const log = setup.server.log.filter(({ level }) => level === 'error' || level === 'fatal');
  assert.deepEqual(log, []);
  assert.equal(figuresOf(setup, 'new').burned, burned, 'a clean stop burns none');
  checkStore(setup.workspace.data);
}

test(
  'pools are made, paused and deleted while a server with two threads runs',
  LIMIT,
  async (t) => {
    await using setup = new Setup();
    await setup.serve();

    await t.test(
      'a paused pool hands nothing out, on any thread, over a restart; resumed it does',
      async () => {
        await setup.server.until(({ available, leased }) => available + leased > 100);
        const load = setup.load('pet');
        await load.until(20);
        const paused = await setup.send('POST', '/v1/pools/pet/pause');
        assert.deepEqual([paused.status, paused.body.paused], [200, true], 'also one of the file');
        assert.deepEqual(await setup.askAll('POST', '/v1/pools/pet/dispense'), ['503 POOL_PAUSED']);
        await load.stop();
        const { dispensed } = await setup.server.pool();
        assert.equal(dispensed, load.handed.length);
        const ready = await setup.server.ask('GET', '/readyz');
        assert.equal(ready.status, 503);
        assert.match(ready.text, /pool pet is paused/);
        await setup.server.kill('SIGKILL');
        await setup.serve();
        assert.deepEqual(await setup.askAll('POST', '/v1/pools/pet/dispense'), ['503 POOL_PAUSED']);
        assert.ok(
          setup.server.log.some(({ msg, pool }) => msg === 'the pool is paused' && pool === 'pet'),
        );
        assert.equal((await setup.send('POST', '/v1/pools/pet/resume')).body.paused, false);
        assert.deepEqual(await setup.askAll('POST', '/v1/pools/pet/dispense'), ['200']);
      },
    );

    await t.test(
      'a pool that is made is found by every thread at once, while others are served',
      async () => {
        await setup.server.until(({ available, leased }) => available + leased > 50);
        const load = setup.load('pet');
        for (let index = 0; index < 5; index++) {
          const made = await setup.send('POST', '/v1/pools', {
            ...BODY,
            name: `new-${index}`,
            target: 50,
          });
          assert.equal(made.status, 201, JSON.stringify(made.body));
          assert.equal(made.headers.get('location'), `/v1/pools/new-${index}`);
          assert.deepEqual([made.body.pattern, made.body.target], ['...x', 50]);
          assert.deepEqual(await setup.askAll('GET', `/v1/pools/new-${index}`), ['200']);
        }
        await setup.server.until(({ ground }) => ground > 0, 'new-4');
        await load.stop();
        assert.ok(
          [...load.codes].every((code) => code === 'POOL_EMPTY'),
          [...load.codes].join(),
        );
        const { pools } = await setup.server.get<{ pools: { name: string }[] }>('/v1/pools');
        assert.deepEqual(
          pools.map(({ name }) => name),
          ['pet', 'new-0', 'new-1', 'new-2', 'new-3', 'new-4'],
        );
        const metrics = await setup.server.ask('GET', '/metrics');
        assert.match(metrics.text, /^vanitypool_target\{pool="new-4"\} 50$/m);
      },
    );

    await t.test(
      'of two that make one name one wins; a limit and what is not allowed are reported',
      async () => {
        const twice = { ...BODY, name: 'twice', target: 50 };
        const both = await Promise.all([1, 2].map(() => setup.send('POST', '/v1/pools', twice)));
        assert.deepEqual(both.map(({ status, body }) => `${status} ${body.code ?? ''}`).sort(), [
          '201 ',
          '409 POOL_EXISTS',
        ]);
        const tiny = { suffix: 'xxxxx', target: 1, ready: 1, readyMax: 1 };
        const refused = async (body: object) => (await setup.send('POST', '/v1/pools', body)).body;
        assert.equal((await refused({ ...BODY, name: 'pet' })).code, 'POOL_EXISTS');
        assert.equal(
          (await refused({ ...tiny, name: 'a', suffix: '0' })).code,
          'PATTERN_IMPOSSIBLE',
        );
        assert.equal((await refused({ ...tiny, name: 'a', target: 0 })).code, 'BODY_INVALID');
        const crossed = await refused({ ...tiny, name: 'a', ready: 2 });
        assert.deepEqual(
          [crossed.code, crossed.detail],
          ['CONFIG_INVALID', 'pools.a.ready: 2 is more than ready_max (1)'],
        );
        assert.equal((await refused({ ...BODY, keys: 'other' })).code, 'BODY_INVALID');
        const { body } = await setup.send('GET', '/v1/pools');
        assert.equal(body.pools.length, 7, 'none of these was made');
      },
    );

    const burned = await deletePool(setup, 'leased');

    await t.test(
      'a sign-only pool made at run time gives no secret without a server either',
      async () => {
        const body = { ...BODY, name: 'signer', handout: 'sign-only' };
        assert.equal((await setup.send('POST', '/v1/pools', body)).body.handout, 'sign-only');
        await setup.server.until(({ available }) => available > 10, 'signer');
        await assertStopsCleanly(setup, burned);
        const { code, stdout, stderr } = await setup.run('dispense', 'signer');
        assert.deepEqual([code, stdout], [1, '']);
        assert.match(stderr, /HANDOUT_MISMATCH/);
      },
    );
  },
);

const NAMES = ['pet', 'one', 'two'];

test('the command line does the same, beside a server and without one', LIMIT, async (t) => {
  await using setup = new Setup('[store]', 'durability = "committed"');
  const { workspace } = setup;
  const configure = (...names: string[]) => {
    const pools = names.map((name) => ({ ...BODY_OF_FILE, name }));
    const lines = ['[http]', 'threads = 2', '[store]', 'durability = "committed"'];
    workspace.configure([POOL, ...pools], ...lines);
  };
  const pool = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await setup.run('pool', ...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const fails = async (expected: RegExp, ...args: string[]): Promise<void> => {
    const { code, stderr } = await setup.run('pool', ...args);
    assert.ok(code === 1 || code === 2, `exit ${code}`);
    assert.match(stderr, expected);
  };
  const list = async (): Promise<(PoolFigures & { name: string; paused: boolean })[]> =>
    JSON.parse(await pool('list', '--json')).pools.filter(({ name }: { name: string }) =>
      NAMES.includes(name),
    );
  const size = ['--ready-max', '1000'];

  configure('kept', 'gone');
  await setup.serve();
  for (const name of ['kept', 'gone']) await setup.untilGround(100, name);
  await t.test(
    'nothing of a deleted pool leaves after the answer, when it is committed',
    async () => {
      await deletePool(setup, 'committed');
    },
  );
  assert.equal(
    await pool('create', 'one', '--suffix', 'x', '--target', '50', ...size),
    'pool one: made, ...x\n',
  );
  assert.equal(await pool('set', 'one', '--target', '70'), 'pool one: target 70\n');
  await setup.server.until(({ available, leased }) => available + leased >= 70, 'one');
  await fails(
    /pool pet: .* \[\[pools\]\] with name = "pet" in vanitypool\.toml, and start .*POOL_CONFIGURED/,
    ...['set', 'pet', '--target', '7'],
  );
  await fails(/POOL_CONFIGURED/, 'delete', 'pet', '--burn', 'pet');
  await fails(/--burn one/, 'delete', 'one');
  await fails(/CONFIG_INVALID/, 'set', 'one', '--ready', '1001');
  await fails(/POOL_NOT_FOUND/, 'pause', 'none');
  assert.equal(await setup.server.kill('SIGTERM'), 0);

  assert.equal(await pool('create', 'two', '--suffix', 'y', ...size), 'pool two: made, ...y\n');
  await fails(/POOL_EXISTS/, 'create', 'two', '--suffix', 'y');
  await fails(/POOL_EXISTS/, 'create', 'pet', '--suffix', 't');
  await fails(/POOL_CONFIGURED/, 'delete', 'pet', '--burn', 'pet');
  await fails(/PATTERN_/, 'create', 'three', '--suffix', '0');
  // Nothing is taken of it, and a thousand hits take half a second.
  for (const name of ['one', 'two']) await pool('pause', name);
  const { code, stderr } = await setup.run('dispense', 'one');
  assert.equal(code, 1);
  assert.match(stderr, /POOL_PAUSED/);
  await pool('set', 'one', '--target', '90');
  assert.deepEqual(
    (await list()).map(({ name, target, paused }) => [name, target, paused]),
    [
      ['pet', POOL.target, false],
      ['one', 90, true],
      ['two', 1000, true],
    ],
  );
  assert.match(await pool('list'), /^one .* paused$/m);

  configure();
  await setup.serve();
  await t.test('a pool that left the file can be deleted, or goes on with all it had', async () => {
    const { ground } = figuresOf(setup, 'kept');
    const kept = await setup.send('POST', '/v1/pools', { ...BODY, name: 'kept', target: 10 });
    assert.deepEqual([kept.status, kept.body.ground], [201, ground], JSON.stringify(kept.body));
    const gone = await setup.send('DELETE', '/v1/pools/gone', { burn: 'gone' });
    assert.deepEqual([gone.status, gone.body.burned], [200, figuresOf(setup, 'gone').ground]);
    assert.equal((await setup.send('DELETE', '/v1/pools/gone', { burn: 'gone' })).status, 404);
  });
  assert.deepEqual(
    (await list()).map(({ name, target, paused }) => [name, target, paused]),
    [
      ['pet', POOL.target, false],
      ['one', 90, true],
      ['two', 1000, true],
    ],
  );
  await pool('resume', 'one');
  await setup.server.until(({ ground }) => ground >= 90, 'one');
  await setup.server.kill('SIGKILL');

  const deleted = await pool('delete', 'one', '--burn', 'one');
  const { burned, ground } = figuresOf(setup, 'one');
  assert.equal(deleted, `pool one: deleted, ${burned} burned\n`);
  assert.equal(burned, ground);
  assert.deepEqual(
    (await list()).map(({ name }) => name),
    ['pet', 'two'],
  );
  const audit = await setup.run('audit', '--pool', 'one');
  assert.match(audit.stdout, /burned.*deleted/);

  configure('kept');
  await setup.serve();
  assert.equal((await setup.server.pool('kept')).target, BODY_OF_FILE.target, 'the file wins');
  assert.equal(await setup.server.kill('SIGTERM'), 0);
  checkStore(workspace.data);
});
