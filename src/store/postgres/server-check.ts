/**
 * What a server has to be before a store on it is opened: what the promises rest on is looked at, and what is
 * not as it must be is refused by its name, with what to do. Runs in the thread that calls it.
 */
import { VanityError } from '../../errors.ts';
import type { Connection } from './connection.ts';
import { ServerError } from './error.ts';
import { SCHEMA } from './schema.ts';

/** The oldest that is tried. */
const OLDEST = 15;

const LOOK = `SELECT current_setting('server_version_num')::int / 10000 AS version,
  current_setting('fsync') AS fsync,
  current_setting('full_page_writes') AS "fullPageWrites",
  pg_is_in_recovery() AS "isStandby",
  current_setting('transaction_read_only') AS "readOnly",
  current_setting('server_encoding') AS encoding,
  quote_ident(current_user) AS user, quote_ident(current_database()) AS database,
  CASE WHEN to_regnamespace('${SCHEMA}') IS NULL
    THEN has_database_privilege(current_database(), 'CREATE') END AS "mayCreate",
  CASE WHEN to_regnamespace('${SCHEMA}') IS NOT NULL
    THEN has_schema_privilege('${SCHEMA}', 'CREATE') AND has_schema_privilege('${SCHEMA}', 'USAGE')
    END AS "mayChange",
  (SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = '${SCHEMA}' AND c.relname = 'cluster' AND NOT has_table_privilege(c.oid, 'UPDATE')) AS owner`;

/** Of one transaction on one server. */
const SAME = `SELECT pg_backend_pid() AS pid, transaction_timestamp()::text AS began`;

interface Look {
  readonly version: number;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly isStandby: boolean;
  readonly readOnly: string;
  readonly encoding: string;
  /** Quoted, as the next one. */
  readonly user: string;
  readonly database: string;
  /** Null where nothing depends on it, as the next one. */
  readonly mayCreate: boolean | null;
  readonly mayChange: boolean | null;
  /** Of the tables, where the user may not write them. */
  readonly owner: string | null;
}

/** Who makes no schema may lack the right to. Errors: CONFIG_INVALID; those of `Connection`. */
export async function checkServer(connection: Connection, makesSchema = true): Promise<void> {
  const look = await looked(connection);
  const refusal = refusalOf(look, makesSchema);
  if (refusal === undefined) return;
  throw new VanityError('CONFIG_INVALID', `${connection.name}: ${refusal}`);
}

async function looked(connection: Connection): Promise<Look> {
  try {
    return await connection.transaction(async (transaction) => {
      const [before] = (await transaction.query<object>(SAME)).rows;
      const [look] = (await transaction.query<Look>(LOOK)).rows;
      const [after] = (await transaction.query<object>(SAME)).rows;
      if (JSON.stringify(before) !== JSON.stringify(after)) throw statementPooling(connection);
      return look!;
    });
  } catch (error) {
    throw isStatementPooling(error) ? statementPooling(connection) : error;
  }
}

/** The first thing that is not as it must be. */
function refusalOf(look: Look, makesSchema: boolean): string | undefined {
  const { version, user, database } = look;
  if (version < OLDEST) return `PostgreSQL ${version}; needs ${OLDEST} or newer`;
  if (look.isStandby) return 'a standby, which cannot be written: name the primary in store.url';
  if (look.fsync !== 'on') {
    return `fsync is off: what is committed would be lost with the power. ${turningOn('fsync')}`;
  }
  if (look.fullPageWrites !== 'on') {
    const command = turningOn('full_page_writes');
    return `full_page_writes is off: a loss of power would damage the database. ${command}`;
  }
  if (look.readOnly !== 'off') {
    return (
      'transactions are read-only: default_transaction_read_only was set by ALTER SYSTEM, ALTER DATABASE or ' +
      'ALTER ROLE; RESET it with the same command'
    );
  }
  if (look.encoding !== 'UTF8') {
    const command = `CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0`;
    return `the encoding of the database is ${look.encoding}; allowed: UTF8. ${command}`;
  }
  if (!makesSchema) return undefined;
  if (look.mayCreate === false) {
    return `${user} may not create a schema: GRANT CREATE ON DATABASE ${database} TO ${user}`;
  }
  if (look.owner !== null) {
    return `${user} may not write the tables of ${look.owner}: GRANT ${look.owner} TO ${user}`;
  }
  if (look.mayChange === false) {
    return `${user} may not change the schema ${SCHEMA}: GRANT ALL ON SCHEMA ${SCHEMA} TO ${user}`;
  }
  return undefined;
}

function turningOn(setting: string): string {
  return `ALTER SYSTEM SET ${setting} = on; SELECT pg_reload_conf()`;
}

/** PgBouncer says so in answer to BEGIN. */
function isStatementPooling(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof ServerError && cause.message.includes('statement pooling mode');
}

function statementPooling({ name }: Connection): VanityError {
  const detail = 'a pooler gives each statement another session: set pool_mode = transaction there';
  return new VanityError('CONFIG_INVALID', `${name}: ${detail}`);
}
