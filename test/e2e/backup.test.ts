/**
 * A server that grinds and hands out is backed up, lost, and restored: nothing that ever left it
 * comes out again.
 */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { copyBackup } from '../../src/store/sqlite/backup-file.ts';
import { vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { assertIdentity, EASY_POOL, type Handed, Workspace } from '../support/server.ts';
import { checkStore, openStoreIn, withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

/** The store in `backup`, checked from outside: its pool, and the highest id. */
async function lookInto(workspace: Workspace, backup: string) {
  const place = join(workspace.path, 'look');
  mkdirSync(place);
  await copyBackup(backup, join(place, 'store.db'));
  checkStore(place);
  return withDatabase(place, (db) => ({
    pool: db.prepare('SELECT * FROM pools').get()!,
    highest: Number(db.prepare('SELECT max(id) AS id FROM addresses').get()!.id),
  }));
}

/** Moves the data away, as a disk that is lost would, and puts the sealing key into a new place. */
function lose(workspace: Workspace): void {
  const old = join(workspace.path, 'old');
  renameSync(workspace.data, old);
  mkdirSync(workspace.data, { mode: 0o700 });
  cpSync(join(old, 'sealing.key'), join(workspace.data, 'sealing.key'));
}

const unique = (handed: readonly Handed[]) => new Set(handed.map(({ address }) => address)).size;

test('a server that was killed after its backup hands nothing out again', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 1000 }]);
  const run = (...args: string[]) => vanitypoolHere(args, {}, workspace.path);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= 200);
  const handed: Handed[] = [];
  let isOver = false;
  const taking = (async () => {
    for (; !isOver; await sleep(5)) {
      // An empty pool is filled again.
      handed.push(...(await server.dispense(3).catch(() => [])));
    }
  })();

  const { code, stdout, stderr } = await run('backup', 'backup');
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^backup: \d+ bytes, checked\n$/);
  assert.match(stderr, /^copied \d+%\n/);
  assert.match(stderr, /sealing key is not in it.*\n.*\/data\/sealing\.key in another place/);
  const before = handed.length;
  while (handed.length < before + 50) await sleep(5);
  isOver = true;
  await server.kill('SIGKILL');
  await taking;

  const lost = workspace.journals;
  t.after(() => rmSync(lost, { recursive: true, force: true }));
  const { pool, highest } = await lookInto(workspace, join(workspace.path, 'backup'));
  assert.equal(unique(handed), handed.length);
  lose(workspace);
  const restored = await run('restore', 'backup');
  assert.equal(restored.code, 0, restored.stderr);
  const burned = Number(pool.available) + Number(pool.leased);
  assert.deepEqual(restored.lines.slice(1), [`pool pet: ${burned} burned`]);
  const parts = readdirSync(lost).filter((name) => name.endsWith('.journal'));
  assert.ok(parts.length > 0, 'its journals stay: it might be started again, in another place');

  const again = await workspace.serve();
  assert.ok(Number(again.log.find(({ msg }) => msg === 'store open')!.epoch) > 2 ** 20);
  await again.until(({ ready }) => ready >= 100);
  const next = await again.dispense(100);
  const figures = await again.pool();
  assertIdentity(figures);
  assert.deepEqual([figures.burned, figures.dispensed], [burned, Number(pool.dispensed) + 100]);
  assert.equal(unique([...handed, ...next]), handed.length + 100);
  const last = Math.max(highest, ...handed.map(({ id }) => id));
  assert.ok(next.every(({ id }) => id > last + 2 ** 31 && id < 2 ** 53));
});

test('with the list of what left, exactly the rest of the backup comes out', LIMIT, async () => {
  await using workspace = new Workspace();
  const configure = (target: number) => workspace.configure([{ ...EASY_POOL, target }]);
  configure(300);
  const run = (...args: string[]) => vanitypoolHere(args, {}, workspace.path);
  const server = await workspace.serve();
  await server.until(({ available, leased, ready }) => available + leased >= 300 && ready >= 200);
  const handed = await server.dispense(40);
  assert.equal((await run('backup', 'backup')).code, 0);
  handed.push(...(await server.dispense(60)));
  await server.kill('SIGKILL');

  const { highest, pool } = await lookInto(workspace, join(workspace.path, 'backup'));
  const audit = await run('audit', '--json');
  assert.equal(audit.code, 0, audit.stderr);
  writeFileSync(join(workspace.path, 'list'), audit.stdout);
  lose(workspace);
  const restored = await run('restore', 'backup', '--dispensed', 'list');
  assert.equal(restored.code, 0, restored.stderr);
  const known = handed.filter(({ id }) => id <= highest).length;
  assert.deepEqual(restored.lines.slice(1), [
    `pool pet: ${known - Number(pool.dispensed)} dispensed, 0 burned by the list; ${highest - known} available` +
      (known === handed.length
        ? ''
        : `; ${handed.length - known} of the list are not in the backup`),
  ]);

  // Nothing new is ground: what comes out was in the backup.
  configure(1);
  const again = await workspace.serve();
  await again.until(({ ready }) => ready > 0);
  const rest: Handed[] = [];
  while (rest.length < highest - known) {
    rest.push(...(await again.dispense(Math.min(highest - known - rest.length, 1000))));
  }
  const ids = [...handed.filter(({ id }) => id <= highest), ...rest].map(({ id }) => id);
  assert.deepEqual(
    ids.toSorted((one, other) => one - other),
    Array.from({ length: highest }, (_, index) => index + 1),
  );
});

test('a restore beside a live server, as a drill, costs that one nothing', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const run = (...args: string[]) => vanitypoolHere(args, {}, workspace.path);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= 200);
  assert.equal((await run('backup', 'backup')).code, 0);
  const handed = await server.dispense(50);
  const drill = join(workspace.path, 'drill');
  mkdirSync(drill, { mode: 0o700 });
  cpSync(join(workspace.data, 'sealing.key'), join(drill, 'sealing.key'));
  const restored = await run('restore', 'backup', '--data', drill);
  assert.equal(restored.code, 0, restored.stderr);
  const copy = join(workspace.path, 'copy');
  cpSync(workspace.data, copy, { recursive: true });
  const adopted = await run('adopt', '--restored', '--data', copy);
  assert.equal(adopted.code, 0, adopted.stderr);
  handed.push(...(await server.dispense(50)));
  await server.kill('SIGKILL');
  const again = await workspace.serve();
  const figures = await again.pool();
  assert.deepEqual([figures.burned, figures.dispensed], [0, 100]);
  handed.push(...(await again.dispense(100)));
  assert.equal(unique(handed), 200);
});

test('what is asked for wrongly is said, and nothing is made', LIMIT, async () => {
  await using workspace = new Workspace();
  const run = (...args: string[]) => vanitypoolHere(args, {}, workspace.path);
  for (const command of ['backup', 'restore']) {
    const none = await run(command);
    assert.deepEqual([none.code, none.stdout], [2, '']);
    assert.match(none.stderr, /which file\?.*USAGE_INVALID/);
    assert.match((await run(command, 'a', 'b')).stderr, /takes one file, a, not also "b"/);
    assert.match((await run(command, 'a', '--date', 'x')).stderr, /no option --date.*--data/);
    assert.equal((await run(command, '--help')).code, 0);
  }
  const missing = await run('backup', 'a');
  assert.deepEqual([missing.code, /STORE_NOT_FOUND/.test(missing.stderr)], [1, true]);
  assert.match((await run('restore', 'a')).stderr, /^vanitypool: a: there is no such file/);
  assert.deepEqual(readdirSync(workspace.path), []);
});

test('Ctrl-C ends a backup with 130 and leaves nothing, or comes too late', LIMIT, async () => {
  await using workspace = new Workspace();
  await (await openStoreIn(workspace.data)).close();
  const { code } = await vanitypool(['backup', 'backup'], {
    cwd: workspace.path,
    onFirstOutput: (child) => child.kill('SIGINT'),
  });
  assert.ok(code === 130 || code === 0, `exit ${code}`);
  assert.equal(existsSync(join(workspace.path, 'backup')), code === 0);
  const partial = readdirSync(workspace.path).filter((name) => name.includes('partial'));
  assert.deepEqual(partial, []);
});
