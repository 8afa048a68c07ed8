import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf, proveKeypair } from '../../src/keypair/keypair.ts';
import { dispenseOffline, poolsOffline } from '../../src/offline.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

async function storeOf(count: number) {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const config = loadConfig({ cwd: base });
  const { directory, sealingKey } = config.store;
  {
    await using store = await openSqliteStore({ directory, sealingKey });
    await store.definePool({
      name: 'pet',
      prefix: '',
      suffix: '[a-z]Pet',
      ignoreCase: false,
      keys: 'seed',
    });
    const hits = Array.from({ length: count }, () => ({
      pool: 'pet',
      keypair: keypairOf(randomBytes(32)),
    }));
    await store.insert(hits);
  }
  return { config, base, [Symbol.dispose]: () => rmSync(base, { recursive: true }) };
}

test('addresses come out of a store that no server holds, each once, all or none', async () => {
  using made = await storeOf(5);
  const first = await dispenseOffline(made.config, 'pet', 3);
  for (const { secret } of first) assert.ok(proveKeypair(decodeBase58(secret)));
  await assert.rejects(dispenseOffline(made.config, 'pet', 3), {
    code: 'POOL_EMPTY',
    message: 'pool pet: 3 asked for, 2 left',
  });
  const rest = await dispenseOffline(made.config, 'pet', 2);
  assert.equal(new Set([...first, ...rest].map(({ id }) => id)).size, 5);
  const [pool] = poolsOffline(made.config);
  assert.equal(pool!.counts.dispensed, 5);
  assert.equal(pool!.counts.burned, 0);
});

test('a store in use is looked at and not dispensed from', async () => {
  using made = await storeOf(2);
  const { directory, sealingKey } = made.config.store;
  await using _ = await openSqliteStore({ directory, sealingKey });
  assert.equal(poolsOffline(made.config)[0]!.counts.available, 2);
  await assert.rejects(dispenseOffline(made.config, 'pet', 1), { code: 'DATA_IN_USE' });
});

test('nothing is made where there is no store', async () => {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const config = loadConfig({ cwd: base });
  assert.throws(() => poolsOffline(config), { code: 'STORE_NOT_FOUND' });
  await assert.rejects(dispenseOffline(config, 'pet', 1), { code: 'STORE_NOT_FOUND' });
  assert.deepEqual(readdirSync(base), []);
  rmSync(base, { recursive: true });
});
