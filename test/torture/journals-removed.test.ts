/**
 * The dispense journals of a real server are removed while clients take addresses, by a hand that does not
 * know what it removes: the directory, single files, the lock, again and again. Then the server is
 * killed, at any moment. No address leaves twice; and once `/readyz` says that all is well again, a
 * kill burns nothing. TORTURE_SECONDS sets how long it goes on.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { existsSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { noNamespaces, smallMemory } from '../support/namespaces.ts';
import { DILIGENT, type Handed, type Server } from '../support/server.ts';
import { assertNothingBurned, IDLE, settledBy, Tampering } from '../support/tampering.ts';

const SECONDS = Number(process.env.TORTURE_SECONDS ?? 15);
const LIMIT = { timeout: 280_000 + SECONDS * 4000 };
const THREADS = ['[http]', 'threads = 2', ...DILIGENT];
const CLIENTS = 4;
const LOST = /JOURNAL_UNAVAILABLE/;

interface Readiness {
  readonly status: string;
  readonly reasons: readonly string[];
}

async function untilReady(server: Server): Promise<void> {
  while ((await server.get<Readiness>('/readyz')).reasons.some((reason) => LOST.test(reason))) {
    await sleep(20);
  }
}

/** The server has noticed what was removed, or made it anew already. */
async function untilNoticed({ log }: Server, times = 1): Promise<void> {
  while (log.filter(({ msg }) => /^dispense journals were removed/.test(msg)).length < times) {
    await sleep(20);
  }
}

/** One thing or another of what is there. */
function removeSome(directory: string): void {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const what = names.length > 0 && randomInt(3) > 0 ? names[randomInt(names.length)]! : '';
  rmSync(join(directory, what), { recursive: true, force: true });
}

/** Takes addresses until the server is gone. */
function clientsOf(server: Server, handed: Handed[]): Promise<unknown> {
  const ask = async (): Promise<void> => {
    for (;;) {
      try {
        handed.push(...(await server.dispense(1 + randomInt(3))));
      } catch (error) {
        // Nothing else is refused for what is removed.
        if (!/POOL_EMPTY|JOURNAL_UNAVAILABLE/.test((error as Error).message)) throw error;
        await sleep(5);
      }
    }
  };
  return Promise.allSettled(Array.from({ length: CLIENTS }, ask));
}

suite('dispense journals that are removed from a server', () => {
  test('killed right after, with hand-outs between: what was ready is burned', LIMIT, async () => {
    await using tampering = new Tampering(...THREADS);
    const server = await tampering.full();
    await tampering.takeEach(server, 10);
    rmSync(tampering.workspace.journals, { recursive: true });
    await tampering.take(server, 3);
    await server.kill('SIGKILL');
    const again = await tampering.serve(...IDLE);
    const [settled] = settledBy(again) as { burned: number; returned: number }[];
    assert.ok(settled!.burned > 0 && settled!.returned === 0, again.output);
    await tampering.exhaust(again);
  });

  test('said by /readyz and the log, made anew, and a stop is clean', LIMIT, async () => {
    await using tampering = new Tampering(...THREADS);
    let server = await tampering.full();
    assert.equal((await server.get<Readiness>('/readyz')).status, 'ready');
    const { journals } = tampering.workspace;
    rmSync(journals, { recursive: true });
    for (;;) {
      const { status, reasons } = await server.get<Readiness>('/readyz');
      if (reasons.some((reason) => LOST.test(reason))) {
        assert.equal(status, 'degraded');
        break;
      }
      await tampering.takeEach(server, 1);
    }
    await untilReady(server);
    assert.equal(readdirSync(journals).filter((name) => name.endsWith('.journal')).length, 3);
    await tampering.takeEach(server, 5);
    await server.kill('SIGKILL');
    server = await tampering.serve(...IDLE);
    await assertNothingBurned(server);
    // At once: nobody has looked yet.
    rmSync(tampering.workspace.journals, { recursive: true });
    await tampering.take(server, 2);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    assert.equal(existsSync(journals), false);
    server = await tampering.serve(...IDLE);
    await assertNothingBurned(server);
    await tampering.exhaust(server);
  });

  test('at random moments, again and again, with kills: none leaves twice', LIMIT, async () => {
    await using tampering = new Tampering(...THREADS);
    const until = performance.now() + SECONDS * 1000;
    for (let life = 0; life < 3 || performance.now() < until; life++) {
      const server = await tampering.serve();
      const clients = clientsOf(server, tampering.handed);
      const isMended = life % 2 === 1;
      for (let times = 1 + randomInt(4); times > 0; times--) {
        await sleep(randomInt(700));
        removeSome(tampering.workspace.journals);
      }
      if (isMended) {
        // What is removed now is noticed for sure: all of it is gone.
        rmSync(tampering.workspace.journals, { recursive: true, force: true });
        await untilNoticed(server);
        await sleep(1500);
        await untilReady(server);
      }
      const before = (await server.pool()).burned;
      await server.kill('SIGKILL');
      await clients;
      tampering.assertOnce();
      const next = await tampering.serve(...IDLE);
      if (isMended) assert.equal((await next.pool()).burned, before, next.output);
      await next.kill('SIGKILL');
    }
    await tampering.exhaust(await tampering.serve(...IDLE));
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
    rmSync(base, { recursive: true });
    await untilNoticed(server);
    await untilReady(server);
    assert.equal(readdirSync(base).length, 1);
    rmSync(base, { recursive: true });
    symlinkSync('/', base);
    await untilNoticed(server, 2);
    await untilReady(server);
    await tampering.takeEach(server, 5);
    assert.equal(readdirSync(join(tampering.data, 'journal')).length, 4, 'three and a lock');
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    const again = await tampering.serve(...IDLE);
    await assertNothingBurned(again);
    await tampering.exhaust(again);
  });
});
