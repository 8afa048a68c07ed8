/**
 * The power fails under the server that ships: all that was not synced is gone, or half of it is.
 *
 * A server is recorded (test/support/disk-recorder.c) while clients empty two pools and it grinds,
 * inserts and refills, through a stop and a second start. Then, for moments right before and right
 * after a sync has ended, each disk that may be found there (test/support/power-loss.ts) is opened
 * as the next start opens it. Nothing that left before comes out again, nothing acknowledged is
 * missing, the file is whole, no more is burned than was promised, and no disk is taken for another
 * state of the store: its one anchor has one of the two names that the database records. The
 * journals are gone, as memory is. Times are reported, not judged: how long a record waits is a
 * matter of the machine.
 *
 * POWER_CUTS sets how many disks are opened for each durability (Infinity: every one), POWER_SEED
 * which; the trace is another each time. Linux alone.
 *
 * And the order is exact: at each reply with a secret what is synced by then, and nothing else, has the
 * address as `dispensed` in `committed` mode, and as `leased` at least in the other.
 *
 * Seen to fail with synchronous=NORMAL; with addresses pushed before the commit of their lease; with
 * replies before the commit of `committed` mode; with leases trusted though a journal is gone; with
 * a sealing key that is not synced; with dispenses that are recorded some hundred at a time; with the
 * rename of an anchor that is not synced, or whose name before is not recorded; with a checkpoint that
 * is said to be complete and is not; and where a store whose making was cut off is not made anew.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Durability } from '../../src/config/config.ts';
import { anchorNames } from '../../src/disk/anchor.ts';
import { encodeBase58 } from '../../src/keypair/address.ts';
import { THIS_MACHINE } from '../../src/pool/journal-places.ts';
import { Journals } from '../../src/pool/journals.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import {
  assertStanding,
  mixOf,
  numberInFile,
  recordedIn,
} from '../../src/store/sqlite/standing.ts';
import type { Store } from '../../src/store/store.ts';
import { DurableState } from '../support/durable-state.ts';
import {
  Disk,
  readTrace,
  recordingTo,
  SURVIVALS,
  type Survival,
  type TraceRecord,
  writeImage,
} from '../support/power-loss.ts';
import { Replies } from '../support/replies.ts';
import { randomOf } from '../support/sequence.ts';
import { type Handed, type Server, Workspace } from '../support/server.ts';
import { adoptIn, checkStore, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

/** Where disks are opened: in memory, where a sync costs nothing. */
const MEMORY = '/dev/shm';
const CUTS = Number(process.env.POWER_CUTS ?? 20);
const SEED = Number(process.env.POWER_SEED ?? randomInt(1, 2 ** 31));
/** For every disk that there is, on a busy machine. */
const LIMIT = { timeout: 7_200_000 };

const READY_MAX = 24;
const POOL = { target: 400, ready: 16, ready_max: READY_MAX };
/** At idle priority a busy machine would never find an address. */
const GRINDER = 'priority = "normal"';
const POOLS = [
  { name: 'pet', suffix: 't', ...POOL },
  { name: 'pump', suffix: 'p', ...POOL },
];
/** How many addresses each client asks for, and how often in each of the server's lives; in a long form more. */
const CLIENTS = [1, 1, 1, 5];
const LIVES = process.env.POWER_CUTS === undefined ? [40, 20] : [200, 50];
const PAUSE_MS = 3;
/** Taken out of a ready queue, in replies that have not left: at most one of each client. */
const IN_FLIGHT_MAX = CLIENTS.reduce((sum, count) => sum + count, 0);

/**
 * Dispenses are recorded within 100 ms, which no test can hold a busy machine to. But the thread
 * that does it does all else that is synced, some milliseconds each: so many come in between at most.
 */
const LAG_SYNCS_MAX = 50;

/** Records a server through all its lives; the trace, and every address that a client got. */
async function recorded(
  workspace: Workspace,
  durability: Durability,
): Promise<{ records: TraceRecord[]; handed: Handed[] }> {
  const settings = ['[store]', `durability = "${durability}"`, '[grinder]', 'threads = 1', GRINDER];
  workspace.configure(POOLS, ...settings);
  const trace = join(workspace.path, 'trace');
  workspace.environment = recordingTo(trace, workspace.data);
  const handed: Handed[] = [];
  for (const requests of LIVES) {
    const server = await workspace.serve('--data', workspace.data);
    for (const { name, target } of POOLS) {
      await server.until(({ available, leased }) => available + leased >= target, name);
    }
    await Promise.all(CLIENTS.map((count) => ask(server, count, requests, handed)));
    assert.equal(await server.kill('SIGTERM'), 0);
  }
  return { records: readTrace(trace), handed };
}

/** One client: now of this pool, now of that, and sometimes it asks how they are. */
async function ask(server: Server, count: number, requests: number, handed: Handed[]) {
  for (let request = 0; request < requests; ) {
    try {
      handed.push(...(await server.dispense(count, POOLS[request % POOLS.length]!.name)));
      if (request++ % 10 === 0) await server.get('/v1/pools');
    } catch (error) {
      assert.match((error as Error).message, /^(POOL_EMPTY|STORE_UNAVAILABLE)$/);
    }
    await sleep(PAUSE_MS);
  }
}

/** A disk that is opened: what it held at a record of the trace. */
interface Cut {
  /** The record before which, or after which, the power fails. */
  readonly index: number;
  readonly isAfter: boolean;
  readonly survival: Survival;
  /** Of the file whose sync ends there; '' for the end of the trace. */
  readonly name: string;
}

/** Every disk of every sync, and of the end. A sync that leaves nothing open leaves one disk. */
function cutsOf(records: readonly TraceRecord[]): Cut[] {
  const disk = new Disk();
  const cuts: Cut[] = [];
  for (const [index, record] of records.entries()) {
    const name = record.kind === 'synced' ? disk.nameOf(record.file) : '';
    const isLast = index === records.length - 1;
    if (name !== '') {
      for (const survival of SURVIVALS) cuts.push({ index, isAfter: false, survival, name });
    }
    disk.apply(record);
    if (name === '' && !isLast) continue;
    const survivals = disk.isPending ? SURVIVALS : (['none'] as const);
    for (const survival of survivals) cuts.push({ index, isAfter: true, survival, name });
  }
  return cuts;
}

/** Half of them of the log, which is synced with each commit, and half of all that is rare. */
function sample(cuts: readonly Cut[], count: number, random: (min: number, max: number) => number) {
  if (count >= cuts.length) return cuts;
  const drawn: Cut[] = [];
  const { log = [], rare = [] } = Object.groupBy(cuts, ({ name }) =>
    name === 'store.db-wal' ? 'log' : 'rare',
  );
  for (const kind of [rare, log]) {
    for (let left = count / 2; left > 0 && kind.length > 0; left--) {
      drawn.push(...kind.splice(random(0, kind.length - 1), 1));
    }
  }
  return drawn;
}

/**
 * What is on the disk is the store for the next start, if its files were not copies: it has its one
 * anchor under one of the two names that it records, and its database and log are of one store. False
 * if the store was never opened: then nothing that is recorded identifies its copy.
 */
function isRecorded(storeFile: string): boolean {
  const recorded = recordedIn(storeFile, 'with-log');
  const names = anchorNames(storeFile);
  if (recorded === undefined || recorded.anchor === null) {
    assert.equal(recorded?.place ?? null, null);
    assertStanding(storeFile, { copies: 'unguarded' });
    return false;
  }
  const accepted = [recorded.anchor, recorded.before];
  assert.equal(names.length, 1, `anchors: ${names}`);
  assert.ok(accepted.includes(names[0]!), `anchor ${names}; recorded are ${accepted}`);
  assert.equal(mixOf(recorded, numberInFile(storeFile)), undefined);
  return true;
}

async function openImage(
  directory: string,
  image: ReadonlyMap<string, Buffer>,
  durability: Durability,
): Promise<Store> {
  mkdirSync(directory, { mode: 0o700 });
  writeImage(directory, image);
  const storeFile = join(directory, 'store.db');
  // The files are copies: their inodes are others.
  if (image.has('store.db') && isRecorded(storeFile)) await adoptIn({ directory, as: 'moved' });
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  // The machine starts again.
  const machine = { ...THIS_MACHINE, bootId: () => 'another start' };
  using journals = new Journals({ dataDirectory: directory, machine });
  const { recover } = journals;
  return await openSqliteStore({ directory, sealingKey, durability, recover });
}

/** How long the oldest of those that left without a record on disk had been gone. */
interface Lag {
  readonly addresses: number;
  readonly syncs: number;
  readonly ms: number;
}

const NO_LAG: Lag = { addresses: 0, syncs: 0, ms: 0 };

/** Opens a disk and checks it against what was promised, and what others know. */
async function check(
  directory: string,
  image: ReadonlyMap<string, Buffer>,
  durability: Durability,
  told: Replies,
): Promise<Lag> {
  await using store = await openImage(directory, image, durability);
  const found = new Map((await store.pools()).map(({ name, counts }) => [name, counts]));
  let lag = NO_LAG;
  for (const [name, { left, ground: acknowledged }] of told.pools) {
    const counts = found.get(name);
    if (counts === undefined) {
      assert.deepEqual([left.size, acknowledged], [0, 0], `pool ${name} is not lost`);
      continue;
    }
    const { available, leased, reserved, dispensed, burned, ground, imported } = counts;
    assert.equal(available + leased + reserved + dispensed + burned, ground + imported);
    assert.equal(leased, 0, 'the leases are settled');
    assert.ok(
      ground >= acknowledged,
      `${acknowledged} were reported as ground, ${ground} are there`,
    );
    const [gone, ready] =
      durability === 'committed' ? [dispensed, 0] : [dispensed + burned, READY_MAX];
    assert.ok(gone >= left.size, `${left.size} have left, ${gone} are given up`);
    const most = left.size + ready + IN_FLIGHT_MAX;
    assert.ok(gone <= most, `${most} have left or were on their way, ${gone} are given up`);
    if (durability === 'committed') assert.equal(burned, 0, 'nothing is burned');

    const drained = await turn(store, name, 0, available);
    assert.deepEqual([drained.leased.length, drained.burned], [available, 0], 'all is readable');
    const again = drained.leased.filter(({ publicKey }) => left.has(encodeBase58(publicKey)));
    assert.equal(again.length, 0, `${again.length} come out that have left before`);
    await store.insert(hitsFor(name, 1));
    const { leased: fresh } = await turn(store, name, 0, 1);
    const highest = Math.max(0, ...[...left.values()].map(({ id }) => id));
    assert.ok(fresh[0]!.id > highest, 'ids go on behind those that have left');

    const unrecorded = left.size - dispensed;
    if (unrecorded > lag.addresses) {
      const oldest = [...left.values()].at(-unrecorded)!;
      lag = {
        addresses: unrecorded,
        syncs: told.syncs - oldest.sync,
        ms: (told.timeUs - oldest.timeUs) / 1000,
      };
    }
  }
  await store.close();
  checkStore(directory);
  const stored = withDatabase(directory, (db) =>
    db.prepare('SELECT lower(hex(key_hash)) AS hash FROM addresses').all(),
  );
  const hashes = new Set(stored.map(({ hash }) => hash));
  for (const { left } of told.pools.values()) {
    const lost = [...left.values()].filter(({ keyHash }) => !hashes.has(keyHash));
    assert.equal(
      lost.length,
      0,
      `${lost.length} that have left are unknown, and could be ground again`,
    );
  }
  return lag;
}

async function powerLoss(t: TestContext, durability: Durability): Promise<void> {
  await using workspace = new Workspace();
  const { records, handed } = await recorded(workspace, durability);
  const random = randomOf(SEED);
  const cuts = cutsOf(records);
  const sampled = sample(cuts, CUTS, random);
  const drawn = Object.groupBy(sampled, ({ index }) => index);
  const disk = new Disk();
  const told = new Replies(POOLS);
  const found = mkdtempSync(join(MEMORY, 'vanitypool-test-'));
  const durable = new DurableState(join(found, 'synced'));
  let replies = 0;
  const lags: Lag[] = [];
  const cutAt = async ({ index, isAfter, survival, name }: Cut) => {
    const directory = join(found, 'data');
    try {
      lags.push(await check(directory, disk.after(survival, random), durability, told));
    } catch (cause) {
      const where = `${isAfter ? 'after' : 'before'} record ${index} (${name || 'the last'})`;
      const which = `POWER_SEED=${SEED} POWER_CUTS=${CUTS}`;
      throw new Error(`power lost ${where}; '${survival}' survives; ${which}`, { cause });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  try {
    for (const [index, record] of records.entries()) {
      const here = drawn[index] ?? [];
      for (const cut of here) if (!cut.isAfter) await cutAt(cut);
      disk.apply(record);
      if (record.kind === 'synced') durable.forget();
      const leaving = told.hear(record);
      for (const state of durable.statesOf(disk, leaving)) {
        const isSafe = state === 'dispensed' || (state === 'leased' && durability === 'leased');
        assert.ok(isSafe, `record ${index}: a reply leaves whose address is ${state} on disk`);
      }
      replies += Number(leaving.length > 0);
      for (const cut of here) if (cut.isAfter) await cutAt(cut);
    }
  } finally {
    rmSync(found, { recursive: true, force: true });
  }
  const [addresses, syncs, ms] = (['addresses', 'syncs', 'ms'] as const).map((figure) =>
    Math.max(...lags.map((lag) => Math.round(lag[figure]))),
  ) as [number, number, number];
  assert.ok(syncs <= LAG_SYNCS_MAX, `a dispense was not recorded for ${syncs} syncs`);
  const names = cuts.filter(({ isAfter, survival }) => !isAfter && survival === 'none');
  const kinds = Object.entries(Object.groupBy(names, ({ name }) => name));
  const counted = kinds.map(([name, list]) => `${list!.length} of ${name}`).join(', ');
  t.diagnostic(`${sampled.length} of ${cuts.length} disks opened; syncs: ${counted}`);
  t.diagnostic(`${replies} replies, each after what it says was synced`);
  t.diagnostic(`dispensed without a record: at most ${addresses}, ${syncs} syncs, ${ms} ms`);

  // The recorder has missed nothing: neither of what left nor of what was written.
  const left = [...told.pools.values()].flatMap((pool) => [...pool.left.keys()]);
  assert.deepEqual(left.sort(), handed.map(({ address }) => address).sort());
  const whole = disk.after('all', random);
  assert.deepEqual([...whole.keys()].sort(), readdirSync(workspace.data).sort());
  for (const [name, bytes] of whole) {
    const isSame = bytes.equals(readFileSync(join(workspace.data, name)));
    assert.ok(isSame, `${name} is what the trace comes to`);
  }
}

if (process.platform === 'linux') {
  suite(`the power fails at ${CUTS} moments`, () => {
    test('leased', LIMIT, (t) => powerLoss(t, 'leased'));
    test('committed', LIMIT, (t) => powerLoss(t, 'committed'));
  });
}
