/** The store of many nodes does what every store does, and a start of it is done or not. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { openStore } from '../../src/store/open-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { handOut, inserted, told, untilDone } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Fate, PostgresProxy } from '../support/postgres-proxy.ts';
import { keySourceIn, PostgresStores, someNode } from '../support/postgres-stores.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';
import { ANY_AGE, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

const stores = new PostgresStores(() => server);
if (skip === false) storeConformance('PostgreSQL 18', stores);

/** One of each so many statements is lost; all of them if it is 1. */
const STEP = 3 * Number(process.env.STATEMENT_STEP ?? 3) - 2;

test('a first start that is cut off is done by the next one', { skip }, async () => {
  await using proxy = await PostgresProxy.before(server.port);
  const begun = async (fate: (number: number, text: string) => Fate): Promise<string[]> => {
    const url = await server.database();
    const directory = temporaryDirectory();
    const place = { url: proxy.through(url), node: someNode(), directory };
    const texts: string[] = [];
    proxy.judge = ({ text }) => {
      texts.push(text);
      return fate(texts.length, text);
    };
    const store = await untilDone(async () => stores.openAt(place));
    proxy.judge = () => 'pass';
    await store.definePool(poolNamed('pet'));
    await inserted(store, 'pet', 1);
    assert.equal((await store.turn({ pool: 'pet', head: 0, wanted: 1 })).leased.length, 1);
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.startsWith('sealing')),
      ['sealing.key'],
    );
    const open = `SELECT FROM vanitypool.epochs WHERE state = 'open'`;
    assert.equal((await server.sql(open, [], new URL(url).pathname.slice(1))).length, 1);
    await stores.destroy(store);
    return texts;
  };
  const statements = await begun(() => 'pass');
  for (const [index, text] of statements.entries()) {
    const fate = text === 'COMMIT' ? 'cut-answer' : 'lose';
    if (fate === 'lose' && index % STEP !== 0) continue;
    await begun((number) => (number === index + 1 ? fate : 'pass'));
  }
});

test('a turn reads what it leases, not what is stored', { skip }, async () => {
  const store = await stores.open();
  const database = new URL(stores.placeOf(store).url).pathname.slice(1);
  await store.definePool(poolNamed('pet'));
  await inserted(store, 'pet', 2000);
  for (const [head, wanted] of [
    [0, 1],
    [1, 20],
  ] as const) {
    assert.equal((await store.turn({ pool: 'pet', head, wanted })).leased.length, wanted);
  }
  // By then its sessions have counted what they did.
  await store.close();
  const read = await server.sql<{ relname: string; seq_tup_read: string }>(
    `SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname IN ('keys', 'secrets')
      ORDER BY relname`,
    [],
    database,
  );
  assert.deepEqual(read, [
    { relname: 'keys', seq_tup_read: '0' },
    { relname: 'secrets', seq_tup_read: '0' },
  ]);
  await stores.destroy(store);
});

test('what left is destroyed by when it left, not by when that was recorded', {
  skip,
}, async () => {
  const store = await stores.open();
  await store.definePool(poolNamed('pet'));
  await inserted(store, 'pet', 3);
  await store.turn({ pool: 'pet', head: 0, wanted: 3 });
  // Ages that a store believes.
  const records = [40_000, 40_000, 0].map((age, position) =>
    handOut(position, { at: Date.now() - age }),
  );
  await store.turn({ pool: 'pet', head: 3, wanted: 0, handOuts: told(...records) });
  assert.equal(await store.dueSecrets(20_000), 2);
  assert.equal(await store.destroySecrets(20_000), 2);
  assert.equal(await store.destroySecrets(20_000), 0);
  assert.equal(await store.destroySecrets(ANY_AGE), 1);
  await stores.destroy(store);
});

test('a directory is that of one run at a time', { skip }, async () => {
  const { url: database, directory: data } = await stores.newPlace();
  const { store: defaults } = loadConfig({ cwd: data, file: '/dev/null' });
  const sealingKey = keySourceIn(data);
  const config = { ...defaults, directory: undefined, database, data, sealingKey };
  const options = { recover: () => undefined };
  {
    await using _ = await openStore(config, options);
    await assert.rejects(async () => openStore(config, options), { code: 'DATA_IN_USE' });
  }
  await (await openStore(config, options)).close();
  removeDirectory(data);
});
