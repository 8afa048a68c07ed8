/** The name of what belongs to a store but lies elsewhere: its journals in memory, its witness. */
import { createHash } from 'node:crypto';

/** 16 hex digits. `recorded` is the identity of the database file, as the store recorded it. */
export function placeName(recorded: string): string {
  return createHash('sha256').update(recorded).digest('hex').slice(0, 16);
}
