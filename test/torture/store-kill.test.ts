/**
 * A process that uses the store is killed at a random moment, again and again, on the same data.
 * After each death: every hit whose insert was acknowledged is there, no address that was leased
 * once is leased again, what was recorded as dispensed still is, what else was leased is burned,
 * and the file is whole. TORTURE_CYCLES sets how often.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { turn } from '../support/turns.ts';

const CYCLES = Number(process.env.TORTURE_CYCLES ?? 10);
const USER = new URL('./store-user.ts', import.meta.url).pathname;
/** Lines of one life, at most; the first comes when the store is open. */
const LINES_MAX = 40;

/** What all lives learned, together. */
class Ledger {
  readonly inserted = new Set<string>();
  readonly leased = new Set<number>();
  dispensed = 0;
  burned = 0;

  read(line: string): void {
    const [word, ...rest] = line.split(' ');
    if (word === 'open') this.burned += Number(rest[0]);
    else if (word === 'insert') for (const hash of rest) this.inserted.add(hash);
    else {
      this.dispensed += Number(rest[0]);
      for (const id of rest.slice(1).map(Number)) {
        assert.ok(!this.leased.has(id), `address ${id} was leased twice`);
        this.leased.add(id);
      }
    }
  }
}

/** Runs a user of the store and kills it after a random number of lines, or while it opens. */
async function live(directory: string, ledger: Ledger): Promise<void> {
  const user = spawn(process.execPath, [USER, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let left = randomInt(0, LINES_MAX);
  if (left === 0) setTimeout(() => user.kill('SIGKILL'), randomInt(0, 300));
  // A line that death cut short says nothing.
  let last = '';
  user.stdout.on('data', (chunk: Buffer) => {
    last = chunk.toString();
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: user.stdout })) {
    lines.push(line);
    if (--left === 0) user.kill('SIGKILL');
  }
  if (user.signalCode === null && user.exitCode === null) await once(user, 'exit');
  assert.equal(user.signalCode, 'SIGKILL', 'it ran until it was killed');
  if (!last.endsWith('\n')) lines.pop();
  for (const line of lines) ledger.read(line);
}

function check(directory: string, ledger: Ledger): void {
  checkStore(directory);
  withDatabase(directory, (db) => {
    const hashes = db.prepare('SELECT hex(key_hash) AS hash FROM addresses').all();
    const stored = new Set(hashes.map(({ hash }) => String(hash).toLowerCase()));
    const lost = [...ledger.inserted].filter((hash) => !stored.has(hash));
    assert.deepEqual(lost, [], 'no acknowledged hit is lost');
    const pool = db.prepare('SELECT * FROM pools').get();
    if (pool === undefined) return;
    assert.equal(pool.leased, 0, 'the rest of a lease is burned');
    assert.ok(Number(pool.dispensed) >= ledger.dispensed, 'what was dispensed stays so');
    assert.ok(Number(pool.burned) >= ledger.burned, 'what was burned stays so');
    const free = db
      .prepare(
        `SELECT id FROM addresses JOIN segments USING (pool_id)
          WHERE seq BETWEEN first AND last AND state = 'available'`,
      )
      .all();
    const again = free.filter(({ id }) => ledger.leased.has(Number(id)));
    assert.deepEqual(again, [], 'nothing that was leased is available');
  });
}

test(`killed ${CYCLES} times`, async () => {
  const directory = temporaryDirectory();
  const ledger = new Ledger();
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    await live(directory, ledger);
    // The journal is recovered by the opening, as it is after a crash.
    await (await openStoreIn(directory)).close();
    check(directory, ledger);
  }
  const store = await openStoreIn(directory);
  const { available } = await store.counts('pet');
  const { leased, burned } = await turn(store, 'pet', 0, available);
  assert.deepEqual([leased.length, burned], [available, 0], 'all that is left can be unsealed');
  ledger.read(['turn', 0, ...leased.map(({ id }) => id)].join(' '));
  await store.close();
  assert.ok(ledger.inserted.size > 0 && ledger.leased.size > 0 && ledger.dispensed > 0);
  removeDirectory(directory);
});
