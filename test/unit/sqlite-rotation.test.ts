/** The sealing key of a real store gives way to another, while the store is open. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isDataKey } from '../../src/keypair/data-keys.ts';
import { loadSealingKey, sealingKeyId } from '../../src/keypair/sealing-key.ts';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { backupStore, neededKey } from '../../src/store/sqlite/backup.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor } from '../support/store-subject.ts';
import { returnLease, turn } from '../support/turns.ts';
import { Victim } from '../support/victim.ts';

const REFUSED = 'KEY_ROTATION_REFUSED';

const pathOf = ({ directory }: Victim) => join(directory, 'sealing.key');
const keyIn = async (path: string) => (await loadSealingKey(`file:${path}`))!;

/** A variable of this process with a new key, or with this text. */
function variable(t: TestContext, text = randomBytes(32).toString('hex')): string {
  const name = `VANITYPOOL_TEST_KEY_${randomBytes(4).toString('hex')}`;
  process.env[name] = text;
  t.after(() => delete process.env[name]);
  return `env:${name}`;
}

async function rotate({ store }: Victim, to?: string) {
  const rotation = await store.beginRotation({ to });
  while (rotation.done < rotation.total) await rotation.prepare();
  return rotation.finish();
}

/** All of a pool, as they are unsealed. */
async function addressesOf({ store }: Victim, pool: string): Promise<string[]> {
  const { leased, burned } = await turn(store, pool, 0, 100);
  assert.equal(burned, 0);
  await returnLease(store, pool);
  return leased.map(({ key }) => Buffer.from(key).toString('hex'));
}

/** Which of the two keys opens each data key. */
async function opened({ directory }: Victim, ...paths: string[]): Promise<boolean[][]> {
  const keys = await Promise.all(paths.map(keyIn));
  const { meta, dataKeys } = withDatabase(directory, (db) => ({
    meta: db.prepare('SELECT store_id, binding FROM meta').get()!,
    dataKeys: db.prepare('SELECT sealed FROM data_keys ORDER BY id').all(),
  }));
  const { store_id, binding } = meta;
  const opens = (key: (typeof keys)[number], sealed: unknown) =>
    isDataKey(key, String(store_id), String(binding), sealed as Uint8Array);
  return Promise.all(
    dataKeys.map(({ sealed }) => Promise.all(keys.map((key) => opens(key, sealed)))),
  );
}

test('all is sealed to the new key, which has the name, and the old one is kept', async () => {
  await using victim = await Victim.make();
  const path = pathOf(victim);
  const [old, before] = [readFileSync(path, 'latin1'), await addressesOf(victim, 'pet')];
  const oldId = sealingKeyId((await keyIn(path)).publicKey);
  const rotated = await rotate(victim);
  const { publicKey } = await keyIn(path);
  const kept = `${path}.${oldId}`;
  assert.deepEqual(rotated, {
    from: oldId,
    to: sealingKeyId(publicKey),
    source: `file:${path}`,
    oldSource: `file:${kept}`,
    dataKeys: 1,
    toReseal: 0,
  });
  assert.notEqual(rotated.from, rotated.to);
  assert.equal(readFileSync(kept, 'latin1'), old);
  for (const file of [path, kept]) assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!existsSync(`${path}.new`));
  assert.deepEqual(await opened(victim, kept, path), [[false, true]]);

  // The open store goes by it, and so does the next one.
  await victim.token('next');
  await victim.store.insert(hitsFor('pet', 2));
  assert.deepEqual(
    await opened(victim, kept, path),
    [
      [false, true],
      [false, true],
    ],
    'what is new is under a data key that the old key never opened',
  );
  for (const isAgain of [false, true]) {
    assert.deepEqual((await addressesOf(victim, 'pet')).slice(0, 3), before, `${isAgain}`);
    assert.equal((await addressesOf(victim, 'vault')).length, 3);
    assert.deepEqual(await victim.tokens(), { shop: true, next: true });
    if (isAgain) break;
    await victim.store.close();
    await victim.open();
  }
  assert.deepEqual([victim.forged, victim.bound], [[], []]);
});

test('a row that somebody else wrote is none by the new key either', async () => {
  await using victim = await Victim.make();
  await victim.attack((db) => {
    db.exec(`INSERT INTO tokens (name, hash, scopes, created_at)
      VALUES ('mine', zeroblob(32), '["admin"]', 1)`);
    db.exec(`UPDATE pools SET handout = 'secret' WHERE name = 'vault'`);
  });
  await rotate(victim);
  const isWhole = async () => {
    assert.deepEqual(await victim.tokens(), { shop: true, mine: false });
    await assert.rejects(victim.store.counts('vault'), { code: 'STORE_FORGED' });
  };
  await isWhole();
  await victim.attack(`INSERT INTO tokens (name, hash, scopes, created_at, mac)
    SELECT 'late', x'${'11'.repeat(32)}', scopes, created_at, mac FROM tokens WHERE name = 'shop'`);
  assert.deepEqual(await victim.tokens(), { shop: true, mine: false, late: false });
});

test('where it is written that no token was made, nothing is rotated', async () => {
  await using victim = await Victim.make();
  withDatabase(victim.directory, (db) => db.exec('UPDATE meta SET had_tokens = 0'));
  const rotation = await victim.store.beginRotation();
  await assert.rejects(rotation.finish(), { code: 'STORE_FORGED' });
  withDatabase(victim.directory, (db) => db.exec('UPDATE meta SET had_tokens = 1'));
  assert.equal((await addressesOf(victim, 'pet')).length, 3);
  await rotate(victim);
  assert.deepEqual(await victim.tokens(), { shop: true });
});

test('the old key is refused by name, and the error says where the right one is', async () => {
  await using victim = await Victim.make();
  const path = pathOf(victim);
  const elsewhere = temporaryDirectory();
  const only = join(elsewhere, 'key');
  copyFileSync(path, only);
  const { from, to } = await rotate(victim);
  await victim.store.close();
  const { directory } = victim;
  await assert.rejects(openSqliteStore({ directory, sealingKey: `file:${only}` }), {
    code: 'SEALING_KEY_INVALID',
    message: new RegExp(`not the key that the store is sealed with.*${from}.*${to} is needed`),
  });
  await victim.open();
  removeDirectory(elsewhere);
});

test('a backup names the key that it needs, and a restore both', async () => {
  await using victim = await Victim.make();
  const path = pathOf(victim);
  const elsewhere = temporaryDirectory();
  const file = join(elsewhere, 'backup');
  await backupStore(victim.directory, file);
  const { from, to } = await rotate(victim);
  assert.equal(neededKey(file), from);
  const directory = join(elsewhere, 'restored');
  await assert.rejects(restoreStore({ file, directory, sealingKey: `file:${path}` }), {
    code: 'SEALING_KEY_INVALID',
    message: new RegExp(`id is ${to}, and ${from} is needed: ${path}\\.${from}`),
  });
  await restoreStore({ file, directory, sealingKey: `file:${path}.${from}` });
  removeDirectory(elsewhere);
});

test('to a key in a variable, and from there to the next one', async (t) => {
  await using victim = await Victim.make();
  const { directory } = victim;
  const path = pathOf(victim);
  const old = readFileSync(path, 'latin1');
  const [first, second] = [variable(t), variable(t)];
  const { source, oldSource } = await rotate(victim, first);
  assert.deepEqual([source, oldSource], [first, `file:${path}`]);
  assert.equal(readFileSync(path, 'latin1'), old, 'its file stays as it is');
  assert.equal((await addressesOf(victim, 'pet')).length, 3);
  await assert.rejects(victim.store.beginRotation(), {
    code: REFUSED,
    message: new RegExp(`in ${first}, where nothing can write it.*env:NAME`),
  });
  await rotate(victim, second);
  await victim.store.close();
  for (const sealingKey of [`file:${path}`, first]) {
    await assert.rejects(openSqliteStore({ directory, sealingKey }), {
      code: 'SEALING_KEY_INVALID',
      message: /not the key.*--to env:NAME" set store\.sealing_key = "env:NAME"/,
    });
  }
  victim.store = await openSqliteStore({ directory, sealingKey: second });
  assert.equal((await addressesOf(victim, 'pet')).length, 3);
  assert.deepEqual(await victim.tokens(), { shop: true });
});

test('what cannot be rotated is refused with the reason, and nothing is changed', async (t) => {
  await using victim = await Victim.make();
  const path = pathOf(victim);
  const digits = readFileSync(path, 'latin1').trim();
  const cases: [to: string | undefined, message: RegExp, prepare?: () => void][] = [
    ['env:VANITYPOOL_TEST_NOT_SET', /env:VANITYPOOL_TEST_NOT_SET: not set/],
    [variable(t, 'short'), /64 hexadecimal digits/],
    [variable(t, digits), /the same key as now/],
    ['file:/tmp/key', /allowed: env:NAME/],
    [
      undefined,
      /replaced since the store was opened/,
      () => write(randomBytes(32).toString('hex')),
    ],
  ];
  const write = (text: string) => writeFileSync(path, `${text}\n`);
  for (const [to, message, prepare] of cases) {
    prepare?.();
    await assert.rejects(victim.store.beginRotation({ to }), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!error.message.includes(digits) && !error.message.includes('short'));
      return (error as { code?: unknown }).code === REFUSED;
    });
  }
  write(digits);
  assert.deepEqual(await opened(victim, path), [[true]]);
});

test('a new key that cannot take its name is found without it, and takes it later', async () => {
  await using victim = await Victim.make();
  const path = pathOf(victim);
  const kept = `${path}.${sealingKeyId((await keyIn(path)).publicKey)}`;
  const other = () => writeFileSync(kept, `${randomBytes(32).toString('hex')}\n`);
  const old = readFileSync(path, 'latin1');
  const rotation = await victim.store.beginRotation({
    onStep: (step) => step === 'store sealed' && other(),
  });
  const { source, to } = await rotation.finish();
  assert.deepEqual([source, readFileSync(path, 'latin1')], [`file:${path}.new`, old]);
  await victim.store.close();
  await victim.open();
  assert.equal((await addressesOf(victim, 'pet')).length, 3);
  await assert.rejects(victim.store.beginRotation(), { code: REFUSED, message: /another key/ });
  assert.deepEqual(await opened(victim, path, `${path}.new`), [[false, true]]);
  writeFileSync(kept, old);
  assert.equal((await rotate(victim)).from, to);
  assert.ok(!existsSync(`${path}.new`));
  assert.equal((await addressesOf(victim, 'vault')).length, 3);
});

test('a rotation that is given up leaves no key behind', async () => {
  await using victim = await Victim.make();
  const rotation = await victim.store.beginRotation();
  assert.ok(existsSync(`${pathOf(victim)}.new`));
  await rotation.prepare();
  rotation.cancel();
  assert.ok(!existsSync(`${pathOf(victim)}.new`));
  assert.deepEqual(await opened(victim, pathOf(victim)), [[true]]);
});

test('what is inserted between two steps is sealed to the new key, too', async () => {
  await using victim = await Victim.make();
  const path = pathOf(victim);
  await victim.store.close();
  await victim.open();
  const rotation = await victim.store.beginRotation();
  while (rotation.done < rotation.total) await rotation.prepare();
  await victim.store.insert(hitsFor('pet', 2));
  const { dataKeys, oldSource } = await rotation.finish();
  assert.equal(dataKeys, 2);
  const kept = oldSource.slice('file:'.length);
  assert.deepEqual(
    (await opened(victim, kept, path)).map(([old]) => old),
    [false, false],
  );
  assert.equal((await addressesOf(victim, 'pet')).length, 5);
});

test('a reader from before asks for another try, and one from after reads all', async () => {
  await using victim = await Victim.make();
  const [{ directory }, sealingKey] = [victim, `file:${pathOf(victim)}`];
  await turn(victim.store, 'vault', 0, 3);
  await turn(victim.store, 'vault', 3, 0);
  await using before = await AuditReader.open(directory, sealingKey);
  await rotate(victim);
  assert.equal(await before.isCurrent(), false);
  await assert.rejects(before.page({ after: 0, limit: 100 }), { code: 'STORE_UNAVAILABLE' });
  await assert.rejects(before.tokens(), { code: 'STORE_UNAVAILABLE' });
  await using after = await AuditReader.open(directory, sealingKey);
  const { addresses } = await after.page({ after: 0, limit: 100 });
  assert.deepEqual(
    addresses.map(({ address }) => typeof address),
    ['string', 'string', 'string'],
  );
  assert.deepEqual(
    (await after.tokens()).map(({ name }) => name),
    ['shop'],
  );
});
