/**
 * The dispense journals of a real server are taken away, put back as they were, exchanged and
 * damaged between a kill and the next start, which must know that it does not know: then all that
 * was leased is burned, counted and logged. Each of these blows strikes what one kill left, and the store is
 * opened as a start does; one of them also by a server. Untouched they are exact, also when their ring went
 * round. Before a kill the store is locked by another program, so that what is handed out then is in
 * the journals alone.
 */
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Journals } from '../../src/pool/journals.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { LeftBehind } from '../support/left-behind.ts';
import { assertIdentity, type Handed, type Server, Workspace } from '../support/server.ts';
import { checkStore } from '../support/sqlite-stores.ts';
import { turn } from '../support/turns.ts';

const LIMIT = { timeout: 300_000 };
const SLOT = 96;
/** Cells of the smallest queue; the smallest journal has room for 127 more. */
const RECORDS = 1024;
const POLL_MS = 20;
/** For a transaction of the server to end. */
const LOCK_WAIT_MS = 10_000;
/** Handed out in the journals alone. */
const UNRECORDED = 20;
/** Before and after the queue is emptied: with all that was in it more than a ring has. */
const SOME = 150;

class Attack implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly handed: Handed[] = [];
  #server: Server | undefined;
  /** Handed out before this life. */
  #before = 0;
  #lock: DatabaseSync | undefined;

  /** `target`: more than is taken at once; what is taken later is ground meanwhile. */
  static async begin(ready: number, httpThreads: number, target: number): Promise<Attack> {
    const attack = new Attack();
    const pool = { name: 'pet', suffix: 't', target, ready, ready_max: ready };
    attack.workspace.configure([pool], '[http]', `threads = ${httpThreads}`);
    await attack.serve();
    await attack.untilFull(ready);
    return attack;
  }

  async untilFull(ready: number): Promise<void> {
    await this.server.until((figures) => figures.ready >= ready && figures.available >= 2 * ready);
  }

  get server(): Server {
    return this.#server!;
  }

  async serve(...args: string[]): Promise<void> {
    this.#before = this.handed.length;
    this.#server = await this.workspace.serve(...args);
  }

  /** One by one, by several clients; a pool that is empty for a moment is asked again. */
  async dispense(count: number): Promise<void> {
    let left = count;
    const client = async () => {
      while (left-- > 0) this.handed.push(...(await this.#dispenseOne()));
    };
    await Promise.all(Array.from({ length: 4 }, client));
  }

  async #dispenseOne(): Promise<Handed[]> {
    for (;;) {
      try {
        return await this.server.dispense();
      } catch (error) {
        assert.equal((error as Error).message, 'POOL_EMPTY');
        await sleep(POLL_MS);
      }
    }
  }

  lock(): void {
    const file = join(this.workspace.data, 'store.db');
    this.#lock = new DatabaseSync(file, { timeout: LOCK_WAIT_MS });
    this.#lock.exec('BEGIN IMMEDIATE');
  }

  unlock(): void {
    this.#lock!.close();
  }

  /** Until the store has every record of what was handed out in this life. */
  async untilRecorded(): Promise<void> {
    while (this.recorded() < this.handed.length - this.#before) await sleep(POLL_MS);
  }

  recorded(): number {
    return Number(this.look('SELECT sum(recorded) AS figure FROM journals'));
  }

  leased(): number {
    return Number(this.look('SELECT leased AS figure FROM pools'));
  }

  look(sql: string): unknown {
    using db = new DatabaseSync(join(this.workspace.data, 'store.db'), { readOnly: true });
    return db.prepare(sql).get()!.figure;
  }

  /** Hands out what only the journals know of, and is killed. */
  async die(): Promise<void> {
    this.lock();
    await this.dispense(UNRECORDED);
    await this.server.kill('SIGKILL');
    this.unlock();
  }

  /** Starts again: what became of what was leased. */
  async settle(...args: string[]): Promise<unknown> {
    await this.serve(...args);
    const lines = this.server.log.filter(({ msg }) => msg === 'the last run did not stop cleanly');
    assert.equal(lines.length, 1);
    const { pool, dispensed, returned, burned } = lines[0]!;
    assert.equal(pool, 'pet');
    return { dispensed, returned, burned };
  }

  /** The same without a server, after which all that is left is leased: nothing of it left before. */
  async settleAtRest(): Promise<unknown> {
    const { data: directory } = this.workspace;
    using journals = new Journals({ dataDirectory: directory });
    const { recover } = journals;
    const sealingKey = `file:${join(directory, 'sealing.key')}`;
    await using store = await openSqliteStore({ directory, sealingKey, recover });
    const { available } = await store.counts('pet');
    const { leased } = await turn(store, 'pet', 0, available);
    assert.equal(leased.length, available);
    const left = new Set(this.handed.map(({ id }) => id));
    assert.deepEqual(
      leased.filter(({ id }) => left.has(id)),
      [],
    );
    const { dispensed, returned, burned } = store.recovered.pet!;
    return { dispensed, returned, burned };
  }

  /** Hands out all that is left: nothing that left before, and all but what was `lost` is in the store. */
  async exhaust(burned: number, lost = 0): Promise<void> {
    const figures = await this.server.pool();
    assertIdentity(figures);
    assert.equal(figures.burned, burned);
    for (let left = figures.available + figures.leased; left > 0; left -= 1000) {
      this.handed.push(...(await this.server.dispense(Math.min(left, 1000))));
    }
    for (const field of ['id', 'address', 'secretKey'] as const) {
      const values = new Set(this.handed.map((handed) => handed[field]));
      assert.equal(values.size, this.handed.length, `an ${field} came twice`);
    }
    assert.equal(await this.server.kill('SIGTERM'), 0, this.server.output);
    checkStore(this.workspace.data);
    assert.equal(this.look('SELECT burned AS figure FROM pools'), burned);
    const known = this.look('SELECT sum(count) AS figure FROM hand_outs');
    assert.equal(known, this.handed.length - lost, 'with whom it went is known of all the others');
  }

  /** The journals by number; those of the store thread come first. */
  files(): string[] {
    const directory = this.workspace.journals;
    const names = readdirSync(directory).filter((name) => name.endsWith('.journal'));
    return names.sort().map((name) => join(directory, name));
  }

  copies(): Buffer[] {
    return this.files().map((path) => readFileSync(path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
  }
}

/** Of the journals at an earlier moment. */
interface Kept {
  readonly ofThisRun: readonly Buffer[];
  readonly ofTheRunBefore: readonly Buffer[];
}

type Strike = (files: readonly string[], kept: Kept) => void;

const BLOWS: Readonly<Record<string, Strike>> = {
  'all journals are lost': (files) => {
    for (const file of files) rmSync(file);
  },
  'the journal of one of two threads is lost': (files) => rmSync(files[2]!),
  'journals are put back as they were': (files, { ofThisRun }) => putBack(files, ofThisRun),
  'the journals are those of the run before': (files, { ofTheRunBefore }) =>
    putBack(files, ofTheRunBefore),
  'two threads have each other’s journals': ([, first, second]) => {
    const bytes = readFileSync(first!);
    copyFileSync(second!, first!);
    writeFileSync(second!, bytes);
  },
  'a header is damaged': ([, first]) => {
    const bytes = readFileSync(first!);
    bytes[SLOT - 20]! ^= 1;
    writeFileSync(first!, bytes);
  },
  'a journal is cut short': ([, first]) =>
    writeFileSync(first!, readFileSync(first!).subarray(0, -SLOT)),
  'a record is zeros': (files) => {
    const busiest = files.find((file) => recordsIn(file) >= UNRECORDED / 2)!;
    const bytes = readFileSync(busiest);
    const last = recordsIn(busiest);
    writeFileSync(busiest, bytes.fill(0, (last - 1) * SLOT, last * SLOT));
  },
};

function putBack(files: readonly string[], kept: readonly Buffer[]): void {
  for (const [index, file] of files.entries()) writeFileSync(file, kept[index]!);
}

/** Of a journal whose ring did not go round yet. */
function recordsIn(file: string): number {
  const bytes = readFileSync(file);
  let records = 0;
  while (bytes.readUInt32LE((records + 1) * SLOT) !== 0) records++;
  return records;
}

test('journals that are harmed between a kill and the next start', LIMIT, async (t) => {
  await using attack = await Attack.begin(64, 2, 300);
  const ofTheRunBefore = attack.copies();
  await attack.server.kill('SIGKILL');
  await attack.serve();
  await attack.untilFull(64);
  await attack.dispense(20);
  await attack.untilRecorded();
  const kept = { ofTheRunBefore, ofThisRun: attack.copies() };
  await attack.dispense(10);
  await attack.untilRecorded();
  await attack.die();
  const leased = attack.leased();
  assert.ok(leased >= UNRECORDED);
  const { workspace, handed } = attack;
  const left = new LeftBehind(workspace, handed);
  const allBurned = { dispensed: 0, returned: 0, burned: leased };

  await t.test('untouched: nothing is burned', async () => {
    const settled = { dispensed: UNRECORDED, returned: leased - UNRECORDED, burned: 0 };
    assert.deepEqual(await attack.settleAtRest(), settled);
    left.revert();
  });
  for (const [name, strike] of Object.entries(BLOWS)) {
    await t.test(`${name}: what was leased is burned`, async () => {
      strike(attack.files(), kept);
      assert.deepEqual(await attack.settleAtRest(), allBurned);
      left.revert();
    });
  }
  BLOWS['the journal of one of two threads is lost']!(attack.files(), kept);
  assert.deepEqual(await attack.settle('--threads', '0'), allBurned);
  assert.equal((await attack.server.pool()).burned, leased);
  await attack.exhaust(leased, UNRECORDED);
});

test(
  'a journal has room for all that is ready while the store is locked, and is exact after its ring went round',
  LIMIT,
  async () => {
    await using attack = await Attack.begin(RECORDS, 1, 4 * RECORDS);
    const { handed } = attack;
    await attack.dispense(SOME);
    await attack.untilRecorded();
    const { ready } = await attack.server.until((figures) => figures.ready === RECORDS);
    attack.lock();
    for (let left = ready; left > 0; left--) handed.push(...(await attack.server.dispense()));
    // All of it was served, each with a record of its own: what is missing is an address.
    await assert.rejects(attack.server.dispense(), { message: 'STORE_UNAVAILABLE' });
    attack.unlock();
    await attack.server.until((figures) => figures.ready >= RECORDS / 2);
    await attack.dispense(SOME);
    await attack.untilRecorded();
    await attack.die();
    // The ring went round.
    const recorded = attack.recorded();
    assert.deepEqual([recorded, handed.length], [RECORDS + 2 * SOME, recorded + UNRECORDED]);
    const returned = attack.leased() - UNRECORDED;
    assert.deepEqual(await attack.settle('--threads', '0'), {
      dispensed: UNRECORDED,
      returned,
      burned: 0,
    });
    assert.equal((await attack.server.pool()).dispensed, handed.length);
    await attack.exhaust(0);
  },
);
