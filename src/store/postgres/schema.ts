/**
 * The schema `vanitypool` of a database: made, brought up to date, and compared with what it should be. How new
 * it is says `cluster.schema`: the number of the last migration that it went through. Runs in the thread that
 * calls it.
 *
 * Nodes that start at once take turns: a migration holds an advisory lock until it is committed, and looks
 * again once it has it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { VanityError } from '../../errors.ts';
import type { Connection } from './connection.ts';
import type { Transaction } from './transaction.ts';

const MIGRATIONS = new URL('./migrations/', import.meta.url);
export const SCHEMA = 'vanitypool';

/** Of the advisory lock: 'VPOL'. */
const LOCK = 0x56504f4c;
/** One node migrates while others wait. */
const LIMITS = { lockMs: 60_000, timeoutMs: 120_000 };

/**
 * What is in the schema, one text each. A version of PostgreSQL may write the definitions of constraints and
 * indexes in another way, and since 18 it lists NOT NULL as one: of those the name counts.
 */
const SHAPE = `
  SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod) ||
    CASE WHEN attnotnull THEN ' not null' ELSE '' END AS item
  FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
  WHERE relnamespace = '${SCHEMA}'::regnamespace AND relkind IN ('r', 'v')
    AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT 'constraint ' || conname || ' of ' || relname
  FROM pg_class JOIN pg_constraint ON conrelid = pg_class.oid
  WHERE relnamespace = '${SCHEMA}'::regnamespace AND contype <> 'n'
  UNION ALL
  SELECT 'index ' || relname
  FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
  WHERE relnamespace = '${SCHEMA}'::regnamespace AND indisvalid
  UNION ALL
  SELECT 'trigger ' || tgname || ' of ' || relname
  FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
  WHERE relnamespace = '${SCHEMA}'::regnamespace AND NOT tgisinternal AND tgenabled <> 'D'`;

const SQL = {
  found: `SELECT to_regnamespace('${SCHEMA}') IS NOT NULL AS "hasSchema",
    EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('${SCHEMA}')) AS "hasTables",
    to_regclass('${SCHEMA}.cluster') IS NOT NULL AS "isStore"`,
  version: `SELECT schema FROM ${SCHEMA}.cluster`,
  lock: `SELECT pg_advisory_xact_lock(${LOCK})`,
  create: `CREATE SCHEMA ${SCHEMA}`,
  select: `SET LOCAL search_path = ${SCHEMA}`,
  done: `UPDATE ${SCHEMA}.cluster SET schema = $1, shape = ARRAY(${SHAPE} ORDER BY item)`,
  missing: `SELECT item FROM ${SCHEMA}.cluster, unnest(shape) AS item
    EXCEPT (${SHAPE}) ORDER BY item`,
} as const;

interface Found {
  readonly hasSchema: boolean;
  readonly hasTables: boolean;
  readonly isStore: boolean;
}

/**
 * Makes the schema the one of this version: each migration is one transaction. Without `create` a database that
 * has none is STORE_NOT_FOUND, and stays as it is. Errors: STORE_FOREIGN, STORE_NEWER, STORE_CORRUPT for one
 * that somebody changed, those of `Connection`.
 */
export async function migrate(connection: Connection, create: boolean): Promise<void> {
  const migrations = readdirSync(MIGRATIONS).sort();
  const step = (): Promise<boolean> =>
    connection.transaction(async (transaction) => {
      const look = () => versionOf(transaction, connection.name, migrations.length);
      const found = await look();
      if (found === 0 && !create) throw noStore(connection.name);
      if (found < migrations.length) {
        await transaction.query(SQL.lock);
        const version = await look();
        if (version < migrations.length) {
          await run(transaction, migrations[version]!, version + 1);
          return false;
        }
      }
      await assertUnchanged(transaction, connection.name);
      return true;
    }, LIMITS);
  while (!(await step()));
}

/** That a store is there which this version can read. Errors: STORE_NOT_FOUND, and those of `migrate`. */
export async function assertSchema(connection: Connection): Promise<void> {
  const newest = readdirSync(MIGRATIONS).length;
  await connection.read(async (transaction) => {
    const version = await versionOf(transaction, connection.name, newest);
    if (version === 0) throw noStore(connection.name);
    if (version < newest) {
      const step = 'a server of this version brings it up to date when it starts: vanitypool serve';
      const detail = `${connection.name}: schema ${version}, and this version reads ${newest}; ${step}`;
      throw new VanityError('STORE_UNAVAILABLE', detail);
    }
    await assertUnchanged(transaction, connection.name);
  });
}

/** 0: there is none. */
async function versionOf(transaction: Transaction, name: string, known: number): Promise<number> {
  const [found] = (await transaction.query<Found>(SQL.found)).rows;
  const { isStore, hasTables } = found!;
  if (!isStore && hasTables) {
    const detail = `has a schema ${SCHEMA} that is not of a vanitypool store; name another database`;
    throw new VanityError('STORE_FOREIGN', `${name}: ${detail}`);
  }
  if (!isStore) return 0;
  const [row] = (await transaction.query<{ schema: number }>(SQL.version)).rows;
  if (row === undefined) throw changed(name, 'the row of cluster');
  const version = row.schema;
  if (version <= known) return version;
  const knows = `this version of vanitypool knows schemas up to ${known}; install a newer one`;
  throw new VanityError('STORE_NEWER', `${name}: schema ${version}; ${knows}`);
}

async function run(transaction: Transaction, file: string, version: number): Promise<void> {
  const [found] = (await transaction.query<Found>(SQL.found)).rows;
  // An administrator may have made it, for a user who may not.
  if (found?.hasSchema === false) await transaction.query(SQL.create);
  await transaction.query(SQL.select);
  await transaction.query(readFileSync(new URL(file, MIGRATIONS), 'utf8'));
  await transaction.query(SQL.done, [version]);
}

function noStore(name: string): VanityError {
  const detail = `${name}: holds no store; this makes one: vanitypool serve`;
  return new VanityError('STORE_NOT_FOUND', detail);
}

/** What somebody added is theirs. */
async function assertUnchanged(transaction: Transaction, name: string): Promise<void> {
  const { rows } = await transaction.query<{ item: string }>(SQL.missing);
  if (rows.length === 0) return;
  throw changed(name, rows.map(({ item }) => item).join('; '));
}

function changed(name: string, missing: string): VanityError {
  const detail = `somebody changed the schema ${SCHEMA}. Missing, or no longer so: ${missing}`;
  const remedy = 'Change it back, or restore the database from a backup';
  return new VanityError('STORE_CORRUPT', `${name}: ${detail}. ${remedy}`);
}
