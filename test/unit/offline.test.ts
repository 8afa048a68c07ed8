import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf, proveKeypair, signingKeyOf } from '../../src/keypair/keypair.ts';
import { OfflineAudit } from '../../src/offline/audit.ts';
import { dispenseOffline } from '../../src/offline/dispense.ts';
import { poolsOffline } from '../../src/offline/pools.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { Segments } from '../../src/store/sqlite/segments.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import { withDatabase } from '../support/sqlite-stores.ts';
import { turn } from '../support/turns.ts';

/** Of a store that is no database. */
function fileStore({ store: { directory, sealingKey } }: Config) {
  return { directory: directory!, sealingKey };
}

async function storeOf(count: number) {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const config = loadConfig({ cwd: base });
  const { directory, sealingKey } = fileStore(config);
  {
    await using store = await openSqliteStore({ directory, sealingKey });
    await store.definePool({
      name: 'pet',
      prefix: '',
      suffix: '[a-z]Pet',
      ignoreCase: false,
      keys: 'seed',
      handout: 'secret',
    });
    const hits = Array.from({ length: count }, () => ({
      pool: 'pet',
      ...signingKeyOf(keypairOf(randomBytes(32))),
    }));
    await store.insert(hits);
  }
  process.env.XDG_STATE_HOME = join(base, 'state');
  return { config, base, [Symbol.dispose]: () => rmSync(base, { recursive: true }) };
}

test('addresses come out of a store that no server holds, each once, all or none', async () => {
  using made = await storeOf(5);
  const first = await dispenseOffline(made.config, 'pet', 3);
  for (const { secret } of first) assert.ok(proveKeypair(decodeBase58(secret)));
  await assert.rejects(dispenseOffline(made.config, 'pet', 3), {
    code: 'POOL_EMPTY',
    message: 'pool pet: 3 asked for, 2 left; a server grinds more: vanitypool serve',
  });
  await assert.rejects(dispenseOffline(made.config, 'pump', 1), {
    code: 'POOL_NOT_FOUND',
    message: 'pool pump: no such pool; there are: pet',
  });
  const rest = await dispenseOffline(made.config, 'pet', 2);
  assert.equal(new Set([...first, ...rest].map(({ id }) => id)).size, 5);
  const [pool] = await poolsOffline(made.config);
  assert.equal(pool!.counts.dispensed, 5);
  assert.equal(pool!.counts.burned, 0);
});

test('a key gets the same addresses, for its token, pool and count, within its time', async () => {
  using made = await storeOf(6);
  const { directory, sealingKey } = fileStore(made.config);
  const token = newToken();
  {
    await using store = await openSqliteStore({ directory, sealingKey });
    const fields = { pools: undefined, quota: undefined, expiresAt: undefined };
    const scopes = ['dispense'] as const;
    await store.tokens.create({ name: 'shop', hash: tokenHash(token), scopes, ...fields });
  }
  const ask = (count: number, key: string, of?: string) =>
    dispenseOffline(made.config, 'pet', count, { key, token: of });
  const first = await ask(2, 'k');
  assert.deepEqual(await ask(2, 'k'), first);
  assert.deepEqual(await ask(2, 'k', newToken()), first, 'a token that the store has not is none');
  const ofShop = await ask(2, 'k', token);
  assert.deepEqual(await ask(2, 'k', token), ofShop);
  assert.equal(new Set([...first, ...ofShop].map(({ id }) => id)).size, 4);
  await assert.rejects(ask(1, 'k'), { code: 'IDEMPOTENCY_MISMATCH' });
  // A refusal is not kept: the key begins anew.
  await assert.rejects(ask(3, 'other'), { code: 'POOL_EMPTY' });
  assert.equal((await ask(2, 'other')).length, 2);
  const { retentionHours } = made.config.store;
  withDatabase(directory, (db) =>
    db.exec(`UPDATE hand_outs SET at = at - ${retentionHours * 3_600_000 + 1}`),
  );
  await assert.rejects(ask(2, 'k'), { code: 'IDEMPOTENCY_EXPIRED' });
  assert.equal((await poolsOffline(made.config))[0]!.counts.dispensed, 6);
});

test('a store in use is looked at and not dispensed from', async () => {
  using made = await storeOf(2);
  const { directory, sealingKey } = fileStore(made.config);
  await using _ = await openSqliteStore({ directory, sealingKey });
  assert.equal((await poolsOffline(made.config))[0]!.counts.available, 2);
  await assert.rejects(dispenseOffline(made.config, 'pet', 1), { code: 'DATA_IN_USE' });
});

test('nothing is made where there is no store', async () => {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const config = loadConfig({ cwd: base });
  await assert.rejects(poolsOffline(config), { code: 'STORE_NOT_FOUND' });
  await assert.rejects(dispenseOffline(config, 'pet', 1), { code: 'STORE_NOT_FOUND' });
  assert.deepEqual(readdirSync(base), []);
  rmSync(base, { recursive: true });
});

test('a listing holds the directory, so that nothing leaves meanwhile, until it is done', async () => {
  using made = await storeOf(2);
  const { directory, sealingKey } = fileStore(made.config);
  {
    await using audit = await OfflineAudit.open(made.config);
    assert.equal(audit.gap, undefined);
    await assert.rejects(dispenseOffline(made.config, 'pet', 1), { code: 'DATA_IN_USE' });
  }
  await using _ = await openSqliteStore({ directory, sealingKey });
  await using beside = await OfflineAudit.open(made.config);
  assert.match(beside.gap!, /process \d+ holds it/);
});

test('a listing goes on page by page, and ends when it is stopped', async () => {
  using made = await storeOf(3000);
  await dispenseOffline(made.config, 'pet', 3000);
  await using audit = await OfflineAudit.open(made.config);
  const { signal } = new AbortController();
  const ids: number[] = [];
  for await (const page of audit.pages({}, signal)) ids.push(...page.map(({ id }) => id));
  assert.deepEqual(
    ids,
    Array.from({ length: 3000 }, (_, index) => index + 1),
  );
  const controller = new AbortController();
  // A signal is heard between two pages: it comes in a turn of the event loop.
  setImmediate(() => controller.abort());
  const seen: number[] = [];
  const listing = async () => {
    for await (const page of audit.pages({}, controller.signal)) seen.push(page.length);
  };
  await assert.rejects(listing(), { name: 'AbortError' });
  assert.deepEqual(seen, [2048]);
});

test('a store of another user is listed and not settled: that user has the journals', async (t) => {
  using made = await storeOf(3);
  const { directory, sealingKey } = fileStore(made.config);
  {
    await using store = await openSqliteStore({ directory, sealingKey });
    await turn(store, 'pet', 0, 2);
  }
  const { uid } = statSync(directory);
  t.mock.method(process as { getuid(): number }, 'getuid', () => uid + 1);
  await using audit = await OfflineAudit.open(made.config);
  assert.match(audit.gap!, /the store is that of user \d+; run this as that user/);
  const { leased, burned } = await (await poolsOffline(made.config))[0]!.counts;
  assert.deepEqual([leased, burned], [2, 0]);
});

test('a store that is damaged is listed, and complete if nothing in it can leave', async () => {
  using made = await storeOf(4);
  const { directory, sealingKey } = fileStore(made.config);
  const open = () => openSqliteStore({ directory, sealingKey });
  await dispenseOffline(made.config, 'pet', 1);
  {
    await using store = await open();
    // A clean stop leaves its note of a journal.
    await store.addJournals([{ pool: 'pet', number: 1 }]);
    // Ids would be given twice.
    withDatabase(directory, (db) => db.exec('UPDATE meta SET next_id = 2'));
  }
  await assert.rejects(open(), { code: 'STORE_CORRUPT' });
  const gapOf = async () => {
    await using audit = await OfflineAudit.open(made.config);
    return audit.gap;
  };
  assert.equal(await gapOf(), undefined);
  withDatabase(directory, (db) =>
    new Segments(db).lease(1, [{ first: 2, last: 3 }], 3, Date.now()),
  );
  assert.equal(await gapOf(), `${directory}: 2 leased addresses cannot be settled`);
});
