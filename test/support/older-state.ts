/**
 * A store as it was a moment ago, copied from under its server, and the question what would come of it
 * if it was put back after a kill: the anchor beside it says that something left since, or nothing
 * left that the older state has not leased. Answered without a start, by the tables of the copy.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { base58 } from '@scure/base';
import { anchorsIn } from './copies.ts';
import type { Handed } from './server.ts';

const FILES = ['store.db', 'store.db-wal'] as const;
const PREFIX = 'store.db-anchor-';
/** Of a log: it is another when these bytes are. */
const LOG_HEAD_BYTES = 32;

export class OlderState {
  readonly #files: readonly Buffer[];
  /** How many addresses had been received before. */
  readonly #since: number;

  private constructor(files: readonly Buffer[], since: number) {
    this.#files = files;
    this.#since = since;
  }

  /** Undefined where the database and its log were of two moments: a checkpoint came in between. */
  static of(directory: string, received: readonly Handed[]): OlderState | undefined {
    const since = received.length;
    const before = momentOf(directory);
    const files = FILES.map((name) => readFileSync(join(directory, name)));
    return before === momentOf(directory) ? new OlderState(files, since) : undefined;
  }

  /** Whether a start would take it for the newest now; then all that was received since is leased in it. */
  assertCovers(directory: string, received: readonly Handed[]): boolean {
    const copy = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
    try {
      for (const [index, name] of FILES.entries()) {
        writeFileSync(join(copy, name), this.#files[index]!);
      }
      using db = new DatabaseSync(join(copy, 'store.db'));
      const meta = db.prepare('SELECT anchor, anchor_before FROM meta').get()!;
      const [name] = anchorsIn(readdirSync(directory));
      const known = [meta.anchor, meta.anchor_before].map((one) => `${PREFIX}${one}`);
      if (!known.includes(name!)) return false;
      const stateOf = db.prepare(`SELECT state FROM addresses JOIN segments USING (pool_id)
        WHERE key_hash = ? AND first = (SELECT max(first) FROM segments AS before
          WHERE before.pool_id = addresses.pool_id AND before.first <= seq)`);
      for (const { id, address } of received.slice(this.#since)) {
        const state = stateOf.get(createHash('sha256').update(base58.decode(address)).digest());
        const isHeld = state !== undefined && state.state !== 'available';
        assert.ok(isHeld, `address ${id} left before the anchor said so`);
      }
      return true;
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  }
}

function momentOf(directory: string): string {
  const [file, log] = FILES.map((name) => join(directory, name));
  const head = readFileSync(log!).subarray(0, LOG_HEAD_BYTES).toString('hex');
  return `${statSync(file!, { bigint: true }).mtimeNs} ${head}`;
}
