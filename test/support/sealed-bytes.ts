/** What is sealed in a store, and whether it is still in one of its files, for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withDatabase } from './sqlite-stores.ts';

const FILES = /^store\.db/;

/** Every sealed data key, and every row that has a secret, as they are at this moment. */
export function sealedIn(directory: string): Buffer[] {
  return withDatabase(directory, (db) => {
    const rows = db.prepare(`SELECT sealed FROM data_keys
      UNION ALL SELECT sealed FROM next_data_keys
      UNION ALL SELECT sealed FROM addresses
        WHERE substr(sealed, 33) <> zeroblob(length(sealed) - 32)`);
    return rows.all().map(({ sealed }) => Buffer.from(sealed as Uint8Array));
  });
}

/** How many of them are anywhere in the database and its log, free pages included. */
export function countLeft(directory: string, sealed: readonly Buffer[]): number {
  const files = readdirSync(directory).filter((name) => FILES.test(name));
  const all = Buffer.concat(files.map((name) => readFileSync(join(directory, name))));
  return sealed.filter((bytes) => all.includes(bytes)).length;
}
