/**
 * The death of an HTTP thread, under load, in a server that runs in this process: so its threads
 * can be seen and ended from outside, at whatever instruction they are. Each request has a
 * connection of its own, as the system gives new connections to the threads that listen.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { loadConfig } from '../../src/config/config.ts';
import { LastWarnings } from '../../src/last-warnings.ts';
import { Service } from '../../src/service/service.ts';
import { keptLog } from '../support/grinding.ts';
import { assertIdentity, type Handed, type PoolFigures, Workspace } from '../support/server.ts';
import { withDatabase } from '../support/sqlite-stores.ts';

/** One that dies younger ends the server: it would be replaced for ever. */
const HTTP_LIFE_MIN_MS = 1000;
const CLIENTS = 8;

/** Rejects when the connection does, as it does when the thread behind it dies. */
function ask<T>(url: string, method: 'GET' | 'POST'): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, agent: false }, (reply) => {
      let body = '';
      reply.on('data', (chunk) => {
        body += chunk;
      });
      reply.on('error', reject);
      reply.on('end', () => {
        if (reply.statusCode === 200) resolve(JSON.parse(body));
        else reject(new Error(`${reply.statusCode}: ${body}`));
      });
    });
    call.on('error', reject).end();
  });
}

/** Asks until an answer comes; a connection that a dead thread had taken is given up. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    const outcome = await call().catch((error: NodeJS.ErrnoException) => error);
    if (!(outcome instanceof Error)) return outcome;
    assert.match(String(outcome.code), /^(ECONNRESET|ECONNREFUSED|EPIPE)$/, outcome.message);
    await sleep(5);
  }
}

test('a dead HTTP thread is replaced while another serves, and nothing comes twice', {
  timeout: 300_000,
}, async () => {
  await using workspace = new Workspace();
  const file = workspace.configure([{ name: 'pet', suffix: 't', target: 3000, ready_max: 1000 }]);
  const { log, lines } = keptLog();
  const threads: Worker[] = [];
  let isLoaded = true;
  const watch = (worker: Worker) => {
    if (worker.threadName === 'http') threads.push(worker);
  };
  process.on('worker', watch);
  process.env.XDG_STATE_HOME = workspace.state;
  // Another takes a second for its table.
  process.env.VANITYPOOL_ISA = 'portable';
  const flags = { 'http.port': 0, 'http.threads': 2, 'grinder.threads': 1 };
  const config = loadConfig({ file, flags, cwd: workspace.path });
  const lastWarnings = new LastWarnings();
  await using service = await Service.start(config, {
    log,
    lastWarnings,
    isPretty: false,
    version: 'test',
  });
  try {
    const url = `${service.url}/v1/pools/pet`;
    const look = () => again(() => ask<PoolFigures>(url, 'GET'));
    while ((await look()).ready < 256) await sleep(20);
    await sleep(HTTP_LIFE_MIN_MS);

    const handed: Handed[] = [];
    let lost = 0;
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (isLoaded) {
        const outcome = await ask<{ addresses: Handed[] }>(`${url}/dispense`, 'POST').catch(
          (error: Error) => error,
        );
        if (!(outcome instanceof Error)) handed.push(...outcome.addresses);
        else if (!outcome.message.includes('POOL_EMPTY')) lost++;
        await sleep(2);
      }
    });
    const [first, second] = threads as [Worker, Worker];
    await first.terminate();
    assert.equal(threads.length, 3, 'the next one starts');
    // Until it is loaded nobody listens but the second, and no connection is refused.
    assertIdentity(await ask<PoolFigures>(url, 'GET'));
    await sleep(HTTP_LIFE_MIN_MS);
    await second.terminate();
    // The thread that answers now replaced another.
    assertIdentity(await look());
    isLoaded = false;
    await Promise.all(clients);

    assert.equal(threads.length, 4);
    assert.equal(new Set(handed.map(({ id }) => id)).size, handed.length);
    assert.equal(new Set(handed.map(({ address }) => address)).size, handed.length);
    const { dispensed, burned } = await look();
    const unheard = dispensed - handed.length;
    assert.ok(unheard >= 0 && unheard <= lost, `${unheard} unheard, ${lost} requests lost`);
    assert.equal(burned, 0);
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error').map(({ msg }) => msg),
      Array(2).fill('an HTTP thread ended; it is replaced'),
    );
    // One of each HTTP thread that lives, and that of the store thread: none of them had to grow.
    const { journals } = workspace;
    const parts = () => {
      const names = existsSync(journals) ? readdirSync(journals) : [];
      return names.filter((name) => name.endsWith('.journal'));
    };
    // The last thread may still be loading: its journal comes when it connects. The limit of the test ends this.
    const living = ['1-1.journal', '1-4.journal', '1-5.journal'];
    while (!isDeepStrictEqual(parts().sort(), living)) await sleep(20);
    await service.stop();
    assert.deepEqual(parts(), []);
    const recorded = withDatabase(workspace.data, (db) =>
      Number(db.prepare('SELECT sum(count) AS count FROM hand_outs').get()!.count),
    );
    assert.ok(recorded >= handed.length && recorded <= dispensed, 'what the dead wrote is kept');
  } finally {
    isLoaded = false;
    process.off('worker', watch);
  }
});
