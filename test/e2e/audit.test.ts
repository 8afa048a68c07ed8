/**
 * A server hands out, is killed, and starts again: what its clients got and what was taken from its
 * ready queue is in the audit, with the key and the token of its request, and nothing that may still
 * leave is. The list of a store that is lost then keeps the rest of its backup.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, type Handed, type Server, Workspace } from '../support/server.ts';
import { checkStore, openStoreIn, withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

interface Line {
  readonly id: number;
  readonly address: string;
  readonly state: string;
  readonly at: string;
  readonly token: string | null;
  readonly idempotencyKeyHash: string | null;
  readonly cause: string | null;
}

interface Summary {
  readonly storeId: string;
  readonly epoch: number;
  readonly addresses: number;
  readonly tokens: number;
  readonly isComplete: boolean;
}

function listIn({ code, stderr, lines }: Outcome): { lines: Line[]; summary: Summary } {
  assert.equal(code, 0, stderr);
  const rows = lines.map((line) => JSON.parse(line));
  const summary = rows.pop() as Summary;
  const addresses = rows.filter((row) => !('tokenId' in row));
  assert.equal(summary.addresses, addresses.length);
  assert.equal(summary.tokens, rows.length - addresses.length);
  return { lines: addresses, summary };
}

const NOBODY = 0;

/** A key counts for its token, and within the route and the pool. */
const hashOf = (key: string, token = NOBODY) =>
  createHash('sha256').update(`${token}\0dispense\0pet\0${key}`).digest('hex');

async function dispenseFor(
  server: Server,
  key: string,
  count: number,
  token?: string,
): Promise<Handed[]> {
  const asking = { token, key, body: { count } };
  const { status, body } = await server.ask('POST', '/v1/pools/pet/dispense', asking);
  assert.equal(status, 200);
  return body.addresses;
}

/** Ids by state, of the whole store, as its database has them. */
function idsIn({ data }: Workspace): Record<string, number[]> {
  return withDatabase(data, (db) => {
    const rows = db
      .prepare(`SELECT id, state FROM addresses JOIN segments USING (pool_id)
        WHERE seq BETWEEN first AND last ORDER BY id`)
      .all();
    const groups = Object.groupBy(rows, ({ state }) => String(state));
    return Object.fromEntries(
      Object.entries(groups).map(([state, those]) => [state, those!.map(({ id }) => Number(id))]),
    );
  });
}

const byId = (one: { id: number }, other: { id: number }) => one.id - other.id;

test(
  'killed, listed, restored with the list: the rest comes out, and only that',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    const configure = (target: number) => workspace.configure([{ ...EASY_POOL, target }]);
    configure(400);
    const run = (...args: string[]) => vanitypoolHere(args, {}, workspace.path);
    const server = await workspace.serve();
    await server.until(({ available, leased, ready }) => available + leased >= 400 && ready >= 200);
    const handed = new Map<string | null, Handed[]>([
      [null, await server.dispense(20)],
      ['order-1', await dispenseFor(server, 'order-1', 3)],
    ]);
    assert.equal((await run('backup', 'backup')).code, 0);
    handed.get(null)!.push(...(await server.dispense(30)));
    handed.set('order-2', await dispenseFor(server, 'order-2', 4));
    const again = await dispenseFor(server, 'order-1', 3);
    assert.deepEqual(again, handed.get('order-1'), 'a repeated reply is no second hand-out');

    const beside = await run('audit', '--json');
    const { summary: early } = listIn(beside);
    assert.equal(early.isComplete, false);
    assert.match(
      beside.stderr,
      /^the list is not complete: .*: process \d+ holds it; stop that one/,
    );

    // Some of these are taken from the queue, and their replies are never received.
    const unsure: Handed[] = [];
    const draining = server.drainBy(4, 2, unsure);
    while (unsure.length < 40) await new Promise(setImmediate);
    await server.kill('SIGKILL');
    await draining;
    handed.get(null)!.push(...unsure);

    const list = await run('audit', '--json');
    const { lines, summary } = listIn(list);
    assert.deepEqual([list.stderr, summary.isComplete], ['', true]);
    assert.ok(summary.epoch > early.epoch, 'what the crash left was settled');
    checkStore(workspace.data);
    const ids = idsIn(workspace);
    assert.equal(ids.leased, undefined);
    assert.equal(ids.burned, undefined, 'the journals said what had left');
    assert.deepEqual(
      lines.map(({ id }) => id),
      ids.dispensed,
      'all that left, by id',
    );
    const listed = new Map(lines.map((line) => [line.id, line]));
    for (const [key, those] of handed) {
      for (const { id, address } of those) {
        const line = listed.get(id)!;
        assert.equal(line.address, address);
        assert.deepEqual(
          [line.state, line.token, line.idempotencyKeyHash, line.cause],
          ['dispensed', null, key === null ? null : hashOf(key), null],
        );
      }
    }
    const received = [...handed.values()].flat();
    // Of each client at most one reply of two addresses was on its way.
    assert.ok(lines.length - received.length <= 8, `${lines.length - received.length} more`);
    const secrets = received.map(({ secretKey }) => secretKey);
    assert.ok(!secrets.some((secret) => list.stdout.includes(secret)));
    assert.deepEqual(listIn(await run('audit', '--json')), { lines, summary }, 'the same again');

    // The retention passes: what was sealed is destroyed, and the list stays what it is.
    {
      await using store = await openStoreIn(workspace.data);
      assert.equal(await store.dueSecrets(-3_600_000), lines.length);
      while ((await store.destroySecrets(-3_600_000)) > 0);
    }
    const last = await run('audit', '--json');
    const after = listIn(last);
    assert.deepEqual(after.lines, lines);
    assert.equal(after.summary.isComplete, true);
    writeFileSync(join(workspace.path, 'left'), last.stdout);

    const old = join(workspace.path, 'old');
    renameSync(workspace.data, old);
    mkdirSync(workspace.data, { mode: 0o700 });
    cpSync(join(old, 'sealing.key'), join(workspace.data, 'sealing.key'));
    const restored = await run('restore', 'backup', '--dispensed', 'left');
    assert.equal(restored.code, 0, restored.stderr);
    checkStore(workspace.data);
    const kept = idsIn(workspace);
    const everything = [...kept.available!, ...kept.dispensed!].sort((one, other) => one - other);
    const known = new Set(everything);
    assert.deepEqual(kept.burned, undefined);
    assert.deepEqual(
      kept.dispensed,
      lines.map(({ id }) => id).filter((id) => known.has(id)),
    );

    configure(1);
    const next = await workspace.serve();
    const rest: Handed[] = [];
    await next.until(({ ready }) => ready > 0);
    while (rest.length < kept.available!.length) {
      rest.push(...(await next.dispense(Math.min(kept.available!.length - rest.length, 50))));
    }
    assert.deepEqual(
      rest.sort(byId).map(({ id }) => id),
      kept.available,
    );
    assert.ok(!rest.some(({ address }) => lines.some((line) => line.address === address)));
  },
);

test('what left with a token is reported with its name', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const run = (...args: string[]) =>
    vanitypoolHere(args, { VANITYPOOL_HTTP__PORT: '9' }, workspace.path);
  const first = await workspace.serve();
  await first.until(({ ready }) => ready >= 50);
  const [anonymous] = await first.dispense(1);
  assert.equal(await first.kill('SIGTERM'), 0);
  const made = await run('token', 'create', '--name', 'shop', '--scope', 'dispense');
  assert.equal(made.code, 0, made.stderr);
  const second = await workspace.serve();
  const [sold] = await dispenseFor(second, 'order-1', 1, made.stdout.trim());
  assert.equal(await second.kill('SIGTERM'), 0);
  const { lines } = listIn(await run('audit', '--json'));
  const told = lines.map(({ id, address, token, idempotencyKeyHash }) => [
    id,
    address,
    token,
    idempotencyKeyHash,
  ]);
  assert.deepEqual(told, [
    [anonymous!.id, anonymous!.address, null, null],
    [sold!.id, sold!.address, 'shop', hashOf('order-1', 1)],
  ]);
});
