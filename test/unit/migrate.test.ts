/** A SQLite store that has been through everything moves to a real PostgreSQL, and goes on there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Migrated, type MigrateStep, migrateOffline } from '../../src/offline/migrate.ts';
import { NewIds } from '../../src/offline/new-ids.ts';
import type { StoreReader } from '../../src/store/audit-store.ts';
import { Connection } from '../../src/store/postgres/connection.ts';
import { LANE_IDS } from '../../src/store/postgres/ids.ts';
import { nodeIn } from '../../src/store/postgres/node-file.ts';
import { retireNode } from '../../src/store/postgres/nodes.ts';
import { openPostgresStore } from '../../src/store/postgres/open.ts';
import { PostgresReader } from '../../src/store/postgres/reader.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { holdOwnDirectory } from '../../src/store/sqlite/data-directory.ts';
import { readPools } from '../../src/store/sqlite/look.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import type { Store } from '../../src/store/store.ts';
import { stateHome } from '../support/cli.ts';
import { LostStore } from '../support/lost-store.ts';
import { configOf, MovingScene, saidBy, waitingIn } from '../support/moving-store.ts';
import { PgBouncer } from '../support/pgbouncer.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPgBouncer, withoutPostgres } from '../support/postgres-program.ts';
import { PostgresProxy, type Seen } from '../support/postgres-proxy.ts';
import { PostgresStores, someNode } from '../support/postgres-stores.ts';
import {
  adoptIn,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { ANY_AGE, hexOf, hitsFor } from '../support/store-subject.ts';
import { headOf, turn } from '../support/turns.ts';

const PROCESS = fileURLToPath(new URL('../support/moving-process.ts', import.meta.url));
const MOVED = { code: 'DATA_MOVED' };
const POOLS = ['pet', 'pump', 'vault'];

const gone = (name: string) => ({
  code: 'DATA_MOVED',
  message: new RegExp(`moved to ${name.replaceAll('.', '\\.')}`),
});

/** Where witnesses are, of processes too. */
process.env.XDG_STATE_HOME = stateHome();

const skip = await withoutPostgres(18);

suite('a store moves to PostgreSQL', { skip }, () => {
  let server: PostgresServer;
  const stores = new PostgresStores(() => server);
  before(async () => {
    server = await PostgresServer.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  const move = ({ config }: MovingScene, to: string): Promise<Migrated> =>
    migrateOffline(config, { to });
  /** As the server of that directory opens it. */
  const openMoved = (
    { directory, sealingKey }: Pick<MovingScene, 'directory' | 'sealingKey'>,
    url: string,
  ): Promise<Store> => {
    const settings = connectionSettings(url, {});
    const node = nodeIn(directory);
    return openPostgresStore({ settings, node, sealingKey, data: directory });
  };
  const sql = (url: string, text: string, ...values: unknown[]) =>
    server.sql<Record<string, unknown>>(text, values, new URL(url).pathname.slice(1));
  const nameOf = (url: string) => connectionSettings(url, {}).name;

  test('and is the same store there, in all that it says and hands out', async () => {
    using scene = await MovingScene.make();
    const old = await scene.open();
    const said = await saidBy(old, scene);
    const waiting = [];
    for (const pool of POOLS) waiting.push(await waitingIn(old, pool));
    await old.close();
    const { epoch, ...audit } = await auditedIn(
      await AuditReader.open(scene.directory, scene.sealingKey),
      scene,
    );
    const to = await server.database();
    const moved = await move(scene, to);
    assert.deepEqual(moved, {
      url: to,
      name: nameOf(to),
      addresses: { pet: 24, pump: 24, vault: 21, gone: 13 },
    });
    await using store = await openMoved(scene, to);
    assert.ok(store.epoch > epoch);
    assert.deepEqual(await saidBy(store, scene), said);
    for (const [index, pool] of POOLS.entries()) {
      assert.deepEqual(await waitingIn(store, pool), waiting[index]);
    }
    const { sealingKey } = scene;
    const settings = connectionSettings(to, {});
    const moving = await auditedIn(await PostgresReader.open({ settings, sealingKey }), scene);
    assert.deepEqual(moving, { ...audit, epoch: store.epoch });
    const highest = Math.max(...audit.rows.map(({ id }) => Number(id)));
    assert.ok((await lowestAvailable(to)) > highest);
    await stores.check(to);
  });

  test('and what was held is dispensed, released or expired there', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    await move(scene, to);
    await using store = await openMoved(scene, to);
    const { reservations } = store;
    const open = [];
    for (const one of scene.reservations) {
      const found = await reservations.get(one.id, one.token);
      if (found.state === 'reserved') open.push({ ...one, ...found });
    }
    assert.deepEqual(
      open.map(({ pool }) => pool),
      ['pet', 'pump'],
    );
    const [pet, pump] = open;
    const dispensed = await reservations.dispense(pet!.id, pet!.token, 'pet');
    assert.equal(hexOf(dispensed), hexOf(hitOf(scene, dispensed.publicKey)));
    await sql(to, 'UPDATE vanitypool.reservations SET expires_at = 0 WHERE id = $1', pump!.id);
    assert.deepEqual([...(await reservations.expire(() => true))], [['pump', 1]]);
    assert.equal((await reservations.get(pump!.id, pump!.token)).state, 'expired');
    // Under the id that it had.
    const id = (await turn(store, 'pump', 0, 1)).leased[0]!.id;
    assert.ok(id < (await lowestAvailable(to)));
    await stores.check(to);
  });

  test('and signatures are counted on, those of a lost store too', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    await move(scene, to);
    await using store = await openMoved(scene, to);
    const { signatures } = store;
    const [next] = scene.next;
    const signature = await signatures.sign(next!);
    assert.deepEqual(await signatures.sign(next!), Buffer.from(signature));
    const more = { ...next!, messageHash: randomBytes(32) };
    await assert.rejects(signatures.sign(more), {
      code: 'SIGN_LIMIT_REACHED',
      message: /2 signed/,
    });
    await assert.rejects(signatures.sign(scene.exhausted[0]!), {
      code: 'SIGN_LIMIT_REACHED',
      message: /signs no more/,
    });
    await sql(to, 'UPDATE vanitypool.lost_signatures SET count = 2');
    await assert.rejects(signatures.sign(scene.exhausted[0]!), /2 signed, 2 allowed/);
    await stores.check(to);
  });

  test('and what is due is destroyed there, and no key comes in again', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    await move(scene, to);
    await using store = await openMoved(scene, to);
    const known = scene.hits.filter(({ pool }) => pool !== 'gone');
    assert.deepEqual(await store.insert(known), { inserted: 0, duplicates: known.length });
    assert.ok((await store.dueSecrets(ANY_AGE)) > 0);
    while ((await store.destroySecrets(ANY_AGE)) > 0);
    assert.equal(await store.dueSecrets(ANY_AGE), 0);
    const secrets = await sql(
      to,
      `SELECT DISTINCT state FROM vanitypool.secrets
      JOIN vanitypool.address_states USING (id) ORDER BY state`,
    );
    assert.deepEqual(
      secrets.map(({ state }) => state),
      ['available', 'reserved'],
    );
    for (const { key, pool } of scene.keys) {
      assert.equal((await store.handOut(key, pool))!.addresses, undefined);
    }
    await store.insert(hitsFor('pet', 2));
    await store.tokens.create({
      ...{ name: 'more', hash: randomBytes(32), scopes: ['read'] },
      ...{ pools: undefined, quota: undefined, expiresAt: undefined },
    });
    await store.definePool({ ...(await store.pools())[0]!, name: 'more' });
    await stores.check(to);
  });

  test('of which only an empty database is the place', async () => {
    using scene = await MovingScene.make();
    const { url } = stores.placeOf(await stores.open());
    await assert.rejects(move(scene, url), { ...MOVED, message: /has a store already/ });
    const to = await server.database();
    killedAt(scene, to, 'begun');
    using other = await MovingScene.make();
    await assert.rejects(move(other, to), { ...MOVED, message: /another store .* DROP SCHEMA/ });
    for (const { config } of [scene, other])
      await (await openStoreIn(config.store.directory!)).close();
  });

  test('that has its own key and rows that it has written, all under one key', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    withDatabase(scene.directory, (db) =>
      db.exec(`UPDATE tokens SET quota = 9e9 WHERE name = 'new'`),
    );
    await assert.rejects(move(scene, to), { code: 'STORE_FORGED', message: /token new/ });
    withDatabase(scene.directory, (db) =>
      db.exec(`UPDATE tokens SET quota = 100 WHERE name = 'new'`),
    );
    withDatabase(scene.directory, (db) =>
      db.exec('UPDATE meta SET reseal_done = 0, reseal_end = 5'),
    );
    await assert.rejects(move(scene, to), {
      code: 'KEY_ROTATION_REFUSED',
      message: /key rotate --reseal/,
    });
    withDatabase(scene.directory, (db) =>
      db.exec('UPDATE meta SET reseal_done = NULL, reseal_end = NULL'),
    );
    process.env.VANITYPOOL_TEST_OTHER = randomBytes(32).toString('hex');
    const store = { ...scene.config.store, sealingKey: 'env:VANITYPOOL_TEST_OTHER' };
    await assert.rejects(migrateOffline({ ...scene.config, store }, { to }), {
      code: 'SEALING_KEY_INVALID',
    });
    assert.deepEqual(await sql(to, `SELECT to_regnamespace('vanitypool') AS found`), [
      { found: null },
    ]);
    await move(scene, to);
  });

  test('to a server that a URL names, of which a password is never shown', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    const secret = to.replace('postgres@', 'somebody:geheim@');
    for (const url of [
      secret,
      `${secret}?sslmode=never`,
      secret.replace(/:\d+/, ':1'),
      `${secret}?x=y`,
    ]) {
      const error = await move(scene, url).catch((cause: Error) => cause);
      assert.ok(error instanceof Error);
      assert.doesNotMatch(String(error.stack), /geheim/);
    }
    const database = { ...scene.config.store, directory: undefined, database: to };
    await assert.rejects(migrateOffline({ ...scene.config, store: database }, { to }), {
      code: 'USAGE_INVALID',
      message: /names a database already; .* --config \/dev\/null --data DIR$/,
    });
    await assert.rejects(move(scene, 'http://host/x'), {
      code: 'USAGE_INVALID',
      message: /^--to: /,
    });
    const { url } = await move(
      scene,
      `${to.replace('postgres@', 'postgres:geheim@')}?password=geheim&sslmode=disable`,
    );
    assert.equal(url, `${to}?sslmode=disable`);
  });

  test('and another one, stopped by a signal, stays where it is', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    const stop = new AbortController();
    const { signal } = stop;
    const onProgress = () => stop.abort();
    await assert.rejects(migrateOffline(scene.config, { to, signal, onProgress }), {
      name: 'AbortError',
    });
    assert.deepEqual(await sql(to, 'SELECT count(*)::int AS count FROM vanitypool.pools'), [
      { count: 0 },
    ]);
    await (await scene.open()).close();
    await move(scene, to);
  });

  for (const when of ['0.1', '0.3', '0.55', '0.9', 'begun', 'copied', 'marked', 'done']) {
    test(`killed at ${when}, with never two of it, and again`, async () => {
      using scene = await MovingScene.make();
      const to = await server.database();
      // Of several batches.
      const old = await scene.open();
      await old.insert(hitsFor('pet', 2500));
      await old.close();
      killedAt(scene, to, when);
      const isMarked = when === 'marked' || when === 'done';
      const key = randomBytes(32);
      if (isMarked) await assert.rejects(scene.open(), gone(nameOf(to)));
      else await servedMeanwhile(scene, key);
      if (when !== 'done') {
        const refused = { ...MOVED, message: /vanitypool migrate --to postgres:/ };
        await assert.rejects(openMoved(scene, to), refused);
      }
      const { addresses } = await move(scene, to);
      assert.equal(addresses === undefined, isMarked);
      await assert.rejects(scene.open(), gone(nameOf(to)));
      await using store = await openMoved(scene, to);
      if (!isMarked) assert.equal((await store.handOut(key, 'pet'))!.addresses!.length, 2);
      assert.equal((await store.pools()).length, 4);
      await stores.check(to);
    });
  }

  for (const fate of ['lose', 'cut-answer'] as const) {
    // The last three are those of the database's marks, and of all that lies between.
    for (const behind of [3, 2, 1]) {
      test(`when commit ${behind} from the end is lost (${fate}), and again`, async () => {
        await using proxy = await PostgresProxy.before(server.port);
        const isCommit = ({ text }: Seen) => text === 'COMMIT';
        using scene = await MovingScene.make();
        const to = proxy.through(await server.database());
        // Of as many as there are if none is lost.
        const last = await commitsOf(proxy, isCommit);
        proxy.judge = (seen) =>
          isCommit(seen) && proxy.seen.filter(isCommit).length === last - behind + 1
            ? fate
            : 'pass';
        await assert.rejects(move(scene, to), { code: 'STORE_UNAVAILABLE' });
        proxy.judge = () => 'pass';
        assert.equal((await move(scene, to)).addresses === undefined, behind === 1);
        await assert.rejects(scene.open(), MOVED);
        await using store = await openMoved(scene, to);
        assert.equal((await store.pools()).length, 4);
        await stores.check(to.replace(/:\d+\//, `:${server.port}/`));
      });
    }
  }

  test('which nothing ends but itself, an operator who retires its node neither', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    killedAt(scene, to, 'copied');
    await using connection = new Connection(connectionSettings(to, {}));
    for (const loss of ['lost-nothing', 'burn'] as const) {
      await retireNode(connection, nodeIn(scene.directory).id, loss);
      await assert.rejects(openMoved(scene, to), MOVED);
    }
    await move(scene, to);
    await using store = await openMoved(scene, to);
    assert.ok((await store.counts('pet')).available > 0);
    await stores.check(to);
  });

  test('once: what it left is refused by whatever opens it, and by adopt', async () => {
    using scene = await MovingScene.make();
    const { directory, sealingKey } = scene;
    const to = await server.database();
    await move(scene, to);
    const error = gone(nameOf(to));
    await assert.rejects(scene.open(), error);
    for (const as of ['moved', 'restored'] as const) {
      await assert.rejects(adoptIn({ directory, as }), error);
    }
    await assert.rejects(AuditReader.open(directory, sealingKey), error);
    await assert.rejects(backupStore(directory, join(directory, 'backup')), error);
    assert.throws(() => readPools(directory), error);
    assert.deepEqual(await move(scene, to), { url: to, name: nameOf(to), addresses: undefined });
    const other = await server.database();
    await assert.rejects(move(scene, other), { ...MOVED, message: /was moved to .*; name that/ });
    await using _ = await openMoved(scene, to);
    assert.equal((await move(scene, to)).addresses, undefined, 'also while it is served there');
  });

  test('and an older state of its files is none, but for what burns all that it has', async () => {
    using scene = await MovingScene.make();
    const { directory, sealingKey } = scene;
    const older = temporaryDirectory();
    const restored = temporaryDirectory();
    try {
      const backup = join(older, 'backup');
      await backupStore(directory, backup);
      const files = readdirSync(directory).filter((name) => /^store\.db(-wal|-shm)?$/.test(name));
      for (const name of files) copyFileSync(join(directory, name), join(older, name));
      await move(scene, await server.database());
      for (const name of files) copyFileSync(join(older, name), join(directory, name));
      await assert.rejects(scene.open(), MOVED);
      await assert.rejects(adoptIn({ directory, as: 'moved' }), MOVED);
      await adoptIn({ directory, as: 'restored' });
      await using put = await scene.open();
      await restoreStore({ file: backup, directory: restored, sealingKey });
      copyFileSync(join(directory, 'sealing.key'), join(restored, 'sealing.key'));
      await using back = await openStoreIn(restored);
      for (const store of [put, back]) {
        const waits = (await store.pools()).map(({ counts }) => counts.available + counts.reserved);
        assert.deepEqual(waits, [0, 0, 0, 0]);
      }
    } finally {
      for (const one of [older, restored]) removeDirectory(one);
    }
  });

  test('and neither is one of the last moment before', async () => {
    using scene = await MovingScene.make();
    const { directory, config } = scene;
    const to = await server.database();
    const older = temporaryDirectory();
    try {
      // By another process: to close a file drops the locks that this one has on it.
      const copied = (step: MigrateStep) => {
        if (step === 'copied') spawnSync('cp', ['-a', `${directory}/.`, older]);
      };
      await migrateOffline(config, { to, onStep: copied });
      const files = readdirSync(older).filter((name) => name.startsWith('store.db'));
      const [anchor] = files.filter((name) => name.includes('-anchor-'));
      const [retired] = readdirSync(directory).filter((name) => name.includes('-anchor-'));
      const putBack = () => {
        for (const name of files.filter((file) => file !== anchor)) {
          copyFileSync(join(older, name), join(directory, name));
        }
      };
      putBack();
      await assert.rejects(scene.open(), { ...MOVED, message: /moved away/ });
      // And by a tool that restores names, too: the witness knows of it.
      putBack();
      renameSync(join(directory, retired!), join(directory, anchor!));
      await assert.rejects(move(scene, to), { ...MOVED, message: /moved away/ });
    } finally {
      removeDirectory(older);
    }
  });

  test('with the node in the directory of the machine, where that is another', async () => {
    using scene = await MovingScene.make();
    const data = temporaryDirectory();
    const to = await server.database();
    const config = { ...scene.config, store: { ...scene.config.store, data } };
    try {
      {
        using _ = holdOwnDirectory(data);
        await assert.rejects(migrateOffline(config, { to }), { code: 'DATA_IN_USE' });
      }
      await migrateOffline(config, { to });
      await using store = await openMoved({ directory: data, sealingKey: scene.sealingKey }, to);
      assert.deepEqual(await store.counters(), {
        attempts: 12_345_678,
        'attempts.expanded': 9,
        hits: 7,
      });
    } finally {
      removeDirectory(data);
    }
  });

  test('where another node serves it, too', async () => {
    using scene = await MovingScene.make();
    const to = await server.database();
    await move(scene, to);
    await using _ = await openMoved(scene, to);
    const settings = connectionSettings(to, {});
    const { sealingKey } = scene;
    const node = someNode();
    const data = scene.directory;
    await using other = await openPostgresStore({ settings, node, sealingKey, data });
    assert.equal((await turn(other, 'pet', 0, 2)).leased.length, 2);
    await other.endQueues([{ pool: 'pet', head: 0 }], 'return');
  });

  for (const [table, change] of Object.entries({
    secrets: 'created_at = NEW.created_at + 1',
    hand_outs: 'at = NEW.at + 1',
    keys: 'id = NEW.id + 1',
  })) {
    test(`and what is another in the table ${table} than was sent is found`, async () => {
      using scene = await MovingScene.make();
      const to = await server.database();
      killedAt(scene, to, 'begun');
      const spoil = `CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.${change}; RETURN NEW; END $$`;
      await sql(to, spoil);
      await sql(
        to,
        `CREATE TRIGGER spoil BEFORE INSERT ON vanitypool.${table}
          FOR EACH ROW EXECUTE FUNCTION public.spoil()`,
      );
      const message = new RegExp(`^${table}: .* nothing was moved`);
      await assert.rejects(move(scene, to), { code: 'STORE_CORRUPT', message });
      await sql(to, `DROP TRIGGER spoil ON vanitypool.${table}`);
      await move(scene, to);
    });
  }

  test('with what a list of a restore named, of which nobody knows the queue', async () => {
    using lost = new LostStore();
    await lost.serve((store) => lost.insert(store, 6));
    await backupStore(lost.directory, lost.backup);
    let left: number[] = [];
    await lost.serve(async (store) => {
      left = await lost.dispense(store, 2);
    });
    const list = lost.writeList(left.map((id) => ({ id })));
    const place = lost.place('restored');
    await restoreStore({ ...place, list });
    const to = await server.database();
    await migrateOffline(configOf(place), { to });
    await using moved = await openMoved(place, to);
    const { available, dispensed } = await moved.counts('pet');
    assert.deepEqual([available, dispensed], [4, 2]);
    const rows = await sql(to, GONE);
    assert.deepEqual(
      rows.map(({ id, state }) => [Number(id), state]),
      left.map((id) => [id, 'dispensed']),
    );
    while ((await moved.destroySecrets(ANY_AGE)) > 0);
    await stores.check(to);
  });

  async function lowestAvailable(url: string): Promise<number> {
    const [row] = await sql(
      url,
      `SELECT min(id)::float8 AS id FROM vanitypool.address_states
      WHERE state = 'available'`,
    );
    return Number(row!.id);
  }

  /** In a database that is new: how many the proxy sees. They are forgotten then. */
  async function commitsOf(proxy: PostgresProxy, isCommit: (seen: Seen) => boolean) {
    using scene = await MovingScene.make();
    await move(scene, proxy.through(await server.database()));
    return proxy.seen.splice(0).filter(isCommit).length;
  }

  function killedAt({ directory }: MovingScene, to: string, when: string): void {
    const { signal, stderr } = spawnSync(process.execPath, [PROCESS, directory, to, when], {
      encoding: 'utf8',
    });
    assert.equal(signal, 'SIGKILL', stderr);
  }
});

/** By a server that was started once more, since the move was cut off. */
async function servedMeanwhile(scene: MovingScene, key: Uint8Array): Promise<void> {
  await using store = await scene.open();
  await turn(store, 'pet', 0, 3);
  const record = { position: 0, count: 2, at: Date.now(), token: 0, key, body: randomBytes(32) };
  await turn(store, 'pet', 2, 0, { records: [record], journals: new Map() });
  await store.endQueues([{ pool: 'pet', head: await headOf(store, 'pet') }], 'return');
}

function hitOf({ hits }: MovingScene, publicKey: Uint8Array) {
  return hits.find((hit) => Buffer.compare(hit.publicKey, publicKey) === 0)!;
}

const GONE = `SELECT id, state FROM vanitypool.address_states WHERE state <> 'available' ORDER BY id`;

/** All that is not available. When what nobody says to have had left is not compared: it is known less exactly. */
async function auditedIn(opened: StoreReader, { hits }: MovingScene) {
  await using reader = opened;
  const { addresses } = await reader.page({ after: 0, limit: 10_000 });
  const rows = addresses.map(({ at, ...row }) => {
    const isTold = row.token !== undefined || row.keyHash !== undefined || row.cause !== undefined;
    return {
      ...row,
      at: isTold ? at : undefined,
      ...(row.keyHash && { keyHash: textOf(row.keyHash) }),
    };
  });
  const found = [];
  for (const { publicKey } of hits) {
    const { id, at: _, keyHash, signatures, ...one } = (await reader.find(publicKey))!;
    const signed = signatures.map((signature) => [
      ...[signature.at, signature.token],
      ...[textOf(signature.messageHash), textOf(signature.signature)],
    ]);
    const known = { ...one, keyHash: keyHash && textOf(keyHash), signed };
    found.push(one.state === 'available' ? known : { id, ...known });
  }
  const { epoch, ...store } = await reader.store();
  return { epoch, rows, found, store, tokens: await reader.tokens() };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const onOldest = { skip: (await withoutPostgres(15)) || withoutPgBouncer() };
test('a store moves to the oldest server, behind a pooler', onOldest, async () => {
  await using server = await PostgresServer.start({ version: 15 });
  await using pooler = await PgBouncer.before(server, 'transaction');
  using scene = await MovingScene.make();
  const old = await scene.open();
  const said = await saidBy(old, scene);
  await old.close();
  const direct = await server.database();
  const to = pooler.through(direct);
  await migrateOffline(scene.config, { to });
  const { directory, sealingKey } = scene;
  const settings = connectionSettings(to, {});
  const node = nodeIn(directory);
  await using store = await openPostgresStore({ settings, node, sealingKey, data: directory });
  assert.deepEqual(await saidBy(store, scene), said);
  await new PostgresStores(() => server).check(direct);
});

test('new ids fill lanes one after the other, above the highest old one', () => {
  const whole = LANE_IDS - 1;
  const ids = new NewIds(5 * LANE_IDS + 7, [
    { id: 1, available: whole + 3 },
    { id: 2, available: 0 },
    { id: 3, available: 2 },
  ]);
  assert.equal(ids.lane, 8);
  assert.deepEqual(ids.lanesOf(1), [
    { number: 6, filled: 7 * LANE_IDS - 1 },
    { number: 7, filled: 7 * LANE_IDS + 3 },
  ]);
  assert.deepEqual(ids.lanesOf(2), []);
  assert.deepEqual(ids.lanesOf(3), [{ number: 8, filled: 8 * LANE_IDS + 2 }]);
  ids.give(1, 1, 10);
  ids.give(1, 21, whole + 13);
  ids.give(3, 5, 5);
  ids.give(3, 9, 9);
  const given = [1, 10, 21, whole + 10, whole + 11, whole + 13].map((seq) => ids.of(1, seq));
  const first = 6 * LANE_IDS + 1;
  assert.deepEqual(given, [
    ...[first, first + 9, first + 10],
    ...[7 * LANE_IDS - 1, 7 * LANE_IDS + 1, 7 * LANE_IDS + 3],
  ]);
  assert.deepEqual([ids.of(3, 5), ids.of(3, 9)], [8 * LANE_IDS + 1, 8 * LANE_IDS + 2]);
});
