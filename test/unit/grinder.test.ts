import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { proveKey } from '../../src/keypair/expanded.ts';
import { matches } from '../../src/keypair/pattern.ts';
import type { Hit } from '../../src/keypair/signing-key.ts';
import { addressIn, Grinding, job, until } from '../support/grinding.ts';

const LIMIT = { timeout: 300_000 };
const A = job('a', 'a');
const B = job('b', 'b', '[2-9A-H]');

test('hits of several pools prove, match their own pool, and come once', LIMIT, async () => {
  const jobs = [A, B, job('c', '[c-z]')];
  const seen = new Map(jobs.map(({ pool }) => [pool, new Set<string>()]));
  await using grinding = new Grinding({
    onHits: async (hits) => {
      assert.ok(hits.length >= 1 && hits.length <= 16, `${hits.length} hits at once`);
      for (const hit of hits) {
        assert.ok(proveKey(hit));
        const { pattern } = jobs.find(({ pool }) => pool === hit.pool)!;
        assert.ok(matches(pattern, addressIn(hit)), `${hit.pool}: ${addressIn(hit)}`);
        assert.ok(!seen.get(hit.pool)!.has(addressIn(hit)), 'found twice');
        seen.get(hit.pool)!.add(addressIn(hit));
      }
    },
  });
  grinding.grinder.steer(jobs);
  await until(() => [...seen.values()].every(({ size }) => size >= 10));
  await grinding.close();
  assert.deepEqual(grinding.stored.toSorted(), grinding.posted.toSorted());
  assert.deepEqual(grinding.lines, [], 'nothing to complain of');
});

test('the figures are what the threads posted', LIMIT, async () => {
  await using grinding = new Grinding();
  const { grinder } = grinding;
  assert.deepEqual(grinder.stats(), {
    threads: 2,
    active: 0,
    attempts: 0,
    hits: 0,
    attemptsPerSecond: 0,
    attemptsPerSecondOf: { seed: 0, expanded: 0 },
    fullAttemptsPerSecondOf: { seed: undefined, expanded: undefined },
    restarts: 0,
    priorityChanges: 0,
    faults: 0,
    isa: undefined,
    unstored: 0,
    paused: false,
    perThread: Array(2).fill({
      priority: 'normal',
      share: undefined,
      attemptsPerSecond: undefined,
    }),
  });
  grinder.steer([A]);
  await until(() => grinding.stored.length >= 50);
  const { active, attemptsPerSecond, attemptsPerSecondOf, isa, perThread } = grinder.stats();
  assert.ok(perThread.some((thread) => (thread.attemptsPerSecond ?? 0) > 0));
  assert.equal(active, 2);
  assert.ok(attemptsPerSecond > 0);
  assert.deepEqual(attemptsPerSecondOf, { seed: attemptsPerSecond, expanded: 0 });
  assert.equal(typeof isa, 'string');
  await grinding.close();
  const { attempts, hits, unstored, ...after } = grinder.stats();
  assert.equal(attempts, grinding.attemptsPosted);
  assert.equal(hits, grinding.posted.length);
  assert.equal(unstored, 0);
  assert.deepEqual([after.active, after.attemptsPerSecond], [0, 0]);
  assert.ok(after.fullAttemptsPerSecondOf.seed! > 0, 'what it would be is known');
  assert.equal(after.fullAttemptsPerSecondOf.expanded, undefined);
  // A hit takes 58 attempts; one in ten thousand runs of 50 hits needs fewer than 28 or more than 96.
  assert.ok(attempts / hits > 20 && attempts / hits < 130, `${attempts} attempts, ${hits} hits`);
});

test('no thread is started before there is something to grind, nor ever with threads = 0', async () => {
  await using none = new Grinding({ threads: 0 });
  await using idle = new Grinding();
  none.grinder.steer([A]);
  idle.grinder.steer([]);
  await sleep(50);
  assert.deepEqual([none.workers.length, idle.workers.length], [0, 0]);
  const { threads, active, paused } = none.grinder.stats();
  assert.deepEqual([threads, active, paused], [0, 0, false]);
});

test('with no jobs the threads sleep, and wake for new ones', LIMIT, async () => {
  await using grinding = new Grinding();
  const { grinder, workers, stored } = grinding;
  grinder.steer([A]);
  await until(() => stored.length >= 20);
  grinder.steer([]);
  await sleep(200);
  const { attempts } = grinder.stats();
  const before = process.cpuUsage();
  await sleep(500);
  const { user, system } = process.cpuUsage(before);
  // Two threads that grind take up to 1,000 ms of it, threads that poll not much less.
  assert.ok((user + system) / 1000 < 150, `${(user + system) / 1000} ms of CPU in 500 ms`);
  assert.equal(grinder.stats().attempts, attempts);
  assert.deepEqual([grinder.stats().active, grinder.stats().attemptsPerSecond], [0, 0]);

  const count = stored.length;
  grinder.steer([A]);
  await until(() => stored.length >= count + 20);
  assert.equal(workers.length, 2, 'the same threads');
});

test(
  'steering away keeps what was found, and brings only the new pool from then on',
  LIMIT,
  async () => {
    const gate = Promise.withResolvers<void>();
    await using grinding = new Grinding({ maxUnstored: 1e6, onHits: () => gate.promise });
    const { grinder, posted, stored } = grinding;
    grinder.steer([A]);
    await until(() => posted.length > 0);
    grinder.steer([B]);
    await until(() => posted.some((name) => name.startsWith('b')));
    assert.equal(stored.length, 0);
    gate.resolve();
    const isNew = (names: string[]) => names.slice(-50).every((name) => name.startsWith('b'));
    await until(() => stored.length > 50 && isNew(stored));
    await grinding.close();
    assert.deepEqual(stored.toSorted(), posted.toSorted());
    assert.ok(stored.some((name) => name.startsWith('a')));
  },
);

test('close hands over what was found, ends the threads, and steers no more', LIMIT, async () => {
  const grinding = new Grinding({ sliceMs: 50 });
  const { grinder, workers, posted, stored } = grinding;
  grinder.steer([A]);
  await until(() => posted.length > 0);
  await grinding[Symbol.asyncDispose]();
  assert.deepEqual(stored.toSorted(), posted.toSorted());
  assert.ok(workers.every(({ threadId }) => threadId === -1));
  grinder.steer([B]);
  await grinding.close();
  assert.equal(workers.length, 2);
  assert.deepEqual(grinding.lines, []);
});

test('close right after the start', LIMIT, async () => {
  await using grinding = new Grinding();
  grinding.grinder.steer([A]);
  await grinding.close();
  assert.deepEqual(grinding.stored.toSorted(), grinding.posted.toSorted());
});

test('a slow store pauses the threads at the most that may wait', LIMIT, async () => {
  let calls = 0;
  let allowed = 0;
  const onHits = async () => {
    const call = calls++;
    await until(() => call < allowed);
  };
  await using grinding = new Grinding({ batch: 4, maxUnstored: 10, onHits });
  const { grinder, posted, stored } = grinding;
  grinder.steer([A]);
  await until(() => grinder.stats().unstored === 10);
  const { active, paused, attempts } = grinder.stats();
  assert.deepEqual([active, paused], [0, true]);
  await sleep(200);
  assert.equal(posted.length, 10);
  assert.equal(grinder.stats().attempts, attempts, 'no attempt is made');
  for (let round = 0; round < 20; round++) {
    const count = stored.length;
    allowed++;
    await until(() => stored.length > count);
    assert.ok(grinder.stats().unstored <= 10);
  }
  allowed = Number.POSITIVE_INFINITY;
  await until(() => stored.length > 100);
  assert.ok(grinder.stats().active > 0 || grinder.stats().paused);
});

test('a secret is there while it is being stored, and wiped after', LIMIT, async () => {
  const kept: Hit[] = [];
  await using grinding = new Grinding({
    onHits: async (hits) => {
      await sleep(1);
      for (const hit of hits) assert.ok(proveKey(hit));
      kept.push(...hits);
    },
  });
  grinding.grinder.steer([A]);
  await until(() => kept.length > 20);
  await grinding.close();
  assert.ok(kept.every(({ key }) => key.every((byte) => byte === 0)));
});

test(
  'a dead thread is replaced, logged once and counted, and its hits are kept',
  LIMIT,
  async () => {
    await using grinding = new Grinding();
    const { grinder, workers, posted, stored, lines } = grinding;
    grinder.steer([A]);
    await until(() => posted.length > 20);
    await workers[0]!.terminate();
    await until(() => workers.length === 3);
    const count = posted.length;
    await until(() => posted.length > count + 20);
    await grinding.close();
    assert.equal(grinder.stats().restarts, 1);
    assert.deepEqual(
      lines.map(({ level, msg }) => `${level} ${msg}`),
      ['error a grinder thread ended; it is replaced'],
    );
    assert.deepEqual(stored.toSorted(), posted.toSorted());
  },
);

test(
  'a thread that dies asleep is not replaced before there is something to grind',
  LIMIT,
  async () => {
    await using grinding = new Grinding({ threads: 1 });
    const { grinder, workers, posted } = grinding;
    grinder.steer([A]);
    await until(() => posted.length > 0);
    grinder.steer([]);
    await workers[0]!.terminate();
    await sleep(300);
    assert.equal(workers.length, 1);
    const count = posted.length;
    grinder.steer([A]);
    await until(() => posted.length > count);
    assert.equal(workers.length, 2);
  },
);

test('attempts that found nothing are counted when the search ends', LIMIT, async () => {
  await using grinding = new Grinding({ threads: 1, sliceMs: 20 });
  const { grinder } = grinding;
  // Each search is shorter than the time between two reports.
  for (let round = 0; round < 50 && grinder.stats().attempts === 0; round++) {
    grinder.steer([job('rare', 'zzzzzzzzzz')]);
    await sleep(30);
    grinder.steer([]);
    await sleep(30);
  }
  assert.ok(grinder.stats().attempts > 0);
});

test('a thread that replaces another goes on with the account of what waits', LIMIT, async () => {
  let isOpen = false;
  const onHits = () => until(() => isOpen);
  await using grinding = new Grinding({ threads: 1, batch: 4, maxUnstored: 10, onHits });
  const { grinder, workers, posted } = grinding;
  grinder.steer([A]);
  await until(() => posted.length === 10);
  const replaced = once(process, 'worker').then(([worker]) => once(worker, 'message'));
  await workers[0]!.terminate();
  await replaced;
  await sleep(200);
  assert.equal(posted.length, 10);
  isOpen = true;
  await until(() => posted.length > 20);
});

test(
  'pools of both key types are ground at once, each hit proved as what it is',
  LIMIT,
  async () => {
    const jobs = [A, { ...B, keyType: 'expanded' as const }];
    const seen = new Map([
      ['a', 0],
      ['b', 0],
    ]);
    await using grinding = new Grinding({
      onHits: async (hits) => {
        for (const { pool, ...key } of hits) {
          assert.equal(key.keyType, pool === 'a' ? 'seed' : 'expanded');
          assert.ok(proveKey(key));
          seen.set(pool, seen.get(pool)! + 1);
        }
      },
    });
    const { grinder, stored, posted } = grinding;
    grinder.steer(jobs);
    await until(() => [...seen.values()].every((count) => count >= 10));
    const { attemptsPerSecond, attemptsPerSecondOf: rates } = grinder.stats();
    assert.ok(rates.seed > 0 && rates.expanded > 0);
    assert.equal(attemptsPerSecond, rates.seed + rates.expanded);
    await grinding.close();
    assert.deepEqual(stored.toSorted(), posted.toSorted());
    assert.equal(new Set(stored).size, stored.length);
    assert.deepEqual(grinding.lines, []);
  },
);

test(
  'a thread that hangs holds up neither a close nor the end of the process',
  LIMIT,
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const path = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
    const args = ['--import', path('stuck-kernel.ts'), path('stuck-grinder.ts')];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, STUCK_ON: pipe },
      stdio: ['ignore', 'pipe', 'inherit'],
      // Not an end of its own.
      timeout: LIMIT.timeout / 2,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const ended = once(child, 'exit');
    await until(() => said.includes('stuck'));
    // Until it is in the system call, which comes next.
    await sleep(500);
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [7, null]);
    assert.equal(said, 'stuck\nclosed\n');
  },
);
