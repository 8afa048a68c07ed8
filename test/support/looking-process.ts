/**
 * A process that looks at a store as often as it is asked, for a test whose disk fails under it
 * (faulty-disk.ts). Argument: the data directory. For each line that it reads, the name of a look, it
 * writes one: `ok`, or the error's code and message.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type ErrorCode, VanityError } from '../../src/errors.ts';
import { AuditReader, isSettled } from '../../src/store/sqlite/audit-reader.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { checkWhole } from '../../src/store/sqlite/check.ts';
import { readBurned, readPools } from '../../src/store/sqlite/look.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { adoptIn, openStoreIn } from './sqlite-stores.ts';

const directory = process.argv[2]!;
const path = join(directory, 'store.db');
const CHECK = new URL('../../src/store/sqlite/check-process.ts', import.meta.url).pathname;
const beside = (name: string) => join(directory, '..', name);
const sealingKey = `file:${join(directory, 'sealing.key')}`;
/** What one look leaves is no matter of the next. */
const anew = (name: string) => {
  rmSync(beside(name), { recursive: true, force: true });
  return beside(name);
};

const LOOKS: Readonly<Record<string, () => unknown>> = {
  start: async () => (await openStoreIn(directory)).close(),
  /** With the sealing key in a directory of its own. */
  startWithKeys: async () => {
    const keys = `file:${join(beside('keys'), 'sealing.key')}`;
    return (await openSqliteStore({ directory, sealingKey: keys })).close();
  },
  check: () => checkWhole(path, false, true),
  /** With the disk of this process, which a server does not pass on. */
  checkProcess() {
    const { status, stdout } = spawnSync(process.execPath, [
      CHECK,
      path,
      'in-use',
      String(process.pid),
    ]);
    if (status === 0) return;
    const { code, message } = JSON.parse(String(stdout).replace('begun\n', '')) as {
      code: ErrorCode;
      message: string;
    };
    throw new VanityError(code, message);
  },
  adopt: () => adoptIn({ directory, as: 'moved' }),
  backup: () => backupStore(directory, anew('made.backup')),
  restore: () =>
    restoreStore({ file: beside('kept.backup'), directory: anew('restored'), sealingKey }),
  read: () => [readPools(directory), readBurned(directory), isSettled(directory)],
  async audit() {
    await using reader = await AuditReader.open(directory, sealingKey);
    const { listed } = await reader.store();
    const { addresses } = await reader.page({ after: 0, limit: 1000 });
    if (addresses.length !== listed) throw new Error(`${addresses.length} of ${listed}`);
  },
};

for await (const name of createInterface({ input: process.stdin })) {
  try {
    await LOOKS[name]!();
    process.stdout.write('ok\n');
  } catch (error) {
    const text = error instanceof VanityError ? `${error.code} ${error.message}` : String(error);
    process.stdout.write(`${text.replaceAll('\n', ' ')}\n`);
  }
}
