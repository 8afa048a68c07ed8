/**
 * The clock of a real server is set while it serves, and between its runs: nothing ends early for it,
 * nothing lasts for years, and no quota is counted for another day.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { vanitypool } from '../support/cli.ts';
import { WallClock } from '../support/clock.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';
import { checkStore, openStoreIn, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const LIMIT = { timeout: 300_000 };
const YEAR_HOURS = 365 * 24;
const QUOTA = 3;
const SET = 'the clock was set: the new time counts after an hour';
const BELIEVED = 'the new time counts from now on; reservations were moved';

class Scene implements AsyncDisposable {
  readonly clock = new WallClock();
  readonly workspace = new Workspace();
  server!: Server;

  configure(): void {
    this.workspace.configure([{ ...EASY_POOL, target: 300 }]);
  }

  /** `token`: of those who may look, if they need one. */
  async serve(token?: string): Promise<void> {
    this.configure();
    this.workspace.environment = this.clock.environment;
    this.server = await this.workspace.serve();
    const look = () => this.server.ask('GET', '/v1/pools/pet', { token });
    while (((await look()).body.stock ?? 0) < 50) await sleep(50);
  }

  /** Waits until the server has found that it was set, or said so of a step. */
  async found(msg: string, count = 1): Promise<void> {
    while (this.server.log.filter((entry) => entry.msg === msg).length < count) await sleep(50);
  }

  async ask(path: string, body?: object, key?: string) {
    const { status, body: said } = await this.server.ask('POST', path, { body, key });
    return { status, ...said };
  }

  reserve(ttlSeconds: number) {
    return this.ask('/v1/pools/pet/reservations', { ttlSeconds });
  }

  async stateOf({ id }: { id: string }): Promise<string> {
    return (await this.server.ask('GET', `/v1/reservations/${id}`)).body.state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.kill('SIGTERM');
    checkStore(this.workspace.data);
    await this.workspace[Symbol.asyncDispose]();
    this.clock[Symbol.dispose]();
  }
}

test(
  'what is set ahead and back again ends nothing: no hold, no key, no secret',
  LIMIT,
  async () => {
    await using scene = new Scene();
    await scene.serve();
    const { clock, server } = scene;
    const held = await scene.reserve(600);
    const first = await scene.ask('/v1/pools/pet/dispense', {}, 'order');
    clock.jump(30);
    await scene.found(SET);
    const late = await scene.ask('/v1/pools/pet/dispense');
    // The store looks for what has ended each second.
    await sleep(3000);
    assert.equal(await scene.stateOf(held), 'reserved');
    assert.deepEqual(await scene.ask('/v1/pools/pet/dispense', {}, 'order'), first);
    clock.jump(-30);
    await scene.found('the clock is right again');
    assert.match((await server.ask('GET', '/metrics')).text, /^vanitypool_clock_steps_total 1$/m);
    await server.kill('SIGTERM');
    const times = withDatabase(scene.workspace.data, (db) =>
      db.prepare('SELECT at FROM hand_outs').all(),
    );
    assert.ok(late.status === 200 && times.length >= 3);
    for (const { at } of times) assert.ok(Math.abs(Number(at) - clock.now) < 3_600_000);
    const destroyed = withDatabase(scene.workspace.data, (db) =>
      db.prepare('SELECT 1 FROM segments WHERE is_destroyed = 1').all(),
    );
    assert.deepEqual(destroyed, []);
    await scene.serve();
    assert.equal(await scene.stateOf(held), 'reserved');
    assert.equal((await scene.ask(`/v1/reservations/${held.id}/dispense`)).status, 200);
  },
);

test('what was made while it was years ahead ends in its own time', LIMIT, async () => {
  await using scene = new Scene();
  scene.clock.jump(YEAR_HOURS);
  await scene.serve();
  const [short, long] = [await scene.reserve(1), await scene.reserve(600)];
  await scene.server.kill('SIGKILL');
  scene.clock.jump(-YEAR_HOURS);
  await scene.serve();
  await scene.found('the clock is in doubt: for an hour nothing expires for good');
  while ((await scene.stateOf(short)) !== 'expired') await sleep(100);
  assert.equal(await scene.stateOf(long), 'reserved');
  const { expiresAt } = (await scene.server.ask('GET', `/v1/reservations/${long.id}`)).body;
  assert.ok(Date.parse(expiresAt) <= scene.clock.now + 600_000);
  // In doubt the next step is taken at once, and what is held goes along.
  scene.clock.jump(5 * YEAR_HOURS);
  await scene.found(BELIEVED);
  assert.equal(await scene.stateOf(long), 'reserved');
});

test('a quota is that of the day, whatever the clock said in between', LIMIT, async () => {
  await using scene = new Scene();
  await scene.serve();
  const args = [
    'token',
    'create',
    '--name',
    'capped',
    '--scope',
    'dispense',
    '--scope',
    'read',
    '--quota',
  ];
  const env = { ...scene.clock.environment, VANITYPOOL_HTTP__PORT: new URL(scene.server.url).port };
  const made = await vanitypool([...args, `${QUOTA}/day`], { cwd: scene.workspace.path, env });
  const token = made.lines[0]!;
  const take = async (): Promise<number> => {
    const { status } = await scene.server.ask('POST', '/v1/pools/pet/dispense', { token });
    return status;
  };
  const takeAll = async () => {
    for (let count = 0; count < QUOTA; count++) assert.equal(await take(), 200);
    assert.equal(await take(), 429);
  };
  scene.clock.jump(10 * YEAR_HOURS);
  await scene.found(SET);
  await takeAll();
  scene.clock.jump(-10 * YEAR_HOURS);
  await scene.found('the clock is right again');
  assert.equal(await take(), 429, 'it was today');
  await scene.server.kill('SIGTERM');
  // A start that believes it: that is another day, and so is the one after.
  scene.clock.jump(10 * YEAR_HOURS);
  await scene.serve(token);
  await takeAll();
  await scene.server.kill('SIGTERM');
  scene.clock.jump(-10 * YEAR_HOURS + 24);
  await scene.serve(token);
  await takeAll();
});

test(
  'a restore by a clock that is behind is refused, and goes on if that is said',
  LIMIT,
  async () => {
    await using scene = new Scene();
    const { clock, workspace } = scene;
    const { path, data } = workspace;
    scene.configure();
    const store = await openStoreIn(data);
    await store.definePool({ ...poolNamed(EASY_POOL.name), suffix: EASY_POOL.suffix });
    await store.insert(hitsFor(EASY_POOL.name, 50));
    await store.close();
    const run = (...args: string[]) => vanitypool(args, { cwd: path, env: clock.environment });
    assert.equal((await run('backup', 'backup')).code, 0);
    const highest: number[] = [];
    for (const place of ['one', 'two']) {
      renameSync(data, join(path, place));
      mkdirSync(data, { mode: 0o700 });
      cpSync(join(path, 'one', 'sealing.key'), join(data, 'sealing.key'));
      const shiftHours = -56 * YEAR_HOURS;
      clock.jump(shiftHours);
      const refused = await run('restore', 'backup');
      assert.equal(refused.code, 1);
      assert.match(
        refused.stderr,
        /^vanitypool: the clock says 19\d\d-.*--ignore-clock \(CLOCK_BEHIND\)$/m,
      );
      const restored = await run('restore', 'backup', '--ignore-clock');
      assert.equal(restored.code, 0, restored.stderr);
      clock.jump(-shiftHours);
      highest.push(
        withDatabase(data, (db) => Number(db.prepare('SELECT next_id FROM meta').get()!.next_id)),
      );
    }
    assert.notEqual(highest[0], highest[1], 'no two stores go on with the same ids');
    await scene.serve();
  },
);
