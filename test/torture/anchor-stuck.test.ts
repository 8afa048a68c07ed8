/**
 * The anchor of a running store cannot be renamed for a while: its directory, or the anchor itself, is
 * made immutable (`chattr +i`; a file system that has it, and root). What is ready is handed out and
 * recorded, nothing newly leased is, and what needs the store is refused; then all goes on by
 * itself. A stop or a kill meanwhile costs no address.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { anchorsIn, copyOf } from '../support/copies.ts';
import type { Handed, Server } from '../support/server.ts';
import { SMALL_POOL, Tampering } from '../support/tampering.ts';

const POLL_MS = 50;
/** Refusals one after the other, by which a queue is empty for good. */
const REFUSALS = 20;
const OPTIONS = { timeout: 300_000, skip: whyNot() ?? false };

function whyNot(): string | undefined {
  if (process.platform !== 'linux' || process.getuid!() !== 0) return 'only root may `chattr +i`';
  const place = mkdtempSync(join(tmpdir(), 'vanitypool-chattr-'));
  try {
    if (spawnSync('chattr', ['+i', place], { stdio: 'ignore' }).status === 0) return undefined;
    return `${tmpdir()}: the file system has no \`chattr +i\``;
  } finally {
    spawnSync('chattr', ['-i', place], { stdio: 'ignore' });
    rmSync(place, { recursive: true });
  }
}

type What = 'the directory' | 'the anchor';

/** Until it is let go. */
function hold({ data }: Tampering, what: What): { letGo: () => void } {
  for (;;) {
    const [anchor] = anchorsIn(copyOf(data).keys());
    assert.ok(anchor !== undefined || what === 'the directory', 'a store has an anchor');
    const path = what === 'the anchor' ? join(data, anchor!) : data;
    const { status } = spawnSync('chattr', ['+i', path], { stdio: 'ignore' });
    if (status === 0) return { letGo: () => execFileSync('chattr', ['-i', path]) };
    assert.ok(!existsSync(path), 'it got another name meanwhile, or it is held');
  }
}

/** One by one, until nothing comes any more. */
async function drain(tampering: Tampering, server: Server): Promise<number> {
  const before = tampering.handed.length;
  for (let refusals = 0; refusals < REFUSALS; ) {
    const code = await tampering.take(server, 1).then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (code === undefined) refusals = 0;
    else {
      assert.match(code, /^(POOL_EMPTY|STORE_UNAVAILABLE)$/);
      refusals++;
      await sleep(POLL_MS);
    }
    if (tampering.handed.length - before > 2 * SMALL_POOL.ready_max) break;
  }
  return tampering.handed.length - before;
}

function recordedIn({ data }: Tampering): number {
  using db = new DatabaseSync(join(data, 'store.db'), { readOnly: true, timeout: 10_000 });
  return Number(db.prepare('SELECT dispensed FROM pools').get()!.dispensed);
}

async function untilRecorded(tampering: Tampering): Promise<void> {
  while (recordedIn(tampering) < tampering.handed.length) await sleep(POLL_MS);
}

for (const what of ['the directory', 'the anchor'] as const) {
  suite(`${what} cannot be changed`, () => {
    test('what is ready is served and recorded, and it recovers', OPTIONS, async (t) => {
      await using tampering = new Tampering();
      const server = await tampering.full();
      const reply = await tampering.ask(server, 'a key', 2);
      const held = await server.ask('POST', '/v1/pools/pet/reservations', {
        body: { ttlSeconds: 3600 },
      });
      assert.equal(held.status, 201);
      await tampering.quiet(server);
      const { letGo } = hold(tampering, what);
      // What took effect just before may become ready now.
      await tampering.quiet(server);
      const { ready } = await server.pool();
      const out = await drain(tampering, server);
      assert.ok(out <= ready, `${ready} were ready, ${out} came out`);
      assert.ok(out > 0, 'what is ready is served');
      await untilRecorded(tampering);
      const path = `/v1/reservations/${held.body.id}/dispense`;
      assert.equal((await server.ask('POST', path)).status, 503);
      assert.equal((await server.ask('GET', '/healthz')).status, 200);

      letGo();
      await untilServed(tampering, server);
      const late = await askUntilDone(server, path);
      tampering.handed.push(...late);
      await tampering.takeEach(server, 10);
      tampering.assertOnce();

      await t.test('a SIGTERM meanwhile: the next start burns nothing', () =>
        endsMeanwhile(tampering, server, what, 'SIGTERM', reply),
      );
    });

    test('a SIGKILL meanwhile: the next start burns nothing', OPTIONS, async () => {
      await using tampering = new Tampering();
      const server = await tampering.full();
      const reply = await tampering.ask(server, 'a key', 2);
      await endsMeanwhile(tampering, server, what, 'SIGKILL', reply);
    });
  });
}

/** `reply`: to what was asked by a key. */
async function endsMeanwhile(
  tampering: Tampering,
  server: Server,
  what: What,
  signal: 'SIGTERM' | 'SIGKILL',
  reply: string,
): Promise<void> {
  await tampering.quiet(server);
  const { letGo } = hold(tampering, what);
  await tampering.quiet(server);
  const { ready } = await server.pool();
  const out = await drain(tampering, server);
  assert.ok(out <= ready, `${ready} were ready, ${out} came out`);
  await server.kill(signal);
  letGo();
  await tampering.askAgainAtRest(reply, 'a key');
  await tampering.exhaustAtRest();
}

async function untilServed(tampering: Tampering, server: Server): Promise<void> {
  for (const before = tampering.handed.length; tampering.handed.length === before; ) {
    await tampering.take(server, 1).catch(() => sleep(POLL_MS));
  }
}

async function askUntilDone(server: Server, path: string): Promise<Handed[]> {
  for (;;) {
    const { status, body } = await server.ask('POST', path);
    if (status === 200) return body.addresses ?? [body];
    assert.equal(status, 503);
    await sleep(POLL_MS);
  }
}
