/**
 * A store on a disk that refuses to read, here or there: for a moment, and what was begun goes on; all
 * the time, and it is reported as what it is. To SQLite such a read is a damaged database, and the steps
 * after damage give up every address: an error of the disk is never reported as damage, and burns
 * nothing. READS_SEED draws again at which reads it begins.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { vanitypool } from '../support/cli.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { Looker } from '../support/looker.ts';
import { randomOf } from '../support/sequence.ts';
import { EASY_POOL, Server, Workspace } from '../support/server.ts';
import {
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const LIMIT = { timeout: 300_000 };
const AVAILABLE = 350;
const DISPENSED = 50;
/**
 * How many reads of a file one try passes more than the one before, until no read is left to fail; the first
 * passes less than that.
 */
const STEPS = { once: 6, onceInLog: 34, forEver: 74 };
const SEED = Number(process.env.READS_SEED ?? Date.now() % 2 ** 31);
const LASTING = /^STORE_UNAVAILABLE \S+: .*look at the disk and its connection/;
/** Addresses are given up for nothing else: no word of it. */
const BURNING = /damaged|restore|adopt|CORRUPT|MOVED/;
const FILES = ['store.db', 'store.db-wal'];

/** What is looked at, and what of it is read. */
const LOOKS: Readonly<Record<string, readonly string[]>> = {
  start: [...FILES, 'lock'],
  check: FILES,
  checkProcess: FILES,
  adopt: [...FILES, 'lock'],
  backup: FILES,
  restore: ['../kept.backup'],
  read: FILES,
  audit: FILES,
};
/** It has begun to write before its last reads: those are refused, and nothing is changed. */
const WRITES = ['adopt'];

/** A store as a kill leaves it, with most of it in the log, and a backup beside its directory. */
async function killedStore(root: string): Promise<{ directory: string; putBack: () => void }> {
  const directory = join(root, 'data');
  const store = await openStoreIn(directory);
  await store.definePool(poolNamed('pet'));
  await store.insert(hitsFor('pet', AVAILABLE + DISPENSED));
  await turn(store, 'pet', 0, DISPENSED);
  await turn(store, 'pet', DISPENSED, 0);
  await backupStore(directory, join(root, 'kept.backup'));
  const anchor = () => join(directory, readdirSync(directory).find((name) => /anchor/.test(name))!);
  const name = anchor();
  const bytes = FILES.map((file) => readFileSync(join(directory, file)));
  await store.close();
  return {
    directory,
    /** All of it, in its place: nothing could detect it. */
    putBack() {
      rmSync(join(directory, 'store.db-shm'), { force: true });
      for (const [index, file] of FILES.entries())
        writeFileSync(join(directory, file), bytes[index]!);
      renameSync(anchor(), name);
    },
  };
}

suite('a disk that refuses to read', { concurrency: true }, () => {
  for (const [name, files] of Object.entries(LOOKS)) {
    test(`${name}: continues after one refusal, and reports a lasting one`, LIMIT, async (t) => {
      const root = temporaryDirectory(tmpdir());
      t.after(() => removeDirectory(root));
      const { directory, putBack } = await killedStore(root);
      using disk = new FaultyDisk(root, directory);
      await using looker = new Looker(directory, disk.environment);
      const place = disk.places[0]!;
      const random = randomOf(SEED);
      t.diagnostic(`READS_SEED=${SEED}`);
      /** What it says when `times` reads fail after `skipped`, all of them if it is 0; undefined if none did. */
      const look = async (skipped: number, times: number) => {
        putBack();
        const before = disk.refused;
        place.failAfter('EIO', 'read', skipped, times);
        const said = await looker.look(name);
        place.heal();
        return disk.refused > before ? said : undefined;
      };
      for (const file of files) {
        place.strikeAt(join(directory, file));
        const at = (skipped: number) => `${name}, ${file}, after ${skipped}`;
        const step = file === 'store.db-wal' ? STEPS.onceInLog : STEPS.once;
        for (let skipped = random(0, step - 1); ; skipped += step) {
          const said = await look(skipped, 1);
          if (said === undefined) break;
          if (said === 'ok' || !WRITES.includes(name)) assert.equal(said, 'ok', at(skipped));
          else assert.match(said, LASTING, at(skipped));
        }
        assert.match(String(await look(0, 0)), LASTING, at(0));
        for (let skipped = random(1, STEPS.forEver); ; skipped += STEPS.forEver) {
          const said = await look(skipped, 0);
          if (said === undefined) break;
          // What it reads last may be of no matter any more.
          if (said !== 'ok') assert.match(said, LASTING, at(skipped));
          assert.doesNotMatch(said.replaceAll(root, ''), BURNING, at(skipped));
        }
      }
      putBack();
      assert.equal(await looker.look('start'), 'ok');
      const left = withDatabase(
        directory,
        (db) => db.prepare('SELECT available, dispensed, burned FROM pools').get()!,
      );
      assert.deepEqual({ ...left }, { available: AVAILABLE, dispensed: DISPENSED, burned: 0 });
    });
  }

  test('a server: refused in words that burn nothing, and starts when it can', LIMIT, async () => {
    await using workspace = new Workspace();
    using disk = new FaultyDisk(workspace.path, workspace.data);
    workspace.environment = disk.environment;
    workspace.configure([EASY_POOL], '[store]', 'journal = "data"');
    const server = await workspace.serve();
    await server.until(({ ready }) => ready > 0);
    await server.dispense();
    await server.kill('SIGKILL');
    const place = disk.places[0]!;
    const started = async () => {
      const refused = new Server(workspace, []);
      return { code: await refused.exited, said: refused.output };
    };
    // It opens the store as a start does.
    const command = async () => {
      const { code, stderr } = await vanitypool(['dispense', 'pet'], {
        cwd: workspace.path,
        env: disk.environment,
      });
      return { code, said: stderr };
    };
    for (const [path, expected, open] of [
      [join(workspace.data, 'store.db'), 'STORE_UNAVAILABLE', command],
      [join(workspace.data, 'journal/lock'), 'JOURNAL_UNAVAILABLE', command],
      [join(workspace.data, 'journal/1-'), 'JOURNAL_UNAVAILABLE', started],
    ] as const) {
      place.strikeBelow(path);
      place.fail('EIO', 'read');
      const { code, said } = await open();
      assert.equal(code, 1, said);
      assert.match(said, new RegExp(expected));
      assert.doesNotMatch(said, /STORE_CORRUPT|vanitypool restore/);
      place.heal();
    }
    const before = disk.refused;
    place.failAfter('EIO', 'read', 0, 1);
    const next = await workspace.serve();
    assert.equal(disk.refused, before + 1);
    assert.equal((await next.pool()).burned, 0);
    assert.equal(await next.kill('SIGTERM'), 0, next.output);
  });
});
