/** The command on stores that no server holds; beside one it is tested with a real server. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stateHome, vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { LostStore } from '../support/lost-store.ts';
import { openStoreIn, withDatabase } from '../support/sqlite-stores.ts';
import { turn } from '../support/turns.ts';

const LIMIT = { timeout: 300_000 };

/** Ids 1 to 3 are dispensed, 4 to 8 available. */
async function stopped(): Promise<LostStore> {
  const store = new LostStore();
  await store.serve(async (open) => {
    await store.insert(open, 8);
    await store.dispense(open, 3);
  });
  return store;
}

type Directories = Pick<LostStore, 'root' | 'directory'>;

const auditOf = ({ root, directory }: Directories, ...args: string[]) =>
  vanitypoolHere(['audit', '--data', directory, ...args], { XDG_STATE_HOME: stateHome(root) });

async function listOf(store: Directories, ...args: string[]) {
  const { code, stderr, lines } = await auditOf(store, '--json', ...args);
  const rows = lines.map((line) => JSON.parse(line));
  return { code, stderr, summary: rows.pop(), rows };
}

const INCOMPLETE = 'the list is not complete: ';

test('a list has a line for each address, and ends with what it is', LIMIT, async () => {
  using store = await stopped();
  const { code, stderr, summary, rows } = await listOf(store);
  assert.deepEqual([code, stderr], [0, '']);
  const { storeId, epoch } = store;
  assert.deepEqual(summary, { storeId, epoch, addresses: 3, tokens: 0, isComplete: true });
  for (const [index, { at, ...row }] of rows.entries()) {
    assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(row, {
      id: index + 1,
      address: store.addresses[index],
      pool: 'pet',
      state: 'dispensed',
      token: null,
      idempotencyKeyHash: null,
      cause: null,
      signatures: 0,
      isExhausted: false,
    });
  }
});

test('a table for people, in columns', LIMIT, async () => {
  using store = await stopped();
  withDatabase(store.directory, (db) => {
    db.exec(`INSERT INTO tokens (id, name, hash, scopes, created_at)
        VALUES (1, 'shop', zeroblob(32), '[]', 0);
      INSERT INTO hand_outs (pool_id, epoch, position, count, at, token_id, key_hash, body_hash)
        VALUES (1, 1, 1, 1, 1763640000500, 1, unhex('${'0123456789abcdef'.repeat(4)}'), zeroblob(32))`);
  });
  const { code, stderr, lines } = await auditOf(store);
  assert.deepEqual([code, stderr, lines.length], [0, '', 4]);
  assert.match(
    lines[0]!,
    /^time {22}pool {2}id {8}address {39}state {6}token {9}key {7}signed {2}cause$/,
  );
  const address = store.addresses[1]!.padEnd(44);
  const rest = `pet   2         ${address}  dispensed  shop          01234567  -       -`;
  assert.equal(lines[2], `2025-11-20T12:00:00.500Z  ${rest}`);
});

test('what a crash left is settled before it is listed, as a start settles it', LIMIT, async () => {
  using store = await stopped();
  {
    // As one that is killed: nothing is returned, and a journal is missing.
    await using open = await openStoreIn(store.directory);
    await turn(open, 'pet', 0, 2);
    await open.addJournals([{ pool: 'pet', number: 1 }]);
  }
  const { stderr, summary, rows } = await listOf(store);
  const states = rows.map(({ id, state, cause }) => `${id} ${state} ${cause}`);
  assert.deepEqual(states.slice(3), ['4 burned crash', '5 burned crash']);
  assert.deepEqual([stderr, summary.isComplete, summary.epoch], ['', true, store.epoch + 2]);
});

test('of one pool or time only it is said not to be complete', LIMIT, async () => {
  using store = await stopped();
  withDatabase(store.directory, (db) =>
    db.exec(`UPDATE segments SET changed_at = 1763640000000 WHERE state = 'dispensed'`),
  );
  for (const [args, count] of [
    [['--pool', 'pet'], 3],
    [['--since', '2025-11-20'], 3],
    [['--since', '2025-11-20T13:00:00+01:00'], 3],
    [['--since', '2025-11-20T12:00:01Z'], 0],
  ] as const) {
    const { stderr, summary, rows } = await listOf(store, ...args);
    assert.deepEqual([rows.length, summary.addresses, summary.isComplete], [count, count, false]);
    assert.equal(
      stderr,
      `${INCOMPLETE}of one pool or time only; without --pool and --since it can be\n`,
    );
  }
  const { stderr, lines } = await auditOf(store, '--pool', 'pet');
  assert.deepEqual([stderr, lines.length], ['', 4], 'a table claims nothing');
});

test('a copy of the store is listed, and never complete', LIMIT, async () => {
  using store = await stopped();
  const copy = join(store.root, 'copy');
  mkdirSync(copy, { mode: 0o700 });
  for (const name of ['store.db', 'sealing.key']) {
    cpSync(join(store.directory, name), join(copy, name));
  }
  const { stderr, summary, rows } = await listOf({ root: store.root, directory: copy });
  assert.deepEqual([rows.length, summary.isComplete], [3, false]);
  assert.match(stderr, /^the list is not complete: .*this store was copied or moved/);
});

test('a store that lost rows is listed, and never complete', LIMIT, async () => {
  using store = await stopped();
  withDatabase(store.directory, (db) => db.exec('UPDATE pools SET dispensed = 4, available = 4'));
  const { stderr, summary, rows } = await listOf(store);
  assert.deepEqual([rows.length, summary.isComplete], [3, false]);
  assert.equal(
    stderr,
    `${INCOMPLETE}3 addresses were read, and the store counts 4: it is damaged\n`,
  );
});

test('what is asked for wrongly is said', LIMIT, async () => {
  using store = await stopped();
  for (const since of ['yesterday', '2025', '2025-11-20T12:00:00', '2025-13-01']) {
    const { code, stdout, stderr } = await auditOf(store, '--since', since);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /--since: ".*" is not allowed; allowed: a day .*USAGE_INVALID/);
  }
  for (const args of [[], ['--json']]) {
    const unknown = await auditOf(store, '--pool', 'pump', ...args);
    assert.equal(unknown.code, 1);
    assert.equal(unknown.stdout, '', 'no head of a table either');
    assert.match(unknown.stderr, /pool pump: no such pool; there are: pet \(POOL_NOT_FOUND\)/);
  }
  const nothing = join(store.root, 'nothing');
  const missing = await auditOf({ root: store.root, directory: nothing });
  assert.deepEqual([missing.code, /STORE_NOT_FOUND/.test(missing.stderr)], [1, true]);
  assert.equal(existsSync(nothing), false);
});

test('Ctrl-C ends it with 130 and without a last line, or comes too late', LIMIT, async () => {
  using store = new LostStore();
  await store.serve(async (open) => {
    await store.insert(open, 20_000);
    await store.dispense(open, 20_000);
  });
  const { code, lines } = await vanitypool(['audit', '--json', '--data', store.directory], {
    cwd: store.root,
    onFirstOutput: (child) => child.kill('SIGINT'),
  });
  assert.ok(code === 130 || code === 0, `exit ${code}`);
  assert.equal(lines.at(-1)!.startsWith('{"storeId"'), code === 0);
});
