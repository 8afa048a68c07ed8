/**
 * A process that looks at a store as often as it is told, for a test whose disk fails under it
 * (faulty-disk.ts). Argument: the data directory. For each line that it reads, the name of a look, it
 * writes one: `ok`, or the error's code and message.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { VanityError } from '../../src/errors.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { backupStore } from '../../src/store/sqlite-backup.ts';
import { checkAtOpen, checkWhole } from '../../src/store/sqlite-check.ts';
import { openToRead } from '../../src/store/sqlite-database.ts';
import { openStoreIn } from './sqlite-stores.ts';

const directory = process.argv[2]!;
const path = join(directory, 'store.db');
let backups = 0;

const LOOKS: Readonly<Record<string, () => unknown>> = {
  start: async () => (await openStoreIn(directory)).close(),
  /** With the sealing key in a directory of its own. */
  startWithKeys: async () => {
    const sealingKey = `file:${join(directory, '..', 'keys', 'sealing.key')}`;
    return (await openSqliteStore({ directory, sealingKey })).close();
  },
  /** Nothing is tried again. */
  pages() {
    using db = openToRead(path);
    checkAtOpen(db, path);
  },
  check: () => checkWhole(path, false),
  backup: () => backupStore(directory, join(directory, '..', `${backups++}.backup`)),
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
