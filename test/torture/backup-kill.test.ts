/**
 * Backups and restores are killed at random moments. What has the name of a backup is a whole one,
 * what is left beside it is refused or whole, and a data directory has the whole restored store or
 * none: then the next restore makes it. TORTURE_CYCLES sets how often.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { copyBackup } from '../../src/store/sqlite/backup-file.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { PROGRAM, stateHome } from '../support/cli.ts';
import { LostStore, statesIn } from '../support/lost-store.ts';
import { checkStore } from '../support/sqlite-stores.ts';

const CYCLES = Number(process.env.TORTURE_CYCLES ?? 8);
/** About as long as a command takes on a machine that does nothing else. */
const LIFE_MAX_MS = 900;
/** And as long as it writes. */
const WRITING_MAX_MS = 120;

/**
 * Runs a command and kills it: after a random time, or a random time after something happened in
 * `directory` to a file whose name begins with `name`. True if it was done by then.
 */
async function killed(directory: string, name: string, ...args: string[]): Promise<boolean> {
  const env = { ...process.env, XDG_STATE_HOME: stateHome(dirname(directory)) };
  const child = spawn(PROGRAM, args, { stdio: 'ignore', env });
  const killIn = (ms: number) => setTimeout(() => child.kill('SIGKILL'), randomInt(ms));
  let timer: NodeJS.Timeout | undefined = randomInt(3) === 0 ? killIn(LIFE_MAX_MS) : undefined;
  const watcher = watch(directory, (_, changed) => {
    if (changed?.startsWith(name)) timer ??= killIn(WRITING_MAX_MS);
  });
  const [code] = await once(child, 'exit');
  watcher.close();
  clearTimeout(timer);
  assert.ok(code === 0 || code === null, `exit ${code}`);
  return code === 0;
}

/** A file that was left by a backup; false if it is refused. */
async function isWhole(file: string, place: string): Promise<boolean> {
  mkdirSync(place);
  try {
    await copyBackup(file, join(place, 'store.db'));
  } catch (error) {
    assert.ok(error instanceof VanityError && error.code === 'STORE_FOREIGN', String(error));
    return false;
  }
  checkStore(place);
  return true;
}

test(`${CYCLES} backups and restores killed`, async (t) => {
  using store = new LostStore();
  let left: number[] = [];
  await store.serve(async (open) => {
    await store.insert(open, 5000);
    left = await store.dispense(open, 700);
    await backupStore(store.directory, store.backup);
    left.push(...(await store.dispense(open, 300)));
  });
  const list = store.writeList(left.map((id) => ({ id })));
  let done = 0;
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const backups = join(store.root, `backups-${cycle}`);
    mkdirSync(backups);
    const isDone = await killed(
      backups,
      'backup',
      ...['backup', join(backups, 'backup'), '--data', store.directory],
    );
    done += Number(isDone);
    for (const name of readdirSync(backups).filter((one) => !one.endsWith('-journal'))) {
      const isGood = await isWhole(join(backups, name), join(store.root, `look-${cycle}-${name}`));
      assert.ok(isGood || name !== 'backup', 'what has its name is whole');
    }
    assert.ok(!isDone || existsSync(join(backups, 'backup')));

    const isListed = cycle % 2 === 0;
    const place = store.place(`restored-${cycle}`);
    const flags = isListed ? ['--dispensed', list] : [];
    const isMade = await killed(
      place.directory,
      'store.db',
      ...['restore', store.backup, '--data', place.directory, ...flags],
    );
    done += Number(isMade);
    if (!existsSync(join(place.directory, 'store.db'))) {
      assert.ok(!isMade);
      await restoreStore({ ...place, list: isListed ? list : undefined });
    }
    checkStore(place.directory);
    assert.deepEqual(
      statesIn(place.directory),
      isListed
        ? { dispensed: '1-1000', available: '1001-5000' }
        : { dispensed: '1-700', burned: '701-5000' },
    );
  }
  t.diagnostic(`${done} of ${2 * CYCLES} were done before they were killed`);
});
