/**
 * Rows that are put into the schema as they are, and compared with what is there in the end. Runs in the thread that
 * calls it, inside a transaction of the caller.
 *
 * A row is sent as JSON, and PostgreSQL writes a row as the same JSON: so a piece of a table is what was sent if
 * SHA-256 of both is the same. Of each piece the sum alone stays in memory.
 */
import { createHash } from 'node:crypto';
import { VanityError } from '../../errors.ts';
import type { Query } from './transaction.ts';

/** What the rows of a table are known by, in the order in which they are added; of `keys` in none. */
const KEYS = {
  nodes: ['id'],
  epochs: ['epoch'],
  pools: ['id'],
  figures: ['pool_id'],
  tokens: ['id'],
  data_keys: ['id'],
  keys: [],
  secrets: ['id'],
  remains: ['id'],
  lane_ends: ['lane'],
  lane_heads: ['lane'],
  leases: ['first'],
  burns: ['first'],
  queues: ['epoch', 'pool_id'],
  hand_outs: ['epoch', 'pool_id', 'position'],
  reservations: ['id'],
  signatures: ['address_id', 'number'],
  lost_signatures: ['address_id'],
  counters: ['name'],
} as const;

export type CopiedTable = keyof typeof KEYS;

/** By column; bytes are sent as PostgreSQL writes them. */
export type CopiedRow = Readonly<Record<string, unknown>>;

/** Rows of all tables that wait to be sent. */
const ROWS_AT_ONCE = 2000;

interface Piece {
  readonly table: CopiedTable;
  readonly columns: readonly string[];
  readonly first: CopiedRow;
  readonly last: CopiedRow;
  readonly count: number;
  /** SHA-256, in hexadecimal digits. */
  readonly sum: string;
}

export class CopiedRows {
  readonly #query: Query;
  /** In the order of their first rows: what rows refer to comes before them. */
  readonly #waiting = new Map<CopiedTable, CopiedRow[]>();
  #waits = 0;
  readonly #pieces: Piece[] = [];
  readonly #counts = new Map<CopiedTable, number>();

  constructor(query: Query) {
    this.#query = query;
  }

  async add(table: CopiedTable, row: CopiedRow): Promise<void> {
    const rows = this.#waiting.get(table);
    if (rows === undefined) this.#waiting.set(table, [row]);
    else rows.push(row);
    if (++this.#waits === ROWS_AT_ONCE) await this.flush();
  }

  /** Sends what waits. */
  async flush(): Promise<void> {
    this.#waits = 0;
    for (const [table, rows] of this.#waiting) {
      if (rows.length === 0) continue;
      this.#waiting.set(table, []);
      await this.#insert(table, rows);
    }
  }

  async #insert(table: CopiedTable, rows: readonly CopiedRow[]): Promise<void> {
    const lines = rows.map(textOf);
    const [first, last] = [rows[0]!, rows.at(-1)!];
    const columns = Object.keys(first);
    const names = columns.join(', ');
    await this.#query(
      `INSERT INTO vanitypool.${table} (${names}) OVERRIDING SYSTEM VALUE
        SELECT ${names} FROM json_populate_recordset(NULL::vanitypool.${table}, $1)`,
      [`[${lines.join(',')}]`],
    );
    const count = rows.length;
    this.#counts.set(table, (this.#counts.get(table) ?? 0) + count);
    const sum = createHash('sha256').update(lines.join('\n')).digest('hex');
    this.#pieces.push({ table, columns, first, last, count, sum });
  }

  /**
   * Compares each piece with what the database has in its place, and sees that it has nothing else. `onProgress`
   * hears how many of all were compared. Error: STORE_CORRUPT.
   */
  async verify(onProgress: (done: number, total: number) => void): Promise<void> {
    const pieces = this.#pieces.filter(({ table }) => KEYS[table].length > 0);
    for (const [index, piece] of pieces.entries()) {
      if ((await this.#sumOf(piece)) !== piece.sum) throw differs(piece.table);
      onProgress(index + 1, pieces.length);
    }
    for (const [table, count] of this.#counts) {
      const text = `SELECT count(*) AS count FROM vanitypool.${table}`;
      const [row] = (await this.#query<{ count: number }>(text)).rows;
      if (row?.count !== count) throw differs(table);
    }
  }

  async #sumOf({ table, columns, first, last }: Piece): Promise<string | undefined> {
    const keys = KEYS[table];
    const names = keys.join(', ');
    const placed = (from: number) => keys.map((_, index) => `$${from + index}`).join(', ');
    const text = `SELECT encode(sha256(convert_to(
        string_agg(row_to_json(piece)::text, E'\\n' ORDER BY ${names}), 'UTF8')), 'hex') AS sum
      FROM (SELECT ${columns.join(', ')} FROM vanitypool.${table}
        WHERE (${names}) >= (${placed(1)}) AND (${names}) <= (${placed(1 + keys.length)})) AS piece`;
    const ends = [first, last].flatMap((row) => keys.map((key) => row[key]));
    return (await this.#query<{ sum: string }>(text, ends)).rows[0]?.sum;
  }
}

/** As PostgreSQL writes it: without spaces, and bytes in hexadecimal digits. */
function textOf(row: CopiedRow): string {
  const entries = Object.entries(row).map(([column, value]) => [
    column,
    value instanceof Uint8Array ? `\\x${hexOf(value)}` : value,
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function differs(table: string): VanityError {
  const detail = `${table}: the database has something else than was sent; nothing was moved`;
  return new VanityError('STORE_CORRUPT', detail);
}
