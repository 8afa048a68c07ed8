/**
 * What is left of a store that went on in PostgreSQL: its file says where it is, in place of the name of its anchor,
 * and nothing opens it any more. Any thread may use it.
 */
import type { DatabaseSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';

/** What no anchor is called, nor a backup. */
const MARK = 'postgres://';

/** Where it went, by what it has for the name of its anchor; undefined if it is here. */
export function movedTo(anchor: string | null): string | undefined {
  return anchor?.startsWith(MARK) ? anchor : undefined;
}

/** Error: DATA_MOVED. */
export function assertHere(storeFile: string, anchor: string | null): void {
  const there = movedTo(anchor);
  if (there === undefined) return;
  const detail = `this store was moved to ${there}, and is served from there: set store.url to that`;
  throw new VanityError('DATA_MOVED', `${storeFile}: ${detail}`);
}

/** `db` of a schema that has anchors. Error: DATA_MOVED. */
export function assertReadHere(db: DatabaseSync, storeFile: string): void {
  const row = db.prepare('SELECT anchor FROM meta').get();
  assertHere(storeFile, (row?.anchor ?? null) as string | null);
}
