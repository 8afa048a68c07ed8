/**
 * The dispense journals of a real server are removed while clients take addresses, by a hand that does not
 * know what it removes: the directory, single files, the lock, again and again. Then the server is
 * killed, at any moment. No address leaves twice; and once `/readyz` says that all is well again, a
 * kill burns nothing. `TORTURE_SECONDS` sets how long it goes on, `TORTURE_SEED` draws what is removed.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noNamespaces, smallMemory } from '../support/namespaces.ts';
import { randomOf } from '../support/sequence.ts';
import { DILIGENT, type Handed, type Server } from '../support/server.ts';
import { IDLE, settledBy, Tampering } from '../support/tampering.ts';

const SECONDS = Number(process.env.TORTURE_SECONDS ?? 2);
const SEED = Number(process.env.TORTURE_SEED ?? Date.now() % 2 ** 31);
const LIMIT = { timeout: 300_000 + SECONDS * 4000 };
const THREADS = ['[http]', 'threads = 2', ...DILIGENT];
const CLIENTS = 4;
/** Of the one pool: of each HTTP thread, and of the store's. */
const JOURNALS = 3;
const POLL_MS = 20;
const PAUSE_MAX_MS = 700;
/** It looks once a second. */
const LOOK_MS = 1500;
const random = randomOf(SEED);

/** What `/readyz` says, be it well or not. */
async function readiness(server: Server): Promise<string> {
  return (await server.ask('GET', '/readyz')).text;
}

/**
 * After all was removed: there is a file for each thread again, which is made when all that is missing is
 * known, and no other is counted on.
 */
async function untilMended(server: Server, directory: string): Promise<void> {
  while (journalsIn(directory) < JOURNALS) await sleep(POLL_MS);
  while ((await figure(server, 'lost')) > 0) await sleep(POLL_MS);
}

/** Not by `/readyz`, which has other reasons while the pool is empty. */
async function figure(server: Server, name: 'lost' | 'renewed_total'): Promise<number> {
  const { text } = await server.ask('GET', '/metrics');
  return Number(new RegExp(`^vanitypool_journals_${name} (\\d+)$`, 'm').exec(text)![1]);
}

function journalsIn(directory: string): number {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  return names.filter((name) => name.endsWith('.journal')).length;
}

function remove(path: string): void {
  // The server may make one meanwhile.
  rmSync(path, { recursive: true, force: true, maxRetries: 100, retryDelay: 1 });
}

/** One thing or another of what is there. */
function removeSome(directory: string): void {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const isAll = names.length === 0 || random(0, 2) === 0;
  remove(isAll ? directory : join(directory, names[random(0, names.length - 1)]!));
}

/** Takes addresses until the server is gone; nothing else is refused for what is removed. */
async function clientsOf(server: Server, handed: Handed[]): Promise<void> {
  const ask = async (): Promise<void> => {
    for (;;) {
      try {
        handed.push(...(await server.dispense(random(1, 3))));
      } catch (error) {
        const { message } = error as Error;
        const isAnswer = /^[A-Z_]+$/.test(message);
        if (!isAnswer) return;
        assert.match(message, /^(POOL_EMPTY|JOURNAL_UNAVAILABLE)$/);
        await sleep(POLL_MS);
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, ask));
}

suite('dispense journals that are removed from a server', { concurrency: 2 }, () => {
  test('the end right after, with hand-outs between', LIMIT, async (t) => {
    await using tampering = new Tampering(...THREADS);
    const server = await tampering.full();
    const { journals } = tampering.workspace;
    await tampering.takeEach(server, 10);
    remove(journals);
    await tampering.take(server, 3);
    await server.kill('SIGKILL');
    const again = await tampering.serve(...IDLE);
    const [settled] = settledBy(again) as { burned: number; returned: number }[];
    await t.test('killed: what was ready is burned', () => {
      assert.ok(settled!.burned > 0 && settled!.returned === 0, again.output);
      tampering.assertOnce();
    });

    await t.test('a stop is clean', async () => {
      await again.until(({ ready }) => ready > 2);
      remove(journals);
      await tampering.take(again, 2);
      assert.equal(await again.kill('SIGTERM'), 0, again.output);
      assert.equal(existsSync(journals), false);
      const rest = await tampering.restAtRest();
      assert.ok(typeof rest !== 'string', `it is refused: ${rest}`);
      tampering.handed.push(...rest);
      tampering.assertOnce();
      assert.equal(tampering.burnedAtRest(), settled!.burned, 'no more than before');
    });
  });

  test('reported until they can be recreated, and then a kill burns nothing', LIMIT, async () => {
    await using tampering = new Tampering('[store]', 'journal = "data"', ...THREADS);
    const server = await tampering.full();
    assert.match(await readiness(server), /"status":"ready"/);
    const { journals } = tampering.workspace;
    remove(journals);
    writeFileSync(journals, 'in the way');
    while (!/"degraded".*cannot be recreated/.test(await readiness(server))) await sleep(POLL_MS);
    const metrics = async () => (await server.ask('GET', '/metrics')).text;
    assert.match(await metrics(), /^vanitypool_journals_lost 3$/m);
    await tampering.takeEach(server, 20);
    remove(journals);
    await untilMended(server, journals);
    assert.match(await metrics(), /^vanitypool_journals_lost 0$/m);
    assert.match(await metrics(), /^vanitypool_journals_renewed_total 3$/m);
    const told = () => server.log.filter(({ msg }) => msg.startsWith('dispense journals'));
    while (told().length < 3) await sleep(POLL_MS);
    const levels = told().map(({ level }) => level);
    assert.deepEqual(levels, ['warn', 'error', 'info'], server.output);
    await tampering.takeEach(server, 5);
    await server.kill('SIGKILL');
    await tampering.exhaustAtRest();
  });

  test('at random moments, again and again, with kills: none leaves twice', LIMIT, async (t) => {
    t.diagnostic(`TORTURE_SEED=${SEED}`);
    await using tampering = new Tampering(...THREADS);
    const until = performance.now() + SECONDS * 1000;
    for (let life = 0; life < 2 || performance.now() < until; life++) {
      const server = await tampering.serve();
      const directory = tampering.workspace.journals;
      const clients = clientsOf(server, tampering.handed);
      for (let times = random(1, 4); times > 0; times--) {
        await sleep(random(0, PAUSE_MAX_MS));
        removeSome(directory);
      }
      const isMended = life % 2 === 1;
      if (isMended) {
        // What was removed before is noticed first, or files of before and after would be counted together.
        await sleep(LOOK_MS);
        await untilMended(server, directory);
        const before = await figure(server, 'renewed_total');
        remove(directory);
        while ((await figure(server, 'renewed_total')) < before + JOURNALS) await sleep(POLL_MS);
        await untilMended(server, directory);
      }
      const { burned } = await server.pool();
      await server.kill('SIGKILL');
      await clients;
      tampering.assertOnce();
      // It settles what was leased, as a start does.
      await tampering.done('audit', '--json');
      if (isMended) assert.equal(tampering.burnedAtRest(), burned, server.output);
    }
    const rest = await tampering.restAtRest();
    assert.ok(typeof rest !== 'string', `it is refused: ${rest}`);
    tampering.handed.push(...rest);
    tampering.assertOnce();
  });

  test('with the directory of all stores, and a link in its place', {
    ...LIMIT,
    skip: noNamespaces() ?? false,
  }, async () => {
    await using tampering = new Tampering(...THREADS);
    tampering.workspace.launcher = smallMemory('64m');
    const server = await tampering.full();
    const shm = `/proc/${server.process.pid}/root/dev/shm`;
    const base = join(shm, `vanitypool-${process.getuid!()}`);
    const [own] = readdirSync(base);
    remove(base);
    await untilMended(server, join(base, own!));
    remove(base);
    symlinkSync('/', base);
    await untilMended(server, join(tampering.data, 'journal'));
    await tampering.takeEach(server, 5);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    await tampering.exhaustAtRest();
  });
});
