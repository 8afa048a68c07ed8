/** What a crash leaves, and what the next start makes of it: a real store and real journals. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Durability } from '../../src/config.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { JournalWriter } from '../../src/pool/journal.ts';
import { Journals, recoverIn } from '../../src/pool/journals.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { HandOut, Store } from '../../src/store/store.ts';

const IDENTITY = { name: 'pet', prefix: '', suffix: '[a-z]Pet', ignoreCase: false, keys: 'seed' };

const SLOT = 96;
/** All after it in the slot is the same with and without a record that has no token and no key. */
const COUNT_END = 24;

class Crashed implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  store!: Store;

  get journals(): Journals {
    return new Journals(this.store.id, this.directory);
  }

  readonly durability: Durability;

  constructor(durability: Durability = 'leased') {
    this.durability = durability;
  }

  async open(): Promise<void> {
    const { directory, durability } = this;
    const sealingKey = `file:${directory}/sealing.key`;
    const recover = recoverIn(directory);
    this.store = await openSqliteStore({ directory, sealingKey, recover, durability });
  }

  /** `leased` addresses in the queue, of which the store has recorded `recorded` as dispensed. */
  async lease(leased: number, recorded: number): Promise<void> {
    await this.open();
    await this.store.definePool({ ...IDENTITY, keys: 'seed', handout: 'secret' });
    const hits = Array.from({ length: leased }, () => keypairOf(randomBytes(32)));
    await this.store.insert(hits.map((keypair) => ({ pool: 'pet', keypair })));
    await this.store.turn('pet', 0, leased);
    await this.store.turn('pet', recorded, 0);
  }

  /** A journal of one more thread, with these pops in it: its path. */
  async journal(
    ...pops: readonly (readonly [position: number, count: number, key?: Uint8Array])[]
  ): Promise<string> {
    const file = this.journals.create(this.store.epoch, this.#next, 100);
    await this.store.addJournal('pet', this.#next++);
    const writer = new JournalWriter(file);
    for (const [position, count, key] of pops) {
      const receiver = key === undefined ? { token: 0 } : { token: 0, key, body: key };
      writer.write({ position, count, at: Date.now(), ...receiver });
    }
    writer.close();
    return file.path;
  }
  #next = 1;

  /** As they do with an epoch. */
  restartNumbers(): void {
    this.#next = 1;
  }

  /** The store has heard of `popped` more, and of the first `records` of the first journal. */
  async record(popped: number, records: number, ...handOuts: HandOut[]): Promise<void> {
    const journals = new Map([[1, records]]);
    await this.store.turn('pet', popped, 0, { records: handOuts, journals });
  }

  /** Ends without a stop and starts again: what became of the leases. */
  async restart() {
    await this.store.close();
    await this.open();
    const { dispensed, available, burned } = await this.store.counts('pet');
    assert.equal((await this.store.counts('pet')).leased, 0);
    return { ...this.store.recovered.pet, counts: [dispensed, available, burned] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    rmSync(this.journals.directory, { recursive: true, force: true });
    rmSync(this.directory, { recursive: true, force: true });
  }
}

test('what the journals name is dispensed, the rest returned, nothing burned', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([4, 1], [5, 2]);
  await crashed.journal([9, 3]);
  assert.deepEqual(await crashed.restart(), {
    dispensed: 7,
    returned: 8,
    burned: 0,
    counts: [12, 8, 0],
  });
});

test('records that the store has recorded already say nothing new', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([0, 5]);
  const { dispensed, returned } = await crashed.restart();
  assert.deepEqual([dispensed, returned], [0, 15]);
});

test('no journal at all: nobody was served', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const { dispensed, returned } = await crashed.restart();
  assert.deepEqual([dispensed, returned], [0, 20]);
});

test('one journal of two is lost: all that was leased is burned', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 1]);
  rmSync(await crashed.journal([6, 1]));
  assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
});

test('a journal that is damaged in its header is lost', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  writeFileSync(await crashed.journal([5, 1]), Buffer.alloc(9696));
  assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
});

test('a journal that says more than was leased is not believed', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 16]);
  assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
});

test('of a committed epoch the rest is returned whatever is lost: nothing left unrecorded', async () => {
  await using crashed = new Crashed('committed');
  await crashed.lease(20, 5);
  rmSync(await crashed.journal([5, 3]));
  assert.deepEqual((await crashed.restart()).counts, [5, 15, 0]);
});

test('what a journal says of an idempotency key is known after the crash', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  const [recorded, late, last] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  // The store has recorded the pops of the first two, but not for whom they were.
  await crashed.journal([1, 2, recorded], [9, 1, last]);
  await crashed.journal([4, 1, late], [5, 4]);
  await crashed.restart();
  const idsOf = async (key: Uint8Array) =>
    (await crashed.store.handOut(key))!.addresses!.map(({ id }) => id);
  assert.deepEqual(await idsOf(recorded), [2, 3]);
  assert.deepEqual(await idsOf(late), [5]);
  assert.deepEqual(await idsOf(last), [10]);
  assert.equal(await crashed.store.handOut(randomBytes(32)), undefined);
});

test('records that the store has are not read again', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const key = randomBytes(32);
  await crashed.journal([0, 2, key], [2, 1]);
  await crashed.record(2, 1, { position: 0, count: 2, at: 1, token: 0, key, body: key });
  const { dispensed } = await crashed.restart();
  assert.equal(dispensed, 1);
  assert.equal((await crashed.store.handOut(key))!.at, 1, 'as it was recorded first');
});

test('positions start again with each epoch', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 5]);
  await crashed.restart(); // 10 dispensed, 10 returned
  await crashed.store.turn('pet', 0, 10);
  await crashed.store.addJournal('pet', 1);
  crashed.journals.create(crashed.store.epoch, 1, 10);
  const { dispensed, returned } = await crashed.restart();
  assert.deepEqual([dispensed, returned], [0, 10]);
});

test('an older copy of a journal is not believed, as far as the store has more', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const path = await crashed.journal([0, 1], [1, 1]);
  const older = readFileSync(path).fill(0, 2 * SLOT, 3 * SLOT);
  await crashed.record(2, 2);
  writeFileSync(path, older);
  assert.deepEqual((await crashed.restart()).counts, [2, 0, 18]);
});

test('a hole in what the store has not is not believed', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const path = await crashed.journal([0, 1], [1, 1], [2, 1]);
  const holed = readFileSync(path).fill(0, 2 * SLOT, 3 * SLOT);
  writeFileSync(path, holed);
  assert.deepEqual((await crashed.restart()).counts, [0, 0, 20]);
});

test('a last record cut off at any byte never left: available again, unless a later one did', async () => {
  for (let cut = 0; cut < SLOT; cut += 5) {
    await using crashed = new Crashed();
    await crashed.lease(20, 0);
    const path = await crashed.journal([0, 2], [2, 3]);
    const isLater = cut % 2 === 0;
    await crashed.journal(...(isLater ? ([[5, 1]] as const) : []));
    writeFileSync(path, readFileSync(path).fill(0, 2 * SLOT + cut, 3 * SLOT));
    const { dispensed, returned, burned } = await crashed.restart();
    // The last 12 bytes are of hashes that this one has none of.
    const left = isLater ? 6 : cut > COUNT_END ? 5 : 2;
    assert.deepEqual([dispensed, returned, burned], [left, 20 - left, 0], `cut at ${cut}`);
  }
});

test('a header that is changed at any byte is that of no journal', async () => {
  for (let at = 0; at < 80; at += 7) {
    await using crashed = new Crashed();
    await crashed.lease(3, 1);
    const path = await crashed.journal([1, 1]);
    const bytes = readFileSync(path);
    bytes[at]! ^= 1;
    writeFileSync(path, bytes);
    assert.deepEqual((await crashed.restart()).counts, [1, 0, 2], `byte ${at}`);
  }
});

test('the journal of another thread, epoch or store in its place is not believed', async () => {
  await using other = new Crashed();
  await other.lease(1, 0);
  const foreign = readFileSync(await other.journal());
  for (const which of ['thread', 'epoch', 'store']) {
    await using crashed = new Crashed();
    await crashed.lease(20, 0);
    const past = readFileSync(await crashed.journal());
    await crashed.restart();
    await crashed.store.turn('pet', 0, 20);
    crashed.restartNumbers();
    const path = await crashed.journal([0, 1]);
    const second = readFileSync(await crashed.journal());
    writeFileSync(path, { thread: second, epoch: past, store: foreign }[which]!);
    assert.deepEqual((await crashed.restart()).counts, [0, 0, 20], which);
  }
});

test('journals lie in a place of this user alone, and go when they are told of', async () => {
  await using crashed = new Crashed();
  await crashed.lease(5, 0);
  await crashed.journal([0, 1]);
  const { directory } = crashed.journals;
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(directory).sort(), ['1-1.journal', 'owner']);
  assert.equal(readFileSync(join(directory, 'owner'), 'utf8'), `${crashed.directory}\n`);
  assert.equal(statSync(join(directory, 'owner')).mode & 0o777, 0o600);
  crashed.journals.removeAll();
  assert.deepEqual(readdirSync(directory), ['owner']);
  crashed.journals.remove();
  assert.equal(existsSync(directory), false);
});

test('journals are removed of a data directory that is gone for a day, and of no other', async () => {
  await using crashed = new Crashed();
  await crashed.lease(1, 0);
  await crashed.journal([0, 1]);
  const base = dirname(crashed.journals.directory);
  const gone = join(crashed.directory, 'gone');
  const hours = (count: number) => new Date(Date.now() - count * 3_600_000);
  /** Another store's, written so many hours ago: its place. */
  const leave = (owner: string | undefined, ownerHours: number, journalHours: number): string => {
    const directory = join(base, randomBytes(16).toString('hex'));
    mkdirSync(directory, { mode: 0o700 });
    const files = { owner: owner, '5-1.journal': 'x' };
    for (const [name, text] of Object.entries(files)) {
      if (text === undefined) continue;
      writeFileSync(join(directory, name), text);
      const at = hours(name === 'owner' ? ownerHours : journalHours);
      utimesSync(join(directory, name), at, at);
    }
    return directory;
  };
  const removed = leave(`${gone}\n`, 30, 25);
  const kept = {
    'no owner': leave(undefined, 0, 99),
    'an owner that was cut off': leave(gone, 99, 99),
    'an owner that is no absolute path': leave('gone\n', 99, 99),
    'an empty owner': leave('\n', 99, 99),
    'a data directory that is there': leave(`${crashed.directory}\n`, 99, 99),
    'a parent that is gone too': leave(`${join(gone, 'data')}\n`, 99, 99),
    'a journal that is young': leave(`${gone}\n`, 99, 23),
    'an owner that is young': leave(`${gone}\n`, 23, 99),
  };
  // Its own, of a data directory that was moved.
  const own = crashed.journals.directory;
  writeFileSync(join(own, 'owner'), `${gone}\n`);
  for (const name of readdirSync(own)) utimesSync(join(own, name), hours(99), hours(99));
  try {
    crashed.journals.removeOrphans();
    assert.equal(existsSync(removed), false);
    for (const [name, directory] of Object.entries(kept)) {
      assert.ok(existsSync(join(directory, '5-1.journal')), name);
    }
    assert.equal(readdirSync(own).length, 2, 'its own');
  } finally {
    for (const directory of [removed, ...Object.values(kept)]) {
      rmSync(directory, { recursive: true, force: true });
    }
  }
});
