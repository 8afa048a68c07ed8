/**
 * A campaign against a store by its own old files. A random history of inserts, leases, hand-outs with
 * and without keys, reservations, signatures, revoked tokens, stops, kills and power cuts goes on over
 * many lives; copies of all its files are taken at random moments. After each life files of one or
 * two copies are put back over those that are there, under the same inode or as new files, and the
 * store is opened: either that is refused without a change, or nothing that left comes out again, no
 * key gets another address, no address signs more than it may, and no revoked token is valid. What
 * is not put back is never refused, and nothing of it is burned but by a power cut.
 *
 * Before that, small histories are tried with mixes of their files: one of all that there is, and for
 * each act one in which nothing else came after the copy. A short form tries a ninth of the first and
 * a quarter of the others, another in each run.
 *
 * Forgiven is what is said wherever the promise is: journals that were put back between a kill and
 * the next start; and, without a witness, all files together with the anchor under its old name.
 *
 * COPIES_SECONDS sets how long it goes on (1) and makes it the long form, COPIES_SEED with which history it begins; a failure
 * prints the seed of its history. COPIES_TRIALS sets how many mixes are tried after each life (12; 0
 * is honest use alone), COPIES_DIRECTORY where (in memory if there is such a place).
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Durability } from '../../src/config/config.ts';
import { CopiedStore, type Image, type Moment, POOLS } from '../support/copied-store.ts';
import {
  anchorsIn,
  copyOf,
  lossesSince,
  type Manner,
  only,
  putBack,
  take,
} from '../support/copies.ts';
import { randomOf } from '../support/sequence.ts';
import { type Left, SIGN_LIMIT } from '../support/what-left.ts';

/** Nothing is so old. */
const NO_AGE = Number.POSITIVE_INFINITY;
const IS_LONG = process.env.COPIES_SECONDS !== undefined;
const SECONDS = Number(process.env.COPIES_SECONDS ?? 1);
const SEED = Number(process.env.COPIES_SEED ?? Date.now() % 2 ** 31);
const MEMORY = '/dev/shm';
const PLACE = process.env.COPIES_DIRECTORY ?? (existsSync(MEMORY) ? MEMORY : tmpdir());
const LIMIT = { timeout: (SECONDS + 600) * 1000 };
const LIVES = 6;
const OPERATIONS_MAX = 25;
const COPIES_MAX = 4;
const TRIALS = Number(process.env.COPIES_TRIALS ?? 12);
/** Reported of those that are wrong, at most. */
const TOLD_MAX = 12;

const FILES = ['db', 'wal', 'shm', 'anchor', 'journals'] as const;
type File = (typeof FILES)[number];
const NAMES = { db: 'store.db', wal: 'store.db-wal', shm: 'store.db-shm' } as const;
/** The one that is there, the one of a copy by its number, or none. */
type Source = 'now' | 'gone' | number;
interface Mix {
  readonly manner: Manner;
  readonly from: Readonly<Record<File, Source>>;
}
type Random = ReturnType<typeof randomOf>;
type End = 'stop' | 'kill' | 'power cut';

/** Puts files of copies back, over the store as it lies there. */
function mixIn(store: CopiedStore, copies: readonly Moment[], { manner, from }: Mix): void {
  const { data, aside } = store;
  for (const file of ['db', 'wal', 'shm'] as const) {
    const source = from[file];
    const name = NAMES[file];
    if (source === 'now') continue;
    const copy = source === 'gone' ? new Map() : only(copies[source]!.data, (one) => one === name);
    if (copy.size > 0) putBack(data, copy, manner, aside);
    else if (existsSync(join(data, name))) take(join(data, name), aside);
  }
  if (from.journals !== 'now') {
    store.putBackJournals(from.journals === 'gone' ? new Map() : copies[from.journals]!.journals);
  }
  const [now] = anchorsIn(copyOf(data).keys());
  // As long as there are no anchors there is nothing to put back.
  if (from.anchor === 'now' || now === undefined) return;
  if (from.anchor === 'gone') {
    take(join(data, now), aside);
    return;
  }
  const [old] = anchorsIn(copies[from.anchor]!.data.keys());
  if (old === undefined) return;
  if (manner === 'in place') renameSync(join(data, now), join(data, old));
  else
    putBack(
      data,
      only(copies[from.anchor]!.data, (name) => name === old),
      manner,
      aside,
    );
}

interface Tried {
  refused: number;
  accepted: number;
  readonly wrong: string[];
}

/**
 * What left after the journals were copied that were put back, unless it was leased only after the
 * database was copied that was put back with them: a log that is there is newer than that.
 */
function missedBy({ journals, db, wal }: Mix['from'], copies: readonly Moment[], hasLog: boolean) {
  const state = typeof wal === 'number' || (wal === 'now' && hasLog) ? wal : db;
  const leasedBefore = typeof state === 'number' ? copies[state]!.clock : Number.POSITIVE_INFINITY;
  return ({ epoch, leasedAt, leftAt }: Left): boolean => {
    if (typeof journals !== 'number' || copies[journals]!.epoch !== epoch) return false;
    return leftAt > copies[journals]!.clock && leasedAt <= leasedBefore;
  };
}

/** Tries one mix, and makes all as it was: what `image` says, of which there is one for many mixes. */
async function tryMix(
  store: CopiedStore,
  image: Image,
  copies: readonly Moment[],
  mix: Mix,
  hasWitness: boolean,
  tried: Tried,
): Promise<void> {
  mixIn(store, copies, mix);
  const put = copyOf(store.data);
  const isRolledBackWhole =
    !hasWitness && mix.manner === 'in place' && typeof mix.from.anchor === 'number';
  const isMissed = missedBy(mix.from, copies, image.data.has(NAMES.wal));
  const judged = await store.judge('leased', (left) => isRolledBackWhole || isMissed(left));
  if (judged.refused !== undefined) {
    tried.refused++;
    const changes = judged.refused === 'DATA_MOVED' ? lossesSince(put, store.data) : [];
    if (changes.length > 0) tried.wrong.push(`refused, but ${changes}: ${JSON.stringify(mix)}`);
  } else {
    tried.accepted++;
    for (const wrong of judged.wrong) {
      if (!isRolledBackWhole) tried.wrong.push(`${wrong}: ${JSON.stringify(mix)}`);
    }
  }
  store.revert(image);
}

/** What is not put back is not refused, and costs what was promised. */
async function assertHonest(store: CopiedStore, end: End, durability: Durability): Promise<void> {
  const image = store.image();
  const judged = await store.judge('leased', () => false);
  assert.equal(judged.refused, undefined, `after a ${end} it is refused`);
  assert.deepEqual(judged.wrong, [], `after a ${end}`);
  const isLost = end === 'power cut' && durability === 'leased';
  if (!isLost) assert.equal(judged.burned, 0, `after a ${end} something is burned`);
  store.revert(image);
}

async function operate(store: CopiedStore, random: Random): Promise<void> {
  const pool = POOLS[random(0, 1)]!;
  const kind = random(1, 20);
  if (kind === 1) await store.insert(pool, random(5, 60));
  else if (kind === 2) await store.revoke();
  else if (kind === 3) await store.beginThread(pool);
  else if (kind <= 7) await store.turn(pool, random(0, 12));
  else if (kind <= 10) await store.dispense('pet', random(1, 3));
  else if (kind <= 13) await store.dispense('pet', random(1, 3), keyOf(store, random));
  else if (kind === 14) await store.reserve();
  else if (kind === 15) await store.dispenseReservation();
  else if (kind <= 17) await store.dispenseToSign(random(1, 2));
  else if (kind === 18) await store.destroy(random(1, 3) === 1 ? 0 : NO_AGE);
  else {
    const addresses = store.out.signable();
    if (addresses.length > 0) await store.sign(addresses[random(0, addresses.length - 1)]!);
  }
}

/** 32 bytes in hexadecimal digits. */
function keyOf(store: CopiedStore, random: Random): string {
  return `${store.out.keys.size.toString(16)}c${random(0, 2 ** 24).toString(16)}`.padStart(64, '5');
}

function drawMix(random: Random, copies: number): Mix {
  // Two copies at most, as somebody would have them at hand.
  const hand = [random(0, copies - 1), random(0, copies - 1)];
  const source = (): Source => {
    const drawn = random(1, 10);
    if (drawn <= 4) return 'now';
    return drawn === 10 ? 'gone' : hand[drawn % 2]!;
  };
  const from = Object.fromEntries(FILES.map((file) => [file, source()])) as Record<File, Source>;
  // A store without its database is a new one, and no old copy.
  if (from.db === 'gone') from.db = 'now';
  return { manner: random(0, 1) === 0 ? 'in place' : 'as a new file', from };
}

function over(store: CopiedStore, end: End): Promise<void> {
  return end === 'stop' ? store.stop() : store.kill(end === 'power cut');
}

async function history(seed: number, until: number, tried: Tried): Promise<void> {
  const random = randomOf(seed);
  const hasWitness = random(1, 4) > 1;
  using store = new CopiedStore(mkdtempSync(join(PLACE, 'vanitypool-test-')), hasWitness);
  const copies: Moment[] = [];
  for (let life = 0; life < LIVES && (life === 0 || Date.now() < until); life++) {
    const durability = random(1, 3) === 1 ? 'committed' : 'leased';
    await store.begin(durability);
    for (const pool of POOLS) {
      if (life === 0) await store.insert(pool, 80);
      await store.turn(pool, 10);
    }
    for (let count = random(1, OPERATIONS_MAX); count > 0; count--) {
      await operate(store, random);
      if (random(1, 6) === 1) copies.push(store.copy());
    }
    copies.splice(0, copies.length - COPIES_MAX);
    const end = (['stop', 'kill', 'kill', 'power cut'] as const)[random(0, 3)]!;
    await over(store, end);
    await assertHonest(store, end, durability);
    const image = store.image();
    for (let trial = 0; trial < TRIALS && copies.length > 0 && Date.now() < until; trial++) {
      await tryMix(store, image, copies, drawMix(random, copies.length), hasWitness, tried);
    }
    assert.deepEqual(tried.wrong.slice(0, TOLD_MAX), []);
    // Its clients ask again, and get another address: that is what a power cut costs.
    if (end === 'power cut') store.out.keys.clear();
  }
}

/**
 * All mixes of what was there at the end with so many copies of before. The short form tries a part, another
 * with each seed, in which any two of the files have every mix.
 */
function* everyMix(copies: number): Generator<Mix> {
  const sources: readonly Source[] = ['now', ...Array.from({ length: copies }, (_, at) => at)];
  for (const manner of ['in place', 'as a new file'] as const) {
    for (let number = 1; number < sources.length ** FILES.length; number++) {
      let rest = number;
      const digits = FILES.map(() => {
        const digit = rest % sources.length;
        rest = Math.floor(rest / sources.length);
        return digit;
      });
      if (!isDrawn(digits, sources.length)) continue;
      const from = FILES.map((file, index) => [file, sources[digits[index]!]!]);
      yield { manner, from: Object.fromEntries(from) as Record<File, Source> };
    }
  }
}

/** Of each sum over the files, which the seed shifts; by bases of two and of three. */
const DRAWN_BY: Readonly<Record<number, readonly (readonly number[])[]>> = {
  2: [
    [1, 1, 1, 0, 0],
    [0, 0, 1, 1, 1],
  ],
  3: [
    [1, 1, 1, 1, 1],
    [0, 1, 2, 1, 2],
  ],
};

function isDrawn(digits: readonly number[], base: number): boolean {
  if (IS_LONG) return true;
  return DRAWN_BY[base]!.every((weights, at) => {
    const shift = SEED >>> (3 * at);
    return digits.reduce((sum, digit, index) => sum + digit * weights[index]!, shift) % base === 0;
  });
}

async function tryAll(t: TestContext, store: CopiedStore, copies: readonly Moment[]) {
  const tried: Tried = { refused: 0, accepted: 0, wrong: [] };
  const image = store.image();
  for (const mix of everyMix(copies.length)) await tryMix(store, image, copies, mix, true, tried);
  t.diagnostic(`${tried.refused} refused, ${tried.accepted} accepted, ${tried.wrong.length} wrong`);
  const told = `${tried.wrong.length} are wrong, COPIES_SEED=${SEED}`;
  assert.deepEqual(tried.wrong.slice(0, TOLD_MAX), [], told);
}

/** Each lets something leave: an older state must not be taken for the newest, if this alone came since. */
const ALONE: Readonly<Record<string, (store: CopiedStore) => Promise<void>>> = {
  'a hand-out': (store) => store.dispense('pet', 2),
  'a hand-out with a key': (store) => store.dispense('pet', 2, '9'.padStart(64, '9')),
  'a lease and a hand-out': async (store) => {
    await store.turn('pet', 8);
    await store.dispense('pet', 12);
  },
  'a hand-out by a new thread': async (store) => {
    await store.beginThread('pet');
    await store.dispense('pet', 2);
  },
  'a record of hand-outs': async (store) => {
    await store.dispense('pet', 2);
    await store.turn('pet', 0);
  },
  'a reservation': (store) => store.reserve(),
  'the hand-out of a reservation': (store) => store.dispenseReservation(),
  'a hand-out to sign with': (store) => store.dispenseToSign(1),
  'a signature': (store) => store.sign(store.out.signable()[0]!),
  'the end of a token': (store) => store.revoke(),
  'the end of the log': (store) => store.destroy(NO_AGE),
};

/** `isLifeOver`: then a stop takes all of it into the database, and the next life has begun. */
async function alone(
  t: TestContext,
  durability: Durability,
  act: string,
  isLifeOver: boolean,
): Promise<void> {
  using store = new CopiedStore(mkdtempSync(join(PLACE, 'vanitypool-test-')), true);
  await store.begin(durability);
  for (const pool of POOLS) {
    await store.insert(pool, 30);
    await store.turn(pool, 8);
  }
  await store.reserve();
  await store.revoke();
  await store.dispenseToSign(1);
  for (let done = 1; done < SIGN_LIMIT; done++) await store.sign(store.out.signable()[0]!);
  if (isLifeOver) {
    // Nothing is leased, and the copy has all in its database: no table shows what the act was.
    await store.stop();
    await store.begin(durability);
    await store.destroy(NO_AGE);
  }
  const copies = [store.copy()];
  await ALONE[act]!(store);
  if (isLifeOver) {
    await store.stop();
    await store.begin(durability);
  }
  await store.kill(false);
  await assertHonest(store, 'kill', durability);
  await tryAll(t, store, copies);
}

/** `between`: after each of the two copies something more leaves, and this life ends so, or goes on. */
async function smallHistory(
  t: TestContext,
  durability: Durability,
  between: End | 'nothing',
  end: End,
): Promise<void> {
  using store = new CopiedStore(mkdtempSync(join(PLACE, 'vanitypool-test-')), true);
  await store.begin(durability);
  const copies: Moment[] = [];
  for (const pool of POOLS) await store.insert(pool, 40);
  for (let round = 0; round < 3; round++) {
    for (const pool of POOLS) await store.turn(pool, 6);
    await store.dispense('pet', 2);
    await store.dispense('pet', 2, `${round}`.padStart(64, '7'));
    await store.reserve();
    if (round > 0) await store.dispenseReservation();
    await store.dispenseToSign(1);
    await store.revoke();
    for (const address of store.out.signable()) await store.sign(address);
    if (round === 2) continue;
    copies.push(store.copy());
    if (between === 'nothing') continue;
    await store.dispense('pet', 1);
    await store.revoke();
    await over(store, between);
    await store.begin(durability);
  }
  await over(store, end);
  await assertHonest(store, end, durability);
  await tryAll(t, store, copies);
}

for (const durability of ['leased', 'committed'] as const) {
  for (const between of ['nothing', 'stop'] as const) {
    for (const end of ['stop', 'kill'] as const) {
      const which = `two copies, ${between} between them, with what a ${end} left`;
      test(
        `${IS_LONG ? 'every mix' : 'a ninth of all mixes'} of ${which} (${durability})`,
        LIMIT,
        (t) => smallHistory(t, durability, between, end),
      );
    }
  }
  for (const act of Object.keys(ALONE)) {
    for (const isLifeOver of [false, true]) {
      const then = isLifeOver ? `${act}, a stop and a kill` : `${act} and a kill`;
      test(
        `${IS_LONG ? 'every mix' : 'a quarter of all mixes'} of a copy with what is there after ${then} (${durability})`,
        LIMIT,
        (t) => alone(t, durability, act, isLifeOver),
      );
    }
  }
}

test(`random histories for ${SECONDS} s`, LIMIT, async (t) => {
  t.diagnostic(`COPIES_SEED=${SEED}`);
  const until = Date.now() + SECONDS * 1000;
  const tried: Tried = { refused: 0, accepted: 0, wrong: [] };
  let histories = 0;
  for (; histories === 0 || Date.now() < until; histories++) {
    const seed = SEED + histories;
    await history(seed, until, tried).catch((cause: unknown) => {
      throw new Error(`COPIES_SEED=${seed}`, { cause });
    });
  }
  t.diagnostic(`${histories} histories; ${tried.refused} refused, ${tried.accepted} accepted`);
});
