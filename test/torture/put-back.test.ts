/**
 * Old copies of a data directory, or of single files of it, are put back over the store of a real
 * server: as `cp` and `rsync --inplace` do it, under the same inode, and as new files. A start knows
 * that something is older than what left since, by the name of the anchor beside the database and by
 * the witness outside the directory, and refuses it without a change. `adopt --restored` then
 * gives up what may have left. What is not put back is never refused.
 */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';
import {
  ANCHOR,
  anchorsIn,
  type Copy,
  changesSince,
  copyOf,
  journalsOf,
  only,
  putBack,
  revert,
  take,
} from '../support/copies.ts';
import { LeftBehind } from '../support/left-behind.ts';
import { Server } from '../support/server.ts';
import { withDatabase } from '../support/sqlite-stores.ts';
import { IDLE, SMALL_POOL, Tampering } from '../support/tampering.ts';

const LIMIT = { timeout: 300_000 };
/** More than a queue holds: there is a lease between any two copies. */
const BETWEEN = SMALL_POOL.ready_max + 6;

suite('after a clean stop', () => {
  const tampering = new Tampering();
  /** After the first stop, and after the second: more has left meanwhile. */
  let old: Copy;
  let now: Copy;
  before(async () => {
    const first = await tampering.full();
    await tampering.takeEach(first, 20);
    await first.kill('SIGTERM');
    old = copyOf(tampering.data);
    await tampering.takeAtRest(50);
    now = copyOf(tampering.data);
  });
  after(() => tampering[Symbol.asyncDispose]());

  test('what is put back is refused, in every way', LIMIT, async () => {
    // `cp old/store.db data/`.
    putBack(
      tampering.data,
      only(old, (name) => name === 'store.db'),
      'in place',
    );
    await tampering.refusalAtRest();
    revert(tampering.data, now);
    // All files rolled back in place, the anchor too, are detected by the witness.
    revert(tampering.data, old);
    await tampering.refusalAsMoved();
    revert(tampering.data, now);
    // `cp -a old/. data/`.
    putBack(tampering.data, old, 'in place');
    await tampering.refusalAtRest();
    revert(tampering.data, now);
  });

  test('without its witness a server warns once, and serves', LIMIT, async () => {
    const older = copyOf(tampering.data);
    await tampering.takeAtRest(20);
    const newer = copyOf(tampering.data);
    // Nothing is there; then a file is where a directory should be.
    for (const isFile of [false, true]) {
      rmSync(tampering.workspace.state, { recursive: true, force: true });
      if (isFile) writeFileSync(tampering.workspace.state, '');
      const server = await tampering.serve(...IDLE);
      await tampering.takeEach(server, 5);
      await server.kill('SIGTERM');
      assert.equal(tampering.warningsOfWitness(server), 1, server.output);
    }
    tampering.assertOnce();
    // What only the witness detects is not detected without it; the anchor detects the rest.
    putBack(tampering.data, newer, 'in place');
    await tampering.refusalAtRest();
    putBack(
      tampering.data,
      only(older, (name) => name === 'store.db'),
      'in place',
    );
    await tampering.refusalAtRest();
  });

  test('adopted, it goes on', LIMIT, () => tampering.restoreAndGoOn());
});

/** A server that was killed; two copies were taken while it ran, more left after each. */
class Killed implements AsyncDisposable {
  readonly tampering = new Tampering();
  readonly copies: { readonly data: Copy; readonly journals: Copy }[] = [];
  /** Of the anchor, oldest first. */
  readonly names: string[] = [];
  /** As the kill left all. */
  left!: LeftBehind;

  static async make(): Promise<Killed> {
    const killed = new Killed();
    const { tampering, names } = killed;
    const server = await tampering.full();
    // Watched from now on: the directory is there.
    const watcher = watch(tampering.data, (_, name) => {
      if (name !== null && ANCHOR.test(name) && names.at(-1) !== name) names.push(name);
    });
    for (let round = 0; round < 2; round++) {
      await tampering.takeEach(server, BETWEEN);
      const journals = journalsOf(tampering.data)[0] ?? join(tampering.data, 'journal');
      killed.copies.push({ data: copyOf(tampering.data), journals: copyOf(journals) });
    }
    await tampering.takeEach(server, BETWEEN);
    await tampering.quiet(server);
    await server.kill('SIGKILL');
    watcher.close();
    killed.left = new LeftBehind(tampering.workspace, tampering.handed);
    return killed;
  }

  get anchor(): string {
    const [anchor] = anchorsIn(this.left.data.keys());
    assert.ok(anchor, 'a store has an anchor');
    return anchor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tampering[Symbol.asyncDispose]();
  }
}

/** What is put back: of each file, from which copy; those that are not named stay. */
interface Mix {
  readonly db?: 0 | 1;
  readonly wal?: 0 | 1;
  readonly shm?: 0 | 1;
  readonly journals?: 0 | 1;
  readonly anchor?: 0 | 1;
}

/** One of each kind, the first with a server; torture/copies-campaign tries every mix of a store without one. */
const MIXES: readonly (readonly [Mix, 'in place' | 'as a new file'])[] = [
  [{ wal: 0 }, 'in place'],
  [{ db: 1 }, 'as a new file'],
  [{ db: 1, wal: 0, shm: 1 }, 'in place'],
  [{ db: 0, wal: 0, shm: 0, anchor: 1 }, 'as a new file'],
  [{ db: 0, wal: 0, shm: 0, journals: 1, anchor: 0 }, 'in place'],
  [{ db: 1, wal: 1, shm: 1, journals: 0 }, 'as a new file'],
];

suite('after a SIGKILL', () => {
  let killed: Killed;
  before(async () => {
    killed = await Killed.make();
  });
  beforeEach(() => killed.left.revert());
  after(() => killed[Symbol.asyncDispose]());

  test('mixes of two copies are refused, or hand out nothing twice', LIMIT, async (t) => {
    const { tampering } = killed;
    const wrong: string[] = [];
    let refused = 0;
    for (const [mix, manner] of MIXES) {
      killed.left.revert();
      mixIn(killed, mix, manner);
      const found = copyOf(tampering.data);
      const started =
        mix === MIXES[0]![0] ? await tampering.tryToServe(...IDLE) : await tampering.restAtRest();
      if (typeof started === 'string') {
        refused++;
        if (!started.includes('DATA_MOVED')) continue;
        assert.deepEqual(changesSince(found, tampering.data), [], JSON.stringify(mix));
        continue;
      }
      const harm =
        started instanceof Server ? await tampering.harm(started) : tampering.harmOf(started);
      if (!harm.startsWith('0 ')) wrong.push(`${JSON.stringify(mix)} ${manner}: ${harm}`);
    }
    t.diagnostic(`${refused} of ${MIXES.length} were refused`);
    assert.deepEqual(wrong, []);
  });

  test('only the anchor that was there last lets a start through', LIMIT, async () => {
    const { tampering, anchor } = killed;
    const at = (name: string) => join(tampering.data, name);
    // The watch may have missed one that was there for a moment.
    const previous = withDatabase(
      tampering.data,
      (db) =>
        `store.db-anchor-${db.prepare('SELECT anchor_before FROM meta').get()!.anchor_before}`,
    );
    killed.left.revert();
    const older = killed.names.at(-4)!;
    assert.equal(killed.names.at(-1), anchor, 'its name was watched');
    const other = `store.db-anchor-${'0'.repeat(32)}`;
    const BLOWS: Record<string, () => void> = {
      'it is missing': () => take(at(anchor), killed.left.aside),
      'it has a name that nobody gave': () => renameSync(at(anchor), at(other)),
      'it has the name of an older time': () => renameSync(at(anchor), at(older)),
      'it is a copy': () => {
        take(at(anchor), killed.left.aside);
        writeFileSync(at(anchor), '', { mode: 0o600 });
      },
      'an older one is beside it': () => writeFileSync(at(older), '', { mode: 0o600 }),
      'the one before is beside it': () => writeFileSync(at(previous), '', { mode: 0o600 }),
    };
    for (const [name, strike] of Object.entries(BLOWS)) {
      strike();
      await tampering.refusalAtRest().catch((cause: unknown) => {
        throw new Error(name, { cause });
      });
      killed.left.revert();
    }
    // A kill may have come between a commit and the rename that belongs to it.
    renameSync(at(anchor), at(previous));
    await tampering.exhaustAtRest();
    assert.equal(anchorsIn(copyOf(tampering.data).keys()).length, 1);
  });

  test(
    'a copy in place of the directory is refused; adopted, all of it is given up',
    LIMIT,
    async () => {
      const { tampering } = killed;
      const copy = tampering.path('copy');
      cpSync(tampering.data, copy, { recursive: true, preserveTimestamps: true });
      rmSync(tampering.data, { recursive: true });
      renameSync(copy, tampering.data);
      chmodSync(tampering.data, 0o700);
      await tampering.refusalAtRest();
      await tampering.done('adopt', '--restored');
      assert.match((await tampering.run('dispense', 'pet')).stderr, /POOL_EMPTY/);
    },
  );
});

function mixIn(killed: Killed, mix: Mix, manner: 'in place' | 'as a new file'): void {
  const { tampering, copies, left } = killed;
  const { aside } = left;
  const put = (from: 0 | 1 | undefined, name: string) => {
    if (from === undefined) return;
    const copy = only(copies[from]!.data, (one) => one === name);
    putBack(tampering.data, copy, manner, aside);
  };
  put(mix.db, 'store.db');
  put(mix.wal, 'store.db-wal');
  put(mix.shm, 'store.db-shm');
  if (mix.journals !== undefined) left.putBackJournals(copies[mix.journals]!.journals);
  if (mix.anchor === undefined) return;
  const [now] = anchorsIn(copyOf(tampering.data).keys());
  const [old] = anchorsIn(copies[mix.anchor]!.data.keys());
  // Without anchors there is nothing to put back.
  if (now === undefined || old === undefined) return;
  if (manner === 'in place') renameSync(join(tampering.data, now), join(tampering.data, old));
  else
    putBack(
      tampering.data,
      only(copies[mix.anchor]!.data, (name) => name === old),
      manner,
      aside,
    );
}
